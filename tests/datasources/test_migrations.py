"""The schema of the database grows by revisions: all of them or none, on SQLite and on PostgreSQL alike."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Text, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint

from datasources.database.engine import Database
from datasources.database.migrate import (
    BUILT_IN,
    MIGRATIONS,
    Branch,
    applied_revisions,
    downgrade,
    pending,
    reset,
    upgrade,
)
from datasources.database.tables.metadata import metadata

pytestmark = pytest.mark.anyio

SHOP = '''"""The tables of a shop."""

import os

import sqlalchemy as sa
from alembic import op

revision = "shop_0001"
down_revision = None
branch_labels = ("shop",)
depends_on = ("gateway_0001",)


def upgrade() -> None:
    op.create_table(
        "shop_orders",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("organization_id", sa.Text(), sa.ForeignKey("organizations.id"), nullable=False),
    )
    {after}


def downgrade() -> None:
    op.drop_table("shop_orders")
'''

START = """
import asyncio, sys
from pathlib import Path
from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, Branch, upgrade

async def start() -> None:
    database = Database(sys.argv[1])
    await upgrade(database, [*BUILT_IN, *(Branch("shop", Path(path), None) for path in sys.argv[2:])])
    await database.close()

asyncio.run(start())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


def shop(folder: Path, after: str = "") -> Branch:
    path = folder / "shop"
    path.mkdir()
    (path / "shop_0001.py").write_text(SHOP.format(after=after), encoding="utf-8")
    return Branch("shop", path, None)


def start(url: str, *branches: Branch) -> subprocess.Popen[bytes]:
    paths = [str(branch.path) for branch in branches]
    return subprocess.Popen([sys.executable, "-c", START, url, *paths], cwd=MIGRATIONS.parent)


async def tables(database: Database) -> set[str]:
    async with database.writer.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))


def differences(connection: Connection) -> list[object]:
    """What Alembic would write into a revision that brings the database to the declared tables."""
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _parents: (kind, name) != ("table", applied_revisions.name),
    }
    found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    # A comment may be put better without a revision of its own.
    return [each for each in found if not (isinstance(each, list) and each[0][0] == "modify_comment")]


def names(tables: MetaData) -> set[tuple[str, str]]:
    """The name of everything in each table that has one."""
    named: set[tuple[str, str]] = set()
    for table in tables.sorted_tables:
        kept = (PrimaryKeyConstraint, ForeignKeyConstraint, UniqueConstraint)
        parts = [*table.indexes, *(part for part in table.constraints if isinstance(part, kept))]
        named |= {(table.name, str(part.name)) for part in parts if part.name is not None}
    return named


def named_in_database(connection: Connection) -> set[tuple[str, str]]:
    there = MetaData()
    there.reflect(connection, only=list(metadata.tables))
    return names(there)


def declared_names(dialect: str) -> set[tuple[str, str]]:
    # SQLAlchemy writes AUTOINCREMENT into the column, where the key can have no name.
    return names(metadata) - ({("events", "pk_events")} if dialect == "sqlite" else set())


async def test_the_revisions_make_exactly_the_declared_tables_and_can_be_taken_back(database: Database) -> None:
    everything = await pending(database, BUILT_IN)
    assert {revision.rpartition("_")[0] for revision in everything} == {branch.name for branch in BUILT_IN}

    for _ in range(2):
        await upgrade(database, BUILT_IN)
        assert await pending(database, BUILT_IN) == []
        async with database.writer.connect() as connection:
            assert await connection.run_sync(differences) == []
            assert await connection.run_sync(named_in_database) == declared_names(database.dialect)

        await downgrade(database, BUILT_IN)
        assert await tables(database) == set()
        assert await pending(database, BUILT_IN) == everything


async def test_ids_compare_byte_by_byte_on_postgresql(fresh_postgres: str) -> None:
    database = Database(fresh_postgres)
    await upgrade(database, BUILT_IN)
    async with database.writer.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND collation_name = 'C'"
            )
        )
        found = {(row[0], row[1]) for row in rows}
    await database.close()
    assert found == {
        (table.name, column.name) for table in metadata.sorted_tables for column in table.columns if is_id(column.type)
    }


def is_id(column_type: object) -> bool:
    variant = getattr(column_type, "_variant_mapping", {}).get("postgresql")
    return isinstance(variant, Text) and variant.collation == "C"


async def test_only_the_platforms_in_use_get_tables_and_more_can_follow(database: Database) -> None:
    branch = {each.name: each for each in BUILT_IN}
    await upgrade(database, [branch["gateway"], branch["billing"]])
    some = await tables(database)
    assert {"organizations", "credit_purchases"} <= some
    assert "campaigns" not in some

    await upgrade(database, [branch["gateway"], branch["messaging"]])
    assert await tables(database) > some
    assert await pending(database, [branch["gateway"], branch["billing"], branch["messaging"]]) == []
    assert len(await pending(database, BUILT_IN)) == 2


async def test_a_platform_without_the_one_it_leans_on_is_refused(database: Database) -> None:
    with pytest.raises(LookupError, match="gateway_0001"):
        await upgrade(database, [branch for branch in BUILT_IN if branch.name == "billing"])
    assert await tables(database) == set()


async def test_a_platform_from_outside_can_come_and_go(database: Database, tmp_path: Path) -> None:
    outside = shop(tmp_path)
    await upgrade(database, [*BUILT_IN, outside])
    assert "shop_orders" in await tables(database)

    # Unplugged, its tables and revisions stay as they are and trouble nobody …
    await upgrade(database, BUILT_IN)
    assert await pending(database, BUILT_IN) == []
    # … but nothing is pulled from under them,
    before = await tables(database)
    with pytest.raises(LookupError, match="shop_0001"):
        await reset(database)
    assert await tables(database) == before
    # and plugged in again it goes on.
    assert await pending(database, [*BUILT_IN, outside]) == []
    await reset(database, [*BUILT_IN, outside])
    assert await tables(database) == set()


async def test_a_revision_that_fails_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        await upgrade(
            database,
            [*BUILT_IN, shop(tmp_path, "op.execute(\"INSERT INTO shop_orders VALUES ('1', 'nobody')\")")],
        )
    assert await tables(database) == set()
    await upgrade(database, BUILT_IN)


async def test_a_process_killed_in_the_middle_leaves_nothing_behind(
    url: str, database: Database, tmp_path: Path
) -> None:
    assert start(url, shop(tmp_path, "os._exit(9)")).wait() == 9
    assert await tables(database) == set()
    await upgrade(database, BUILT_IN)
    assert await pending(database, BUILT_IN) == []


async def test_processes_that_start_at_once_wait_for_each_other(url: str, database: Database) -> None:
    processes = [start(url) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert await pending(database, BUILT_IN) == []


def test_every_table_belongs_to_a_branch() -> None:
    declared = {str(table) for table in metadata.sorted_tables}
    written = "".join(path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*/*_[0-9]*.py")))
    assert {table for table in declared if f'op.create_table(\n        "{table}"' not in written} == set()
