"""What the tests of deliveries share: organizations in which things happen, a clock, and a look at the outcome."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Table, select

from datasources.database.engine import Database
from datasources.database.events import NewEvent, append_event
from datasources.database.tables.access import audit_entries
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints
from datasources.database.webhook_deliveries import LEASE, ClaimedDelivery
from datasources.database.webhooks import MadeEndpoint, NewEndpoint, create_endpoint
from datasources.keyring import Keyring
from datasources.webhooks.addresses import Address
from datasources.webhooks.post import Poster
from subscriptions.cursors import Cursors
from subscriptions.log import EventLog
from subscriptions.webhooks import Webhooks
from tests.webhooks.delivery.receiver import Receiver

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should come at once; no test measures time."""
OURS, OTHERS = "org_ours", "org_others"
LOOPBACK = ("127.0.0.0/8",)


class Clock:
    """A clock that moves when it is told to; it starts near enough to now for the time stamps that a receiver takes."""

    def __init__(self) -> None:
        self.start = self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def opened(url: str) -> Database:
    """The database as a process opens it."""
    return Database(url, pool_size=6, audit_key=bytes(32))


async def body_of(delivery: ClaimedDelivery) -> bytes | None:
    """The body of a delivery in these tests."""
    told = {"event": delivery.event_id, "sequence": delivery.sequence, "attempt": delivery.attempts}
    return orjson.dumps(told)


async def nobody_knows(host: str, _port: int) -> Sequence[Address]:
    """A resolver without names."""
    raise OSError(host)


@dataclass
class World:
    """One process, and everything around it."""

    database: Database
    keyring: Keyring
    receiver: Receiver
    clock: Clock
    render: Callable[[ClaimedDelivery], Awaitable[bytes | None]] = body_of
    poster: Poster = field(default_factory=lambda: Poster(LOOPBACK, resolve=nobody_knows))
    webhooks: Webhooks | None = None

    async def endpoint(
        self, organization: str = OURS, *events: str, path: str | None = None, url: str | None = None
    ) -> MadeEndpoint:
        """An endpoint at a path of the receiver, of ``OrderChanged`` unless other events are named."""
        new = NewEndpoint(
            url or f"{self.receiver.url}{path or '/'}", events or ("OrderChanged",), ("events:read",), None
        )
        async with self.database.scoped(organization).transaction() as transaction:
            return await create_endpoint(transaction, self.keyring, new)

    async def happen(self, organization: str = OURS, count: int = 1, *, kind: str = "OrderChanged") -> list[str]:
        """Writes so many events, together; returns their ids in order."""
        async with self.database.scoped(organization).transaction() as transaction:
            return [
                await append_event(transaction, NewEvent("messaging", kind, f"sor_{each}", None, {}))
                for each in range(count)
            ]

    @asynccontextmanager
    async def running(self, *, poll_seconds: float = 3_600.0) -> AsyncIterator[Webhooks]:
        """The log and the webhooks of this process, until the block ends."""
        async with EventLog(self.database, Cursors(bytes(32)), poll_seconds=0.05, pause_seconds=0) as log:
            webhooks = Webhooks(
                self.database,
                self.keyring,
                log,
                self.render,
                poster=self.poster,
                clock=self.clock,
                poll_seconds=poll_seconds,
            )
            async with webhooks:
                self.webhooks = webhooks
                yield webhooks

    def pass_(self, time_: timedelta) -> None:
        """Lets the time pass."""
        self.clock.now += time_
        if self.webhooks is not None:
            self.webhooks.wake()

    async def deliveries(self, endpoint_id: str | None = None) -> list[dict[str, Any]]:
        """The deliveries as they are stored, in the order of the log."""
        found = await rows(self.database, webhook_deliveries)
        mine = [row for row in found if endpoint_id in (None, row["endpoint_id"])]
        return sorted(mine, key=lambda row: (row["endpoint_id"], row["tx"], row["position"]))

    async def stored(self, endpoint_id: str) -> dict[str, Any]:
        """An endpoint as it is stored."""
        (found,) = [row for row in await rows(self.database, webhook_endpoints) if row["id"] == endpoint_id]
        return found

    async def audited(self) -> list[dict[str, Any]]:
        """The audit trail."""
        return await rows(self.database, audit_entries)

    async def until_deliveries(self, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The deliveries, once they are as they should be."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(found := await self.deliveries()):
            assert time.monotonic() < deadline, found[:10]
            await asyncio.sleep(0.01)
        return found

    async def until_settled(self, count: int, status: str = "DELIVERED") -> list[dict[str, Any]]:
        """The deliveries, once so many have come to this end."""
        return await self.until_deliveries(lambda found: [row["status"] for row in found].count(status) >= count)

    async def until_tried(self, attempts: int) -> dict[str, Any]:
        """The one delivery, once it was tried so often and waits or is settled."""

        def is_so(found: list[dict[str, Any]]) -> bool:
            (row,) = found or [{"attempts": -1}]
            return bool(row["attempts"] == attempts) and bool(row["next_attempt_at"] != self.clock() + LEASE)

        return (await self.until_deliveries(is_so))[0]


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """A table as it is stored."""
    names = table.columns.keys()
    return await database.unscoped("tests look behind the gateway").fetch(
        select(*table.c), lambda *cells: dict(zip(names, cells, strict=True))
    )


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "what should come at once did not come"
        await asyncio.sleep(0.005)
