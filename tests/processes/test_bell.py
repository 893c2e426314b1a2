"""The bell by itself: how often it rings, who hears it, and what it says in the log."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from datasources.database.engine import Database
from datasources.database.events import NewEvent, append_event
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.redis import Channel, pause_after, require_redis_url
from subscriptions.bell import Bell
from subscriptions.cursors import Cursors
from subscriptions.log import EventLog
from tests.gateway.transports.server import until
from tests.servers.process import free_port
from tests.serving import ADA, running

pytestmark = pytest.mark.anyio
OURS = "org_ours"


def nothing() -> None:
    pass


@asynccontextmanager
async def listener(url: str, name: str) -> AsyncIterator[list[bytes]]:
    """Who hears all that is sent on a channel, and who sent it."""
    heard: list[bytes] = []
    async with Redis.from_url(url) as client, client.pubsub() as line:
        await line.subscribe(name)

        async def listen() -> None:
            async for message in line.listen():
                heard.extend([message["data"]] if message["type"] == "message" else [])

        task = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_many_rings_are_few_messages_and_the_last_is_sent_before_the_end(fresh_redis: str) -> None:
    async with listener(fresh_redis, "few") as heard:
        async with Channel(fresh_redis, "few", nothing) as channel:
            for _ in range(1_000):
                channel.ring()
            await until(lambda: len(heard) == 1)
            for _ in range(1_000):
                channel.ring()
        await until(lambda: len(heard) == 2)


async def test_a_process_hears_others_and_not_itself(fresh_redis: str) -> None:
    heard: list[str] = []
    async with (
        Channel(fresh_redis, "both", lambda: heard.append("one")) as one,
        Channel(fresh_redis, "both", lambda: heard.append("other")) as other,
        Channel(fresh_redis, "elsewhere", lambda: heard.append("stranger")),
    ):
        await until(lambda: sorted(heard) == ["one", "other", "stranger"])  # the line is there: each looks once
        heard.clear()
        one.ring()
        await until(lambda: heard == ["other"])
        other.ring()
        await until(lambda: heard == ["other", "one"])


@pytest.fixture(params=["sqlite", "postgresql"])
def database_of_three(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An event log without events, and an organization."""
    sqlite = f"sqlite:///{tmp_path}/log.db"
    url: str = sqlite if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")

    async def fill() -> None:
        database = Database(url, pool_size=1)
        await upgrade(database, BUILT_IN[:1])
        async with database.unscoped("tests make organizations").transaction() as transaction:
            await transaction.connection.execute(
                text("INSERT INTO organizations VALUES (:id, :id, :id, '[]', CURRENT_TIMESTAMP)"), {"id": OURS}
            )
        await database.close()

    asyncio.run(fill())
    return url


async def test_processes_that_are_woken_read_once_each(database_of_three: str, fresh_redis: str) -> None:
    read: list[list[str]] = [[], [], []]
    async with AsyncExitStack() as stack:
        databases = [Database(database_of_three, pool_size=1) for _ in read]
        logs = [EventLog(database, Cursors(bytes(32)), poll_seconds=3_600) for database in databases]
        for database, log in zip(databases, logs, strict=True):
            stack.push_async_callback(database.close)
            await stack.enter_async_context(Bell(fresh_redis, "three", database, log))
        await until(lambda: all(log._wake.is_set() for log in logs))  # the lines are there
        for seen, database, log in zip(read, databases, logs, strict=True):
            log._wake.clear()
            await stack.enter_async_context(log)
            database.observers.append(seen.append)
        for writer in databases:
            await write_one(writer, logs)
        assert [sum("events.data" in statement for statement in seen) for seen in read] == [3, 3, 3]


async def write_one(database: Database, logs: Sequence[EventLog]) -> None:
    """Writes an event, and comes back when all have read it and have had time to read more."""
    before = [log.position for log in logs]
    async with database.scoped(OURS).transaction() as transaction:
        await append_event(transaction, NewEvent("messaging", "OrderChanged", "sor_1", None, {}))
    await until(lambda: all(log.position > last for log, last in zip(logs, before, strict=True)))
    await asyncio.sleep(0.1)


async def test_without_redis_a_gateway_starts_and_serves_and_says_so_without_the_password(
    seeded_sqlite: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    url = f"redis://somebody:hunter2@127.0.0.1:{free_port()}/0"
    with (
        caplog.at_level(logging.DEBUG),
        running(f"sqlite:///{tmp_path / 'demo.db'}", tmp_path, redis_url=url) as gateway,
    ):
        assert (await asyncio.to_thread(gateway.data, "{ viewer { email } }", as_=ADA))["viewer"] == {"email": ADA}
        (bell,) = (work for work in gateway.app.state.gateway.work if isinstance(work, Bell))
        await until(lambda: not bell.channel.works)
        await asyncio.sleep(0.3)  # it has tried again by now
    said = [record.getMessage() for record in caplog.records if record.name == "datasources.redis"]
    assert len(said) == 1
    assert "(ConnectionError)" in said[0]
    assert "hunter2" not in caplog.text


def test_pauses_grow_and_differ() -> None:
    assert [pause_after(n, chance=lambda: 0.5) for n in (1, 2, 3)] == [0.05, 0.1, 0.2]
    assert pause_after(10_000, chance=lambda: 1.0) == 7.5
    assert pause_after(4, chance=lambda: 0.0) < pause_after(4, chance=lambda: 0.9)


@pytest.mark.parametrize("url", ["http://h", "redis://", "hunter2", "redis://u:hunter2@h:port", "redis://h:99999"])
def test_what_is_no_address_of_a_redis_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="redis://user:password@host") as refused:
        require_redis_url(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p@h:1/2", "redis://:p@[::1]:6379/0"])
def test_addresses_of_a_redis_are_taken(url: str) -> None:
    require_redis_url(url)
