"""A gateway over a hundred thousand orders, or over a million of them when ``TRIBUTARY_TEST_SCALE`` is 100.

Made-up data at such a scale takes minutes; copies of the smallest, made by the database itself, take seconds, and for
the planners they are as good.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import func, select

from auth.passwords import Passwords
from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.seed import seed
from datasources.database.tables.metadata import metadata
from gateway.demo import PASSWORD
from tests.scale.plans import Judge
from tests.servers.postgres import PostgresServer
from tests.serving import Running, fill, running

SCALE = "TRIBUTARY_TEST_SCALE"
"""How much data: absent, copies of the smallest demo; a number, the demo at that scale, which takes its time."""
COPIES = 12
COPIED = (
    "customers",
    "campaigns",
    "campaign_days",
    "service_orders",
    "appointments",
    "prompt_purchases",
    "credit_purchases",
    "order_actions",
)


def _copies() -> Iterator[str]:
    """Statements that copy every row of the tables many times under other ids; what belongs to a row, to its copy."""
    for name in COPIED:
        own = {"order_actions": "order_id", "campaign_days": "campaign_id"}.get(name, "id")
        columns = [column.name for column in metadata.tables[name].c if column.name != "position"]
        for copy in range(1, COPIES + 1):
            values = {column: column for column in columns}
            values[own] = f"substr({own}, 1, 4) || 'zz{copy:02}' || substr({own}, 9)"
            if "external_id" in values:
                values["external_id"] = f"external_id || '-{copy}'"
            yield (
                f"INSERT INTO {name} ({', '.join(columns)})"  # noqa: S608 -- names of our own tables
                f" SELECT {', '.join(values.values())} FROM {name} WHERE {own} NOT LIKE '____zz%'"
            )
    yield "ANALYZE"


def _copy_on_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _copies():
            connection.execute(statement)


def _copy_on_postgresql(url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        # Copies refer to what their originals refer to; checking each of them would take most of the time.
        await connection.execute("SET session_replication_role = replica")
        for statement in _copies():
            await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def _fill(url: str, scale: int) -> None:
    async def run() -> None:
        database = Database(url)
        await upgrade(database, BUILT_IN)
        await seed(database, password_hash=Passwords(memory_kib=64, time_cost=1).hash_now(PASSWORD), scale=scale)
        await database.close()

    asyncio.run(run())


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def large_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with many orders, which tests only read: once SQLite, once PostgreSQL."""
    scale = os.environ.get(SCALE)
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("large") / "large.db"
        if scale is None:
            shutil.copy(request.getfixturevalue("seeded_sqlite"), path)
            _copy_on_sqlite(path)
        else:
            _fill(f"sqlite:///{path}", int(scale))
        yield f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("demo", fill) if scale is None else None) as url:
            if scale is None:
                _copy_on_postgresql(url)
            else:
                _fill(url, int(scale))
            yield url


@pytest.fixture(scope="session")
def large(large_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway over it."""
    folder: Path = tmp_path_factory.mktemp("large gateway")
    with running(large_url, folder) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def judge(large_url: str) -> Judge:
    """Who knows what is large in it."""
    return Judge(large_url, rows_of(large_url))


def rows_of(url: str) -> dict[str, int]:
    """How many rows each table has."""

    async def run() -> dict[str, int]:
        database = Database(url, pool_size=1)
        scope = database.unscoped("tests look behind the gateway")
        found = {}
        for name, table in metadata.tables.items():
            (found[name],) = await scope.fetch(select(func.count()).select_from(table), int)
        await database.close()
        return found

    return asyncio.run(run())
