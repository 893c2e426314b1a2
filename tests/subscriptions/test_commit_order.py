"""PostgreSQL gives numbers before the commit; followers see commits in an order in which none is passed by."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from sqlalchemy import text

from datasources.database.engine import Database, Transaction
from datasources.database.events import BEGINNING, NewEvent, append_event
from datasources.database.migrate import BUILT_IN, upgrade
from subscriptions.cursors import Cursors
from subscriptions.interest import Interest
from subscriptions.log import EventLog

pytestmark = pytest.mark.anyio

OURS = "org_ours"
ALL = Interest(frozenset({"OrderChanged"}))


@pytest.fixture
async def database(fresh_postgres: str) -> AsyncIterator[Database]:
    """An event log on PostgreSQL, empty."""
    found = Database(fresh_postgres, pool_size=20)
    await upgrade(found, BUILT_IN[:1])
    async with found.unscoped("tests make organizations").transaction() as transaction:
        await transaction.connection.execute(
            text("INSERT INTO organizations VALUES (:id, :id, :id, '[]', now())"), {"id": OURS}
        )
    yield found
    await found.close()


def changed(subject: str) -> NewEvent:
    return NewEvent("messaging", "OrderChanged", subject, None, {})


class Open:
    """A transaction that has written its event and waits to be told how it ends."""

    def __init__(self, database: Database, subject: str) -> None:
        self._end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._written = asyncio.Event()
        self._task = asyncio.create_task(self._run(database, subject))

    async def _run(self, database: Database, subject: str) -> None:
        async with database.scoped(OURS).transaction() as transaction:
            await append_event(transaction, changed(subject))
            self._written.set()
            if not await self._end:
                raise _RolledBack

    async def written(self) -> "Open":
        """When its event has its number."""
        await self._written.wait()
        return self

    async def end(self, *, commit: bool = True) -> None:
        """Commits it, or takes it back."""
        self._end.set_result(commit)
        await asyncio.wait([self._task])
        if commit:
            await self._task
        else:
            assert isinstance(self._task.exception(), _RolledBack)


class _RolledBack(Exception):
    pass


async def test_a_commit_that_overtakes_another_does_not_hide_it(database: Database) -> None:
    async with EventLog(database, Cursors(bytes(32)), poll_seconds=0.02) as events:
        followed = events.follow(database.scoped(OURS), ALL, None)
        following = asyncio.create_task(anext(followed))
        await asyncio.sleep(0)
        slow = await Open(database, "slow").written()
        quick = await Open(database, "quick").written()
        await quick.end()
        await asyncio.wait([following], timeout=0.2)
        assert not following.done(), "what the slow one writes would come before it"
        await slow.end()
        assert [(await following).subject_id, (await anext(followed)).subject_id] == ["slow", "quick"]
        await followed.aclose()


async def test_a_transaction_that_is_taken_back_lets_the_others_through(database: Database) -> None:
    async with EventLog(database, Cursors(bytes(32)), poll_seconds=0.02) as events:
        followed = events.follow(database.scoped(OURS), ALL, BEGINNING)
        slow = await Open(database, "slow").written()
        await (await Open(database, "quick").written()).end()
        following = asyncio.create_task(anext(followed))
        await slow.end(commit=False)
        assert (await following).subject_id == "quick"
        await followed.aclose()


async def test_the_first_event_of_a_transaction_that_wrote_before_is_in_its_place(database: Database) -> None:
    """The number of the transaction is given at its first write, whenever it writes its event."""
    async with EventLog(database, Cursors(bytes(32)), poll_seconds=0.02) as events:
        followed = events.follow(database.scoped(OURS), ALL, BEGINNING)

        async def early(transaction: Transaction) -> None:
            await transaction.connection.execute(text("UPDATE organizations SET name = 'x'"))

        async with database.scoped(OURS).transaction() as first:
            await early(first)
            async with database.scoped(OURS).transaction() as second:
                await append_event(second, changed("second"))
            await append_event(first, changed("first"))
        assert [(await anext(followed)).subject_id for _ in range(2)] == ["first", "second"]
        await followed.aclose()


async def test_with_many_transactions_that_overlap_each_follower_sees_each_commit_once(database: Database) -> None:
    draw = Random(11)  # noqa: S311
    async with EventLog(database, Cursors(bytes(32)), poll_seconds=0.01) as events:
        seen: list[list[str]] = []

        async def follow() -> None:
            mine: list[str] = []
            seen.append(mine)
            async for event in events.follow(database.scoped(OURS), ALL, BEGINNING):
                mine.append(event.subject_id)
                if event.subject_id == "last":
                    return

        followers = [asyncio.create_task(follow()) for _ in range(3)]
        kept = set()

        async def write(number: int) -> None:
            await asyncio.sleep(draw.random() / 5)
            transaction = await Open(database, str(number)).written()
            await asyncio.sleep(draw.random() / 20)
            commit = draw.random() < 0.8
            if commit:
                kept.add(str(number))
            await transaction.end(commit=commit)

        await asyncio.gather(*(write(number) for number in range(150)))
        await (await Open(database, "last").written()).end()
        await asyncio.gather(*followers)
        assert seen[0] == seen[1] == seen[2]
        assert sorted(seen[0]) == sorted([*kept, "last"])


async def test_the_log_goes_on_after_the_server_cut_every_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subscriptions.log.RETRY_SECONDS", 0.01)
    async with EventLog(database, Cursors(bytes(32)), poll_seconds=0.02) as events:
        followed = events.follow(database.scoped(OURS), ALL, BEGINNING)
        await (await Open(database, "before").written()).end()
        assert (await anext(followed)).subject_id == "before"
        other = Database(database.url.render_as_string(hide_password=False), pool_size=1)
        async with other.writer.connect() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        async with other.scoped(OURS).transaction() as transaction:
            await append_event(transaction, changed("after"))
        assert (await anext(followed)).subject_id == "after"
        await followed.aclose()
        await other.close()
