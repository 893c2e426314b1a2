"""Transactions that write events at the same time, so that their numbers and their commits are in different orders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from redis.asyncio import Redis

from datasources.database.access import GATEWAY, announce_access_change
from datasources.database.audit import SECURITY_EVENT
from datasources.database.engine import Database, Transaction
from datasources.database.events import NewEvent, append_event
from datasources.database.ids import new_id
from datasources.redis import Channel
from tests.chaos.world import RISKS, Organization, World
from tests.gateway.program import PATIENCE_SECONDS

HELD_SECONDS = 0.05
"""For how long a transaction is held open after its last event, at most."""
AT_ONCE = 12
"""How many transactions run at the same time, at most: as many as the database has connections."""
_CATCH_UP_SECONDS = 1.0
_KINDS = {"order": 82, "security": 16, "access": 2}
_STATUSES = ("PENDING", "PAYMENT_SUBMITTED", "PAID", "REJECTED", "CONFIRMED", "COMPLETED", "CANCELLED")


class Writers:
    """Writes ``rate`` events a second, a tenth of the transactions taken back.

    ``written`` are the ids of the events of the others, with the moment (of the loop) just before their commit.
    """

    def __init__(self, database: Database, world: World, draw: Random, rate: float) -> None:
        self._database = database
        self._world = world
        self._draw = draw
        self._rate = rate
        self.written: dict[str, float] = {}
        self.taken_back = 0
        self.seconds = 0.0

    async def run(self, seconds: float) -> None:
        """Begins so many transactions that ``rate`` is reached, for so long; returns when the last has ended.

        A machine that is too busy for that gets fewer events, never a crowd of transactions that wait.
        """
        loop = asyncio.get_running_loop()
        start, begun, running = loop.time(), 0, set[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as transactions:
            while (now := loop.time() - start) < seconds:
                begun = max(begun, int((now - _CATCH_UP_SECONDS) * self._rate))
                while begun < now * self._rate and len(running) < AT_ONCE:
                    count = self._draw.choice((1, 1, 1, 2, 3))
                    task = transactions.create_task(self._transaction(count))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    begun += count
                await asyncio.sleep(0.01)
        self.seconds = loop.time() - start

    async def _transaction(self, count: int) -> None:
        draw = self._draw
        organization = draw.choices(self._world.organizations, (3, 2))[0]
        held = draw.uniform(0, HELD_SECONDS) if draw.random() < 0.6 else 0.0
        kept = draw.random() < 0.9
        try:
            async with self._database.scoped(organization.id).transaction() as transaction:
                ids = [await self._write(transaction, organization) for _ in range(count)]
                await asyncio.sleep(held)
                if not kept:
                    raise _TakenBack  # noqa: TRY301 -- this is how a transaction is taken back
                moment = asyncio.get_running_loop().time()
        except _TakenBack:
            self.taken_back += count
        else:
            self.written.update((identity, moment) for identity in ids if identity is not None)

    async def _write(self, transaction: Transaction, organization: Organization) -> str | None:
        draw = self._draw
        kind = draw.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
        if kind == "access":
            # All their sockets and streams stop, look at their rights, find them as they were, and go on.
            await announce_access_change(transaction, draw.choice(organization.people).id)
            return None
        if kind == "security":
            new = NewEvent(GATEWAY, SECURITY_EVENT, new_id("aud"), None, {"risk": draw.choice(RISKS)})
        else:
            order_id, business_id = draw.choice(organization.orders)
            before, after = draw.sample(_STATUSES, 2)
            new = NewEvent("messaging", "OrderChanged", order_id, business_id, {"from": before, "to": after})
        return await append_event(transaction, new)


@asynccontextmanager
async def ringing(database: Database, redis_url: str, channel: str) -> AsyncIterator[None]:
    """Has the commits of this process told to the workers, as a gateway's are."""
    async with Channel(redis_url, channel, lambda: None) as bell:
        database.after_commit.append(lambda _: bell.ring())
        yield


async def until_heard(redis_url: str, channel: str, count: int) -> None:
    """Waits until so many processes listen to the channel."""
    async with Redis.from_url(redis_url) as client, asyncio.timeout(PATIENCE_SECONDS):
        while (await client.pubsub_numsub(channel))[0][1] < count:  # noqa: ASYNC110 -- in others
            await asyncio.sleep(0.1)


class _TakenBack(Exception):
    pass
