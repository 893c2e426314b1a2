"""A log, two organizations and a receiver on this machine: once on SQLite, once on PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.tables.gateway import organizations
from datasources.keyring import Keyring
from tests.servers.postgres import PostgresServer
from tests.webhooks.delivery.receiver import Receiver, receiving
from tests.webhooks.delivery.world import OTHERS, OURS, Clock, World, opened


def _two_organizations(url: str) -> None:
    async def run() -> None:
        database = Database(url)
        await upgrade(database, BUILT_IN[:1])
        async with database.unscoped("tests make organizations").transaction() as transaction:
            rows = [
                {"id": each, "name": each, "slug": each, "capabilities": [], "created_at": datetime.now(UTC)}
                for each in (OURS, OTHERS)
            ]
            await transaction.insert(organizations, rows)
        await database.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def two_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with two organizations and nothing else, to be copied."""
    path = tmp_path_factory.mktemp("two") / "two.db"
    _two_organizations(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nothing has happened."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("two_on_sqlite"), tmp_path / "log.db")
        yield f"sqlite:///{tmp_path / 'log.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("two organizations", _two_organizations)) as found:
            yield found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The database of this process."""
    found = opened(url)
    yield found
    await found.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """The secret keys of all processes."""
    return Keyring.at(tmp_path / "secret-keys", create=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Who is posted to."""
    async with receiving() as listening:
        yield listening


@pytest.fixture
def world(database: Database, keyring: Keyring, receiver: Receiver) -> World:
    """All of it together, with a clock of its own."""
    return World(database, keyring, receiver, Clock())


@pytest.fixture
async def database_again(url: str, keyring: Keyring, receiver: Receiver) -> AsyncIterator[World]:
    """Another process with the same database and the same receiver."""
    found = opened(url)
    yield World(found, keyring, receiver, Clock())
    await found.close()
