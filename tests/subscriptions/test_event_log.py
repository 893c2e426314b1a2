"""The event log on real databases: what followers get while others write, join, leave, lag and fail."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from sqlalchemy import text

from datasources.database.engine import Database
from datasources.database.events import (
    BEGINNING,
    EventPosition,
    EventRow,
    NewEvent,
    all_events_after,
    append_event,
    events_after,
    head,
)
from datasources.database.migrate import BUILT_IN, upgrade
from subscriptions import log
from subscriptions.cursors import Cursors
from subscriptions.interest import Interest
from subscriptions.log import EventLog, FellBehind
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.anyio

OURS, THEIRS = "org_ours", "org_theirs"
ALL = Interest(frozenset({"OrderChanged"}))
CURSORS = Cursors(bytes(32))
END = EventPosition(2**62, 2**62)


def _tables(url: str) -> None:
    """Makes the tables, and the two organizations whose events are told."""

    async def run() -> None:
        database = Database(url)
        await upgrade(database, BUILT_IN[:1])
        async with database.unscoped("tests make organizations").transaction() as transaction:
            for name in (OURS, THEIRS):
                await transaction.connection.execute(
                    text(
                        "INSERT INTO organizations (id, name, slug, capabilities, created_at)"
                        " VALUES (:id, :id, :id, '[]', '2026-01-01T00:00:00.000000Z')"
                        if database.dialect == "sqlite"
                        else "INSERT INTO organizations (id, name, slug, capabilities, created_at)"
                        " VALUES (:id, :id, :id, '[]', now())"
                    ),
                    {"id": name},
                )
        await database.close()

    asyncio.run(run())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty event log: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        path = f"sqlite:///{tmp_path / 'log.db'}"
        _tables(path)
        yield path
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("event log", _tables)) as found:
            yield found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The database of this process."""
    found = Database(url, pool_size=8)
    yield found
    await found.close()


async def write(database: Database, subject: str, *, organization: str = OURS) -> None:
    """One event in a transaction of its own."""
    async with database.scoped(organization).transaction() as transaction:
        await append_event(transaction, NewEvent("messaging", "OrderChanged", subject, None, {"from": None}))


async def write_and_fail(database: Database) -> None:
    """An event in a transaction that is taken back."""
    async with database.scoped(OURS).transaction() as transaction:
        await append_event(transaction, NewEvent("messaging", "OrderChanged", "never", None, {}))
        raise ZeroDivisionError


async def take(events: AsyncIterator[EventRow], count: int) -> list[str]:
    """What the next events happened to."""
    return [(await anext(events)).subject_id for _ in range(count)]


async def known(database: Database, limit: int) -> list[EventRow]:
    """What is in the log of ours, from its beginning."""
    return await events_after(database.scoped(OURS), BEGINNING, limit, until=END, types=ALL.types)


class Follower(NamedTuple):
    """Somebody who follows until they have seen a last event."""

    after: EventPosition
    seen: list[EventRow]


async def test_events_come_in_the_order_of_their_commits_and_to_their_organization_alone(database: Database) -> None:
    async with EventLog(database, CURSORS) as events, aclosing(events.follow(database.scoped(OURS), ALL, None)) as ours:
        first = asyncio.create_task(anext(ours))
        await asyncio.sleep(0)
        for number in range(5):
            await write(database, f"theirs {number}", organization=THEIRS)
            await write(database, f"ours {number}")
        assert (await first).subject_id == "ours 0"
        assert await take(ours, 4) == [f"ours {number}" for number in range(1, 5)]


@pytest.mark.parametrize("remembered", [0, 20, 5_000])
async def test_who_resumes_gets_what_was_missed_and_then_what_happens(
    database: Database, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    """From the table, from memory, or the one after the other."""
    monkeypatch.setattr(log, "BATCH", 7)
    for number in range(50):
        await write(database, str(number))
    (tenth,) = (await known(database, 10))[9:]
    async with (
        EventLog(database, CURSORS, remembered=remembered) as events,
        aclosing(events.follow(database.scoped(OURS), ALL, tenth.place)) as resumed,
    ):
        assert await take(resumed, 40) == [str(number) for number in range(10, 50)]
        await write(database, "live")
        assert await take(resumed, 1) == ["live"]
    async with (
        EventLog(database, CURSORS, remembered=remembered) as events,
        aclosing(events.follow(database.scoped(OURS), ALL, BEGINNING)) as everything,
    ):
        assert await take(everything, 51) == [*map(str, range(50)), "live"]


async def test_who_is_ahead_of_this_process_gets_nothing_twice(database: Database) -> None:
    """Two gateways: the cursor of the one may be of an event that the other has not read yet."""
    async with EventLog(database, CURSORS, poll_seconds=3600) as events:
        other = Database(database.url.render_as_string(hide_password=False))
        await write(other, "read elsewhere")
        await other.close()
        (ahead,) = await all_events_after(database, BEGINNING, 10)
        async with aclosing(events.follow(database.scoped(OURS), ALL, ahead.place)) as resumed:
            following = asyncio.create_task(anext(resumed))
            await asyncio.sleep(0)
            await write(database, "next")
            assert (await following).subject_id == "next"


async def test_at_the_seam_nothing_is_missed_and_nothing_comes_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many followers join at random moments, after random events, while several writers write."""
    monkeypatch.setattr(log, "BATCH", 5)
    draw, total, writers = Random(7), 240, 4  # noqa: S311
    written = 0

    async def writer(name: int) -> None:
        nonlocal written
        for number in range(total // writers):
            await write(database, f"{name}-{number}")
            written += 1
            if draw.random() < 0.3:
                await asyncio.sleep(draw.random() / 200)

    async with EventLog(database, CURSORS, poll_seconds=0.05, remembered=20) as events:

        async def follower(start: int) -> Follower:
            while written < start:  # noqa: ASYNC110 -- a condition for one test
                await asyncio.sleep(0.001)
            so_far = await known(database, total)
            after = draw.choice([event.place for event in so_far] or [BEGINNING])
            seen: list[EventRow] = []
            async with aclosing(events.follow(database.scoped(OURS), ALL, after)) as followed:
                async for event in followed:
                    seen.append(event)
                    if event.subject_id == "last":
                        return Follower(after, seen)
                    if draw.random() < 0.05:
                        await asyncio.sleep(draw.random() / 100)
            raise AssertionError

        followers = [asyncio.create_task(follower(draw.randrange(total))) for _ in range(30)]
        await asyncio.gather(*(writer(name) for name in range(writers)))
        await write(database, "last")
        found = await asyncio.gather(*followers)
        everything = await known(database, total * 2)
        assert len(everything) == total + 1
        for after, seen in found:
            assert [event.id for event in seen] == [event.id for event in everything if event.place > after]
        assert events.listeners == 0


async def test_a_follower_that_lags_gets_no_gap_and_resumes_where_it_was_let_go(database: Database) -> None:
    async with EventLog(database, CURSORS, queue_size=5) as events:
        slow = events.follow(database.scoped(OURS), ALL, BEGINNING)
        beginning = asyncio.create_task(anext(slow))
        await asyncio.sleep(0)
        quick_seen: list[str] = []
        for number in range(12):
            await write(database, str(number))
        assert (await beginning).subject_id == "0"
        while (await head(database)) > events.position:  # noqa: ASYNC110 -- the tail tells nobody
            await asyncio.sleep(0.01)
        seen = ["0", *await take(slow, 2)]
        for number in range(12, 16):  # there is room in its queue again, and an event was lost before
            await write(database, str(number))
        while (await head(database)) > events.position:  # noqa: ASYNC110 -- the tail tells nobody
            await asyncio.sleep(0.01)
        try:
            async for event in slow:
                seen.append(event.subject_id)  # noqa: PERF401 -- what was seen before it ended counts
        except FellBehind as fell:
            resumed = events.follow(database.scoped(OURS), ALL, fell.last)
            quick_seen = await take(resumed, 16 - len(seen))
            await resumed.aclose()
        assert len(seen) < 16
        assert seen + quick_seen == [str(number) for number in range(16)]


async def test_a_slow_follower_holds_up_nobody(database: Database) -> None:
    async with EventLog(database, CURSORS, queue_size=3) as events:
        slow, quick = (events.follow(database.scoped(OURS), ALL, BEGINNING) for _ in range(2))
        await write(database, "0")
        assert await take(slow, 1) == await take(quick, 1) == ["0"]
        for number in range(1, 30):
            await write(database, str(number))
            assert await take(quick, 1) == [str(number)]
        for follower in (slow, quick):
            await follower.aclose()


async def test_a_thousand_followers_leave_nothing_behind(database: Database) -> None:
    async with EventLog(database, CURSORS) as events:
        tasks = asyncio.all_tasks()

        async def follow(number: int) -> None:
            organization = f"org_{number % 7}"
            async with aclosing(events.follow(database.scoped(organization), ALL, None)) as followed:
                await anext(followed)

        for _ in range(10):
            following = [asyncio.create_task(follow(number)) for number in range(100)]
            await asyncio.sleep(0)
            assert events.listeners == 100
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        assert events.listeners == 0
        assert events._listeners == {}
        assert asyncio.all_tasks() == tasks


async def test_an_event_of_another_process_is_found_without_being_told(url: str) -> None:
    """Two processes: neither hears of the other's commits but by looking."""
    here, there = Database(url), Database(url)
    async with (
        EventLog(here, CURSORS, poll_seconds=0.05) as events,
        EventLog(there, CURSORS, poll_seconds=3600) as others,
    ):
        ours, theirs = (each.follow(here.scoped(OURS), ALL, BEGINNING) for each in (events, others))
        waiting = asyncio.create_task(anext(ours))
        await asyncio.sleep(0)
        await write(there, "from there")
        assert (await waiting).subject_id == "from there"
        assert await take(theirs, 1) == ["from there"]
        for follower in (ours, theirs):
            await follower.aclose()
    await here.close()
    await there.close()


async def test_the_log_goes_on_after_the_database_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "RETRY_SECONDS", 0.01)
    async with EventLog(database, CURSORS, poll_seconds=0.02) as events:
        followed = events.follow(database.scoped(OURS), ALL, BEGINNING)
        await write(database, "before")
        assert await take(followed, 1) == ["before"]
        async with database.writer.connect() as connection, connection.begin():
            await connection.execute(text("ALTER TABLE events RENAME TO away"))
        while "reading the event log failed" not in caplog.text:  # noqa: ASYNC110 -- a log tells nobody
            await asyncio.sleep(0.01)
        async with database.writer.connect() as connection, connection.begin():
            await connection.execute(text("ALTER TABLE away RENAME TO events"))
        await write(database, "after")
        assert await take(followed, 1) == ["after"]
        await followed.aclose()


async def test_no_commit_that_failed_is_told(database: Database) -> None:
    async with EventLog(database, CURSORS) as events:
        followed = events.follow(database.scoped(OURS), ALL, BEGINNING)
        with pytest.raises(ZeroDivisionError):
            await write_and_fail(database)
        await write(database, "kept")
        assert await take(followed, 1) == ["kept"]
        await followed.aclose()
