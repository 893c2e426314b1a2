"""What the demo data has none of, for tests of every field and every type."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, bindparam, select

from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_replays

_NEWEST = (
    select(events.c.id, events.c.type, events.c.tx, events.c.position)
    .where(events.c.organization_id == TENANT, events.c.type == bindparam("kind", type_=Text()))
    .order_by(events.c.tx.desc(), events.c.position.desc())
    .limit(6)
)


async def furnish_webhooks(database: Database, organization_id: str, *, made_by: str | None = None) -> None:
    """An endpoint that is sent nothing, with deliveries of the newest events of each type and a replay that rests."""
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
        "since_running": [],
        "last_sequence": len(happened),
        "created_by": made_by,
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
    replay = {
        "endpoint_id": endpoint_id,
        "tx": 0,
        "position": 0,
        "until_tx": 0,
        "until_position": 0,
        "scheduled": 1,
        "total": len(happened),
        "requested_at": now,
    }
    async with scope.transaction() as transaction:
        await transaction.insert(webhook_endpoints, [endpoint])
        await transaction.insert(webhook_deliveries, deliveries)
        await transaction.insert(webhook_replays, [replay])
