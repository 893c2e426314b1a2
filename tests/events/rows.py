"""Organizations, events and webhooks as rows, for tests that care for where they stand and not for what they tell."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, insert, select

from datasources.database.engine import Database
from datasources.database.events import EventPosition
from datasources.database.ids import new_id
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.tables.gateway import events, organizations
from datasources.database.tables.webhooks import (
    event_horizons,
    webhook_deliveries,
    webhook_endpoints,
    webhook_reader,
    webhook_replays,
)

OURS, THEIRS = "org_ours", "org_theirs"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def tables(url: str) -> None:
    """Makes the tables and two organizations."""

    async def run() -> None:
        database = Database(url)
        await upgrade(database, BUILT_IN[:1])
        rows = [
            {"id": name, "name": name, "slug": name, "capabilities": [], "created_at": NOW} for name in (OURS, THEIRS)
        ]
        await put(database, organizations, rows)
        await database.close()

    asyncio.run(run())


def event(organization_id: str, place: EventPosition, age: timedelta, **other: object) -> dict[str, Any]:
    """A row of the log; ``age`` is at ``NOW``."""
    return {
        "tx": place.tx,
        "position": place.position,
        "id": new_id("evt"),
        "organization_id": organization_id,
        "platform": "messaging",
        "type": "OrderChanged",
        "business_id": None,
        "subject_id": str(place.position),
        "at": NOW - age,
        "data": {},
        **other,
    }


def endpoint(organization_id: str, since: EventPosition) -> dict[str, Any]:
    """An endpoint that gets what comes after a place."""
    return {
        "id": f"whe_{organization_id}",
        "organization_id": organization_id,
        "url": "https://example.com",
        "events": [],
        "scopes": [],
        "status": "ACTIVE",
        "secret": "sealed",
        "since_tx": since.tx,
        "since_position": since.position,
        "since_running": [],
        "last_sequence": 0,
        "created_at": NOW,
    }


def delivery(of: Mapping[str, Any], status: str) -> dict[str, Any]:
    """What became of an event at the endpoint of its organization."""
    return {
        "id": new_id("whd"),
        "organization_id": of["organization_id"],
        "endpoint_id": f"whe_{of['organization_id']}",
        "event_id": of["id"],
        "event_type": of["type"],
        "tx": of["tx"],
        "position": of["position"],
        "status": status,
        "attempts": 0,
        "give_up_at": NOW,
        "created_at": NOW,
    }


async def put(database: Database, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of any organization."""
    async with database.writer.connect() as connection, connection.begin():
        for begin in range(0, len(rows), 2_000):
            await connection.execute(insert(table), [dict(row) for row in rows[begin : begin + 2_000]])


async def empty(database: Database) -> None:
    """Removes all but the organizations."""
    async with database.writer.connect() as connection, connection.begin():
        for table in (webhook_deliveries, webhook_replays, webhook_endpoints, webhook_reader, event_horizons, events):
            await connection.execute(delete(table))


async def kept(database: Database, organization_id: str) -> list[str]:
    """The ids of what is in the log of an organization, in its order."""
    wanted = select(events.c.id).where(events.c.organization_id == organization_id)
    async with database.writer.connect() as connection:
        return list(await connection.scalars(wanted.order_by(events.c.tx, events.c.position)))
