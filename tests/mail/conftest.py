"""Databases with the gateway's tables alone, on SQLite and on PostgreSQL, and keys."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.keyring import Keyring
from tests.servers.postgres import PostgresServer


def _tables(url: str) -> None:
    async def run() -> None:
        database = Database(url)
        await upgrade(database, BUILT_IN[:1])
        await database.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the gateway's tables and no row, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    _tables(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty outbox: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "outbox.db")
        yield f"sqlite:///{tmp_path / 'outbox.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("gateway tables", _tables)) as found:
            yield found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The database of this process."""
    found = Database(url, pool_size=6)
    yield found
    await found.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """The secret keys of this process."""
    return Keyring.at(tmp_path / "secret-keys", create=True)
