"""Four workers, two hundred clients and a hundred events a second, while everything breaks that can.

Workers are killed one after the other and started again, Redis is stopped and started again, clients lose their lines,
rights are taken and given. Each client ends with exactly the events that its filter and its rights allow, in the order
of commits, once for each cursor. ``TRIBUTARY_TEST_CHAOS_SECONDS`` says for how long, if longer than in the suite.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
import uvloop

from datasources.database.access import ACCESS_CHANGED, announce_access_change
from datasources.database.engine import Database
from datasources.database.events import BEGINNING, EventPosition, head
from datasources.database.tables.gateway import memberships
from tests.chaos.fleet import Fleet, serving
from tests.chaos.subscribers import Known, Subscriber
from tests.chaos.verdict import Log, read_log
from tests.chaos.world import Ask, Person, World, changes, populate, security
from tests.chaos.writers import AT_ONCE, Writers, ringing, until_heard
from tests.gateway.program import PATIENCE_SECONDS
from tests.keys import make_keys
from tests.orders.desk import http_client
from tests.processes.own_redis import OwnRedis, own_redis
from tests.servers.postgres import PostgresServer
from tests.serving import fill

SECONDS = "TRIBUTARY_TEST_CHAOS_SECONDS"
WORKERS, SUBSCRIBERS, SHOWN = 4, 200, 5
RATE = 114.0
"""Events that are begun each second; about a hundred are kept and told."""
SHOWN_CHARACTERS = 3_000
KILL_EVERY, CUT_EVERY, REDIS_EVERY, REDIS_GONE = 7.0, 0.2, 60.0, 10.0
SETTINGS = {"EVENTS_KEEP_DAYS": "3660"}  # the demo's events are as old as they like, and some clients begin with them
CHANGE_ROLE = """mutation ($input: ChangeMemberRoleInput!) {
  changeMemberRole(input: $input) { membership { role } userErrors { code message } }
}"""


Following = Mapping[Subscriber, asyncio.Task[None]]


@dataclass
class Chaos:
    """What breaks, and what is to hold."""

    world: World
    database: Database
    fleet: Fleet
    redis: OwnRedis
    draw: Random
    subscribers: list[Subscriber]
    seconds: float
    cuts: int = 0
    redis_stops: int = 0
    admitted_at: float = float("inf")

    async def break_things(self) -> None:
        """Everything at once, for ``seconds``; whatever was broken works again afterwards."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill())
            tasks.create_task(self._stop_redis())
            tasks.create_task(self._cut())
            tasks.create_task(self._change_rights())

    @property
    def losers(self) -> list[Subscriber]:
        """The clients of the admin who becomes a viewer that follow what a viewer may not see."""
        return [each for each in self.subscribers if each.person is self.world.demoted and each.ask.name == "security"]

    async def _kill(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        while (next_at := loop.time() + self.draw.uniform(0.5, 1.0) * KILL_EVERY) < end:
            await asyncio.sleep(next_at - loop.time())
            await self.fleet.kill_oldest()

    async def _stop_redis(self) -> None:
        left = self.seconds
        while left > REDIS_GONE:
            await asyncio.sleep(min(left / 4, REDIS_EVERY / 4))
            await asyncio.to_thread(self.draw.choice((self.redis.close, self.redis.kill)))
            self.redis_stops += 1
            await asyncio.sleep(REDIS_GONE)
            await asyncio.to_thread(self.redis.start)
            await asyncio.sleep(min(left, REDIS_EVERY) * 3 / 4 - REDIS_GONE)
            left -= REDIS_EVERY

    async def _cut(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        while loop.time() < end:
            await asyncio.sleep(self.draw.expovariate(1 / CUT_EVERY))
            victim = self.draw.choice(self.subscribers)
            self.draw.choice((victim.cut, victim.cut, victim.freeze))()
            self.cuts += 1

    async def _change_rights(self) -> None:
        """An admin becomes a viewer, through the API and while Redis is gone; somebody is taken in."""
        world = self.world
        await asyncio.sleep(self.seconds * 0.4)
        await until(lambda: all(each.seen for each in self.losers))
        owner = world.first.people[0]
        values = {"input": {"userId": world.demoted.id, "role": "VIEWER"}}
        url, headers = f"http://127.0.0.1:{self.fleet.port}/graphql", {"authorization": f"Bearer {owner.token}"}
        async with http_client() as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    body = {"query": CHANGE_ROLE, "variables": values}
                    answer = await client.post(url, json=body, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                assert answer.json()["data"]["changeMemberRole"]["membership"] == {"role": "VIEWER"}, answer.text
                break
        await asyncio.sleep(self.seconds * 0.1)
        place = {"user_id": world.newcomer.id, "role": "VIEWER", "joined_at": datetime.now(UTC)}
        async with self.database.scoped(world.first.id).transaction() as transaction:
            await transaction.insert(memberships, [place])
            await announce_access_change(transaction, world.newcomer.id)
            self.admitted_at = asyncio.get_running_loop().time()


def subscribers_of(world: World, begin: EventPosition, draw: Random) -> list[Subscriber]:
    """The clients: half of them over sockets; half of them from now on, the others after some cursor."""
    known = Known()

    def start(organization_id: str, number: int) -> str | None:
        place = (None, begin, None, begin, None, begin, None, BEGINNING)[number // 2 % 8]
        return None if place is None else world.cursors.encode(organization_id, place)

    def some(number: int) -> tuple[Person, Ask]:
        # The last of all are those whose rights change.
        match (SUBSCRIBERS - 1 - number) // 2:
            case 0 | 1:
                return world.newcomer, changes()
            case 2 | 3:
                return world.demoted, security("LOW")
            case 4:
                return world.demoted, changes()
            case _:
                organization = world.organizations[number // 2 % 2]
                person = draw.choice(organization.people)
                return person, organization.ask(draw, person)

    found = []
    for number in range(SUBSCRIBERS):
        person, ask = some(number)
        cursor = start(person.organization_id, number)
        found.append(Subscriber(number, person, ask, cursor, known, over_socket=number % 2 == 0))
    return found


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it does, or does not any more in a time in which it should: what comes of that, the verdict says."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 -- clients tell nobody
                await asyncio.sleep(0.05)


@asynccontextmanager
async def followed(subscribers: Sequence[Subscriber], port: int, draw: Random) -> AsyncIterator[Following]:
    """All of them follow, until the block ends or their tasks are cancelled."""
    tasks = {each: asyncio.create_task(each.follow(port, draw)) for each in subscribers}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        ended = await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def seen_to_the_end(subscribers: Sequence[Subscriber], read: Callable[[], Awaitable[Log]]) -> Log:
    """The log, once each client has the last that it is to have, or nothing comes any more."""
    loop = asyncio.get_running_loop()
    log, waiting = await read(), list(subscribers)
    seen, moved_at = 0, loop.time()
    while loop.time() < moved_at + PATIENCE_SECONDS:
        behind = []
        for each in waiting:
            if not log.complete(each):
                behind.append(each)
            await asyncio.sleep(0)  # the clients are in this process too
        waiting = behind
        if not waiting:
            length, log, waiting = len(log.entries), await read(), list(subscribers)
            if len(log.entries) == length:
                break
        now_seen = sum(len(each.seen) for each in subscribers)
        if now_seen > seen:
            seen, moved_at = now_seen, loop.time()
        await asyncio.sleep(0.2)
    return log


def complaints(chaos: Chaos, log: Log) -> list[str]:
    """What is wrong, client by client."""
    world, losers, found = chaos.world, chaos.losers, []
    (revoked,) = (
        entry.event.place
        for entry in log.entries
        if entry.event.type == ACCESS_CHANGED and entry.event.subject_id == world.demoted.id
    )
    for subscriber in chaos.subscribers:
        loses = subscriber in losers
        wrong = log.complaints(subscriber, revoked if loses else None)
        if loses and not subscriber.refused:
            wrong.append("should have been refused in the end")
        if subscriber.person is world.newcomer:
            if not subscriber.refused:
                wrong.append("should have been refused at first")
            if subscriber.first_at is not None and subscriber.first_at < chaos.admitted_at:
                wrong.append("saw something before it was taken in")
        elif subscriber.refused and not loses:
            wrong.append(f"was refused {subscriber.refused} times")
        if wrong:
            found.append(
                "\n  ".join([str(subscriber), *wrong, f"{len(subscriber.seen)} seen; its story:", *subscriber.story])
            )
    return found


async def run(database_url: str, folder: Path, redis: OwnRedis, seed: int, seconds: float) -> None:
    """The whole story."""
    draw, database = Random(seed), Database(database_url, pool_size=AT_ONCE)  # noqa: S311 -- where to strike
    world = await populate(database, folder)
    begin = await head(database)
    subscribers = subscribers_of(world, begin, draw)
    writers = Writers(database, world, draw, RATE)
    async with (
        ringing(database, redis.url, world.channel),
        serving(folder, WORKERS, {**SETTINGS, "DATABASE_URL": database_url, "REDIS_URL": redis.url}) as fleet,
    ):
        await until_heard(redis.url, world.channel, WORKERS + 1)
        chaos = Chaos(world, database, fleet, redis, draw, subscribers, seconds)
        async with followed(subscribers, fleet.port, draw) as following:
            await until(lambda: all(each.is_open or each.refused for each in subscribers))
            await asyncio.gather(writers.run(seconds), chaos.break_things())
            # Whoever is refused leaves a trace, which is an event: at the end of the log nobody is.
            await until(lambda: all(each.refused for each in chaos.losers))
            for each in chaos.losers:
                following[each].cancel()
            others = [each for each in subscribers if each not in chaos.losers]
            log = await seen_to_the_end(others, lambda: read_log(database, world.cursors, writers.written))
        stopped_with, said = await fleet.stop(), fleet.said
    await database.close()
    print(f"seed {seed}: {figures(chaos, writers, log)}")  # noqa: T201 -- shown when it fails, and with -s
    assert writers.written.keys() <= {entry.event.id for entry in log.entries}
    assert log.overtaken, "no commit has overtaken another: nothing was shown"
    wrong = complaints(chaos, log)
    assert not wrong, f"seed {seed}: {len(wrong)} clients of {SUBSCRIBERS}\n" + "\n".join(wrong[:SHOWN])
    assert "Traceback" not in said, said[said.index("Traceback") :][:SHOWN_CHARACTERS]
    assert stopped_with == 0, said[-SHOWN_CHARACTERS:]


def figures(chaos: Chaos, writers: Writers, log: Log) -> str:
    """What it was that the clients lived through."""
    ends: Counter[str] = Counter()
    for subscriber in chaos.subscribers:
        ends.update(subscriber.ends)
    delivered = sum(len(subscriber.seen) for subscriber in chaos.subscribers)
    return (
        f"{len(writers.written)} events in {writers.seconds:.1f} s, {writers.taken_back} taken back, "
        f"{log.overtaken} overtaken; {delivered} messages; {chaos.fleet.kills} workers killed, "
        f"Redis stopped {chaos.redis_stops} times, {chaos.cuts} lines cut; ends of lines: {dict(ends.most_common())}"
    )


def test_each_client_sees_each_event_once_and_in_order_whatever_breaks(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    seed = int.from_bytes(os.urandom(4))
    make_keys(tmp_path)
    with postgres.database(like=postgres.template("demo", fill)) as url, own_redis() as redis:
        uvloop.run(run(url, tmp_path, redis, seed, float(os.environ.get(SECONDS, "40"))))
