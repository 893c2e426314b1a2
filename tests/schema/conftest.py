"""The gateway in the loop of the tests, on SQLite and on PostgreSQL, and what two of its people can reach."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Text, bindparam, select

from auth.principal import Principal
from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints
from gateway.platforms import BUILT_IN
from schema.composed import Composition
from schema.composition import compose
from tests.schema.harvest import Harvest, harvest
from tests.schema.in_process import InProcess, in_process
from tests.schema.ways import Ways
from tests.serving import ADA, GRACE


@pytest.fixture(scope="session")
def composition() -> Composition:
    """The built-in platforms as one schema."""
    return compose(BUILT_IN)


@pytest.fixture(scope="session")
def ways(composition: Composition) -> Ways:
    """The ways through it."""
    return Ways(composition.graphql)


@pytest.fixture(scope="session")
def sdl(composition: Composition) -> str:
    """Its text."""
    return composition.sdl


@pytest.fixture(scope="module")
async def inside(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """A gateway over the demo data, once on each database."""
    async with in_process(database_url, tmp_path_factory.mktemp("inside")) as running:
        for email in (ADA, GRACE):
            await _furnish(running, await running.person(email))
        yield running


async def _furnish(inside: InProcess, who: Principal) -> None:
    """What the demo data has none of: API keys, invitations, webhooks, and an audit trail that tells of them."""
    mutation = """mutation ($key: CreateApiKeyInput!, $guest: InviteMemberInput!) {
      createApiKey(input: $key) { userErrors { message } }
      inviteMember(input: $guest) { userErrors { message } }
    }"""
    for number in range(12):
        key = {"name": f"Key {number}", "scopes": ["orders:read"]}
        guest = {"email": f"guest{number}@example.com", "role": "VIEWER"}
        data = await inside.data(mutation, {"key": key, "guest": guest}, as_=who)
        assert data == {"createApiKey": {"userErrors": []}, "inviteMember": {"userErrors": []}}
    await _furnish_webhooks(inside.database, str(who.organization_id))


_NEWEST = (
    select(events.c.id, events.c.type, events.c.tx, events.c.position)
    .where(events.c.organization_id == TENANT, events.c.type == bindparam("kind", type_=Text()))
    .order_by(events.c.tx.desc(), events.c.position.desc())
    .limit(6)
)


async def _furnish_webhooks(database: Database, organization_id: str) -> None:
    """An endpoint that is sent nothing, with deliveries of the newest events of each type."""
    scope = database.scoped(organization_id)
    happened = [
        each
        for kind in ("OrderChanged", "SecurityEvent")
        for each in await scope.fetch(_NEWEST, lambda *cells: cells, {"kind": kind})
    ]
    endpoint_id, now = new_id("whe"), datetime.now(UTC)
    endpoint = {
        "id": endpoint_id,
        "url": "https://hooks.example.com/",
        "events": ["OrderChanged"],
        "scopes": ["events:read", "orders:read"],
        "status": "DISABLED",
        "secret": "of-nobody",
        "since_tx": 0,
        "since_position": 0,
        "last_sequence": len(happened),
        "created_at": now,
    }
    deliveries = [
        {
            "id": new_id("whd"),
            "endpoint_id": endpoint_id,
            "event_id": event_id,
            "event_type": kind,
            "tx": tx,
            "position": position,
            "sequence": number,
            "status": "FAILED" if number % 2 else "DELIVERED",
            "attempts": number,
            "give_up_at": now,
            "created_at": now - timedelta(minutes=number // 2),
            "settled_at": now,
        }
        for number, (event_id, kind, tx, position) in enumerate(happened, start=1)
    ]
    async with scope.transaction() as transaction:
        await transaction.insert(webhook_endpoints, [endpoint])
        await transaction.insert(webhook_deliveries, deliveries)


@pytest.fixture(scope="module")
async def of_ada(inside: InProcess) -> Harvest:
    """What Ada can reach."""
    return await harvest(inside, await inside.person(ADA))


@pytest.fixture(scope="module")
async def of_grace(inside: InProcess) -> Harvest:
    """What Grace can reach."""
    return await harvest(inside, await inside.person(GRACE))
