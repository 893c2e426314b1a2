"""What every platform keeps to: names, ids, health and tables."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, select

from datasources.database.engine import Database
from datasources.database.ids import prefix_of
from datasources.database.migrate import BUILT_IN as BUILT_IN_BRANCHES
from datasources.database.migrate import downgrade, pending, upgrade
from datasources.database.tables.metadata import metadata
from schema.composed import Composition
from schema.platform import OPEN_ENUMS, Platform
from tests.contract.conftest import KEYS
from tests.schema.furniture import furnish_webhooks
from tests.serving import ADA, GRACE, Running, running

NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def test_it_is_named_as_filters_and_enums_can_take(platform: Platform) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", platform.key)
    assert platform.name.strip() == platform.name != ""
    values = [*platform.areas, *(value for values in platform.enum_values.values() for value in values)]
    assert all(NAME.fullmatch(value.name) and value.description for value in values)
    assert set(platform.enum_values) <= {enum.name for enum in OPEN_ENUMS}
    assert len({area.name for area in platform.areas}) == len(platform.areas) > 0
    assert set(platform.sources) <= {area.name for area in platform.areas}
    assert all(re.fullmatch(r"[a-z]{3}", node.prefix) for node in platform.nodes)
    assert platform.branch is None or platform.branch.name == platform.key


def _name(kind: Any) -> str:
    name: str = kind.__strawberry_definition__.name
    return name


@pytest.fixture(scope="module")
def everything(
    filled: str, registry: dict[str, Platform], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with every platform."""
    with running(filled, tmp_path_factory.mktemp("everything"), platforms=list(registry.values())) as server:
        yield server


BEGET = """mutation {
  createApiKey(input: {name: "A key", scopes: ["orders:read"]}) { apiKey { id } }
  inviteMember(input: {email: "guest@example.com", role: VIEWER}) { invitation { id } }
}"""
"""What the demo data has none of."""


def furnish(database_url: str, organization: str) -> None:
    """As ``BEGET``, of what only comes about in time."""

    async def run() -> None:
        database = Database(database_url)
        try:
            await furnish_webhooks(database, organization)
        finally:
            await database.close()

    asyncio.run(run())


def ids_by_prefix(database_url: str, tables: list[MetaData], organization: str) -> dict[str, str]:
    """An id of each kind that an organization has, whatever table it stands in."""

    async def read() -> dict[str, str]:
        database, found = Database(database_url), dict[str, str]()
        try:
            for table in (table for each in tables for table in each.sorted_tables if "id" in table.c):
                statement = select(table.c.id).limit(1)
                if "organization_id" in table.c:
                    statement = statement.where(table.c.organization_id == organization)
                elif table.name == "organizations":
                    statement = statement.where(table.c.id == organization)
                for identity in await database.unscoped("a test looks for ids").fetch(statement, str):
                    found[prefix_of(identity) or identity] = identity
        finally:
            await database.close()
        return found

    return asyncio.run(read())


def test_every_type_with_an_id_is_found_by_it(
    everything: Running, registry: dict[str, Platform], composition: Composition
) -> None:
    viewer = everything.data("{ viewer { id } organization { id } }", as_=ADA)
    tables = [metadata, *(each.branch.metadata for each in registry.values() if each.branch and each.branch.metadata)]
    organization = viewer["organization"]["id"]
    everything.data(BEGET, as_=ADA)
    furnish(everything.database_url, organization)
    found = ids_by_prefix(everything.database_url, list(dict.fromkeys(tables)), organization)
    found["usr"] = viewer["viewer"]["id"]
    prefixes = sorted(composition.nodes)
    assert [prefix for prefix in prefixes if prefix not in found] == []
    ids = [found[prefix] for prefix in prefixes]
    nodes = everything.data(NODES, {"ids": ids}, as_=ADA)["nodes"]
    assert [node and node["id"] for node in nodes] == ids
    names = {prefix: node["__typename"] for prefix, node in zip(prefixes, nodes, strict=True)}
    declared = {node.prefix: _name(node.kind) for node in composition.nodes.values()}
    assert {**names, "evt": "Event"} == declared
    # what is not there, or is another organization's, cannot be told apart
    unknown = [f"{prefix}_{'0' * 26}" for prefix in prefixes]
    assert everything.data(NODES, {"ids": unknown}, as_=ADA)["nodes"] == [None] * len(unknown)
    shown = {node["__typename"] for node in everything.data(NODES, {"ids": ids}, as_=GRACE)["nodes"] if node}
    assert shown <= {"Prompt", "Seller", "Review"}


def test_each_says_how_it_is_doing(everything: Running) -> None:
    shown = everything.data("{ platforms { key name areas health { status latencyP95Ms } } }")["platforms"]
    assert tuple(platform["key"] for platform in shown) == KEYS
    assert {platform["health"]["status"] for platform in shown} <= {"UP", "NOT_CONFIGURED"}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.mark.anyio
async def test_its_tables_come_from_nothing_and_go_again(platform: Platform, empty_database_url: str) -> None:
    branches = [BUILT_IN_BRANCHES[0], *([platform.branch] if platform.branch else [])]
    database = Database(empty_database_url)
    try:
        for _ in range(2):
            await upgrade(database, branches)
            assert await pending(database, branches) == []
            if platform.branch is not None and platform.branch.metadata not in (None, metadata):
                async with database.writer.connect() as connection:
                    assert await connection.run_sync(differences, platform.branch.metadata) == []
            await downgrade(database, branches)
            assert len(await pending(database, branches)) >= len(branches)
    finally:
        await database.close()


def differences(connection: Connection, declared: MetaData) -> list[object]:
    """What separates an outside platform's tables in the database from those that it declares."""
    options = {
        "compare_type": True,
        "include_name": lambda name, kind, _parents: kind != "table" or name in declared.tables,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), declared))
