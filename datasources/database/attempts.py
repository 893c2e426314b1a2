"""How often something was tried: counters that are shared by all processes, under keyed digests of what is counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Boolean, LargeBinary, bindparam, case, delete, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert

from datasources.database.columns import Big, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.tables.access import attempts

_SWEPT_AT_ONCE = 5_000


class Counter(NamedTuple):
    """One thing that is counted.

    ``free`` attempts cost no wait. That many bring a wait of ``first_wait``, each further one twice as long a wait, up
    to ``longest_wait``. After ``forgotten_after`` without an attempt the count begins anew.
    """

    key: bytes
    free: int
    first_wait: timedelta
    longest_wait: timedelta
    forgotten_after: timedelta

    def wait_after(self, count: int) -> timedelta | None:
        """How long after this many attempts the next one has to wait."""
        if count < self.free:
            return None
        doubled: int = 2 ** min(count - self.free, 30)
        return min(self.longest_wait, self.first_wait * doubled)


class MustWait(Exception):
    """An attempt may not be made before ``until``."""

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until


class _Refused(Exception):
    """One of the counters lets nobody through; the transaction ends with nothing counted."""


class _Block(NamedTuple):
    until: datetime | None


_KEY = bindparam("its_key", type_=LargeBinary())
_BLOCK = update(attempts).where(attempts.c.key == _KEY).values(blocked_until=bindparam("until", type_=UtcDateTime()))
_BLOCKED_UNTIL = select(attempts.c.blocked_until).where(attempts.c.key == _KEY)
_CLEAR = delete(attempts).where(attempts.c.key == _KEY)
_LESSEN = (
    update(attempts)
    .where(attempts.c.key == _KEY, attempts.c.count > 0)
    .values(
        count=attempts.c.count - 1,
        blocked_until=case(
            (or_(bindparam("unblock", type_=Boolean()), attempts.c.count - 1 < bindparam("free", type_=Big)), null()),
            else_=attempts.c.blocked_until,
        ),
    )
)
_OLD = (
    select(attempts.c.key)
    .where(
        attempts.c.since < bindparam("before", type_=UtcDateTime()),
        or_(attempts.c.blocked_until.is_(None), attempts.c.blocked_until < bindparam("now", type_=UtcDateTime())),
    )
    .limit(_SWEPT_AT_ONCE)
)
_SWEEP = delete(attempts).where(attempts.c.key.in_(_OLD))


@lru_cache(maxsize=2)
def _count(dialect: str) -> ReturningInsert[tuple[int]]:
    """Counts one more attempt, unless they are blocked: then it touches nothing and returns nothing."""
    now = bindparam("now", type_=UtcDateTime())
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    forgotten = attempts.c.since < bindparam("forgotten_before", type_=UtcDateTime())
    return (
        insert(attempts)
        .values(key=_KEY, count=literal(1, Big), since=now, blocked_until=null())
        .on_conflict_do_update(
            index_elements=[attempts.c.key],
            set_={
                "count": case((forgotten, literal(1, Big)), else_=attempts.c.count + 1),
                "since": now,
                "blocked_until": null(),
            },
            where=or_(attempts.c.blocked_until.is_(None), attempts.c.blocked_until <= now),
        )
        .returning(attempts.c.count)
    )


async def count_attempt(database: Database, counters: Sequence[Counter], now: datetime) -> list[timedelta | None]:
    """Counts an attempt before it is made, so that no two of it slip through; returns the waits that it brought on.

    Raises ``MustWait``, with nothing counted, when one of the counters has a wait that is not over. Counters are to be
    given in one order everywhere, for each is locked until the last is counted.
    """
    scope = database.unscoped("attempts are counted before it is known who makes them")
    try:
        async with scope.transaction() as transaction:
            return [await _count_one(transaction, each, now) for each in counters]
    except _Refused:
        ends = []
        for each in counters:
            ends += await scope.fetch(_BLOCKED_UNTIL, _Block, {"its_key": each.key})
        raise MustWait(max((end.until for end in ends if end.until is not None), default=now)) from None


async def _count_one(transaction: Transaction, counter: Counter, now: datetime) -> timedelta | None:
    values = {"its_key": counter.key, "now": now, "forgotten_before": now - counter.forgotten_after}
    counted = await transaction.fetch(_count(transaction.scope.dialect), int, values)
    if not counted:
        raise _Refused
    wait = counter.wait_after(counted[0])
    if wait is not None:
        await transaction.execute(_BLOCK, {"its_key": counter.key, "until": now + wait})
    return wait


async def clear_attempts(transaction: Transaction, counter: Counter) -> None:
    """Forgets all attempts."""
    await transaction.execute(_CLEAR, {"its_key": counter.key})


async def uncount_attempt(transaction: Transaction, counter: Counter, *, unblock: bool) -> None:
    """Takes one attempt back; with ``unblock`` also the wait that holds now, which that attempt has brought on."""
    await transaction.execute(_LESSEN, {"its_key": counter.key, "free": counter.free, "unblock": unblock})


async def sweep_attempts(database: Database, now: datetime, older_than: timedelta) -> int:
    """Removes counters that nothing was added to for so long, at most 5,000; returns how many."""
    scope = database.unscoped("counters of attempts are removed when they count no more")
    async with scope.transaction() as transaction:
        return await transaction.execute(_SWEEP, {"before": now - older_than, "now": now})
