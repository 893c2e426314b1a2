"""An event log without events, on both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from datasources.database.engine import Database
from tests.events.rows import empty, tables
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of the module's own with two organizations: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("log") / "log.db"
        tables(f"sqlite:///{path}")
        yield f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("event log of two organizations", tables)) as found:
            yield found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The database of this process."""
    found = Database(url, pool_size=8)
    await empty(found)
    yield found
    await found.close()


@pytest.fixture
def overlapping_url(postgres: PostgresServer) -> Iterator[str]:
    """A database where transactions overlap."""
    with postgres.database(like=postgres.template("event log of two organizations", tables)) as found:
        yield found


@pytest.fixture
async def on_postgresql(overlapping_url: str) -> AsyncIterator[Database]:
    """An empty log there."""
    found = Database(overlapping_url, pool_size=12)
    yield found
    await found.close()
