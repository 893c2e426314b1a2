"""Counters of attempts: each does what a few lines of Python do, in a database that many processes share."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select

from datasources.database.attempts import Counter, MustWait, count_attempt, sweep_attempts, uncount_attempt
from datasources.database.engine import Database
from datasources.database.mail_links import new_link
from datasources.database.people import sweep_people
from datasources.database.tables.access import attempts, familiar_places, mail_links
from datasources.database.tables.gateway import users
from tests.serving import ADA, Running

pytestmark = pytest.mark.anyio

LIMITS = st.builds(
    Counter,
    key=st.just(b""),
    free=st.integers(1, 50),
    first_wait=st.timedeltas(timedelta(seconds=1), timedelta(minutes=5)),
    longest_wait=st.timedeltas(timedelta(minutes=5), timedelta(hours=6)),
    forgotten_after=st.just(timedelta(days=1)),
)


@given(LIMITS, st.integers(1, 10_000))
def test_a_wait_grows_to_the_longest_and_not_beyond(limit: Counter, tried: int) -> None:
    wait, following = limit.wait_after(tried), limit.wait_after(tried + 1)
    if tried < limit.free:
        assert wait is None
    else:
        assert wait is not None
        assert following is not None
        assert limit.first_wait <= wait <= following <= limit.longest_wait
        assert following in (wait * 2, limit.longest_wait)


class Model:
    """What a counter ought to do, in a few lines of Python."""

    def __init__(self, counter: Counter) -> None:
        self.counter, self.count = counter, 0
        self.since = self.until = datetime.min.replace(tzinfo=UTC)

    def admits(self, now: datetime) -> bool:
        """Tries once."""
        if now < self.until:
            return False
        self.count = 1 if now - self.since > self.counter.forgotten_after else self.count + 1
        self.since = now
        self.until = now + (self.counter.wait_after(self.count) or timedelta())
        return True


@pytest.mark.parametrize("seed", range(8))
async def test_a_counter_does_what_its_few_lines_of_python_do(database: Database, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 -- no secret
    minute = timedelta(minutes=1)
    counter = Counter(b"modelled" + bytes([seed]), draw.randint(1, 6), minute, 8 * minute, 30 * minute)
    model, now = Model(counter), datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(60):
        now += draw.choice((0.2, 0.5, 1, 1, 2, 4, 8, 31)) * minute
        until = model.until
        if model.admits(now):
            await count_attempt(database, [counter], now)
        else:
            with pytest.raises(MustWait) as refused:
                await count_attempt(database, [counter], now)
            assert refused.value.until == until


async def test_of_several_counters_one_that_waits_counts_for_all(database: Database) -> None:
    """What is refused is counted nowhere."""
    minute, now = timedelta(minutes=1), datetime.now(UTC)
    wide = Counter(b"wide", 3, minute, minute, minute)
    narrow = Counter(b"narrow", 1, minute, minute, minute)
    await count_attempt(database, [wide, narrow], now)
    for _ in range(5):
        with pytest.raises(MustWait):
            await count_attempt(database, [wide, narrow], now)
    assert await count_attempt(database, [wide], now) == [None]
    assert await count_attempt(database, [wide], now) == [minute]


async def test_an_attempt_that_is_taken_back_takes_its_wait_along(database: Database) -> None:
    minute, now = timedelta(minutes=1), datetime.now(UTC)
    counter = Counter(b"back", 2, minute, minute, minute)
    assert await count_attempt(database, [counter], now) == [None]
    for _ in range(3):
        assert await count_attempt(database, [counter], now) == [minute]
        async with database.unscoped("tests act as the throttle").transaction() as transaction:
            await uncount_attempt(transaction, counter, unblock=True)


async def test_what_counts_no_more_is_swept_and_a_wait_that_lasts_is_not(database: Database) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    rows = [(b"old", 3 * day, None), (b"waits", 3 * day, now + day), (b"over", 3 * day, now - day), (b"new", day, None)]
    async with database.unscoped("tests act as time does").transaction() as transaction:
        await transaction.connection.execute(delete(attempts))
        kept = [{"key": key, "count": 9, "since": now - ago, "blocked_until": until} for key, ago, until in rows]
        await transaction.insert(attempts, kept)
    assert await sweep_attempts(database, now, 2 * day) == 2
    async with database.writer.connect() as connection:
        assert set((await connection.execute(select(attempts.c.key))).scalars()) == {b"waits", b"new"}


async def test_places_and_links_go_when_they_have_had_their_time(gateway: Running, database: Database) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    async with database.unscoped("tests act as time does").transaction() as transaction:
        (ada,) = await transaction.fetch(select(users.c.id).where(users.c.email_key == ADA), str)
        places = [
            {"user_id": ada, "place": each, "last_seen_at": now - ago} for each, ago in ((b"a", day), (b"b", 9 * day))
        ]
        await transaction.connection.execute(delete(familiar_places))
        await transaction.insert(familiar_places, places)
        for key, lifetime in (("fresh@example.com", day), ("ended@example.com", -9 * day)):
            await new_link(transaction, "RESET_PASSWORD", user_id=None, email_key=key, data={}, lifetime=lifetime)
    assert await sweep_people(database, now, places=5 * day, links=5 * day) == 2
    async with database.writer.connect() as connection:
        assert set((await connection.execute(select(familiar_places.c.place))).scalars()) == {b"a"}
        assert set((await connection.execute(select(mail_links.c.email_key))).scalars()) == {"fresh@example.com"}
