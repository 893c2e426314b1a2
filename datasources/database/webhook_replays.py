"""Replays: what an endpoint gets again, or for the first time, of all that happened after a place of the log.

A replay goes in steps, each a transaction of its own, for it can be of everything that the log keeps. Its row says how
far it has come and moves with the deliveries of the step, so that a crash between two steps loses and repeats nothing.
While much of the last step is still on its way the next one waits: then what happens now is not held up by what
happened long ago, and nobody who looks for what is due has to look past all of it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.columns import Big, Id, UtcDateTime, any_of
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.events import BEGINNING, EventPosition, seekable
from datasources.database.ids import ulid
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_reader, webhook_replays
from datasources.database.webhook_deliveries import GIVE_UP
from datasources.database.webhooks import ACTIVE, PENDING, READER, LockedEndpoint, lock_endpoint

STEP = 1_000
"""How many deliveries a step makes."""

_END = EventPosition(2**63 - 1, 2**63 - 1)


class ReplayRow(NamedTuple):
    """A replay that goes on: ``scheduled`` of ``total`` deliveries are on their way, as counted when it began."""

    endpoint_id: str
    requested_at: datetime
    scheduled: int
    total: int


class RunningReplay(NamedTuple):
    """A replay with what its next step needs; the ``since`` are those of its endpoint, ``until`` as in ``Plan``."""

    endpoint_id: str
    organization_id: str
    tx: int
    position: int
    until_tx: int
    until_position: int
    since_tx: int
    since_position: int
    since_running: list[int]
    events: list[str]

    @property
    def place(self) -> EventPosition:
        """Everything up to here is on its way."""
        return EventPosition(self.tx, self.position)

    @property
    def until(self) -> EventPosition:
        """How far the log was read for webhooks when the replay was asked for."""
        return EventPosition(self.until_tx, self.until_position)


class Plan(NamedTuple):
    """A replay of all after ``after``, as things stood when it was looked at.

    ``until`` is how far the log was read for webhooks: what comes later gets its delivery from the reader. ``to`` is
    where the first step ends, ``None`` when one is enough; ``total`` is counted only when it is not.
    """

    after: EventPosition
    until: EventPosition
    to: EventPosition | None
    total: int


class _Sight(NamedTuple):
    """An endpoint as a plan sees it. The reader has no place before there is an endpoint."""

    events: list[str]
    since_tx: int
    since_position: int
    since_running: list[int]
    read_tx: int | None
    read_position: int | None
    replay_tx: int | None
    replay_position: int | None


_D, _E, _R, _L = webhook_deliveries.c, webhook_endpoints.c, webhook_replays.c, events.c
_WHOSE = bindparam("whose", type_=Id)
_NOW = bindparam("now", type_=UtcDateTime())


def _place(name: str) -> ColumnElement[Any]:
    return tuple_(bindparam(f"{name}_tx", type_=Big), bindparam(f"{name}_position", type_=Big))


def _covered(of: ColumnCollection[str, Any], kind: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """What a replay is of: what the reader had come to, and what it will not make deliveries of for this endpoint."""
    place = tuple_(of.tx, of.position)
    never_its_own = and_(place <= _place("since"), ~any_of(cast(of.tx, Text()), "running"))
    return (
        place > _place("after"),
        place <= _place("to"),
        or_(place <= _place("until"), never_its_own),
        any_of(kind, "types"),
    )


_SIGHT = (
    select(
        _E.events,
        _E.since_tx,
        _E.since_position,
        _E.since_running,
        webhook_reader.c.tx,
        webhook_reader.c.position,
        _R.tx,
        _R.position,
    )
    .select_from(
        webhook_endpoints.outerjoin(webhook_reader, webhook_reader.c.id == READER).outerjoin(
            webhook_replays, and_(_R.organization_id == TENANT, _R.endpoint_id == _E.id)
        )
    )
    .where(_E.organization_id == TENANT, _E.id == _WHOSE)
)
_AGAIN = (
    update(webhook_deliveries)
    .where(_D.organization_id == TENANT, _D.endpoint_id == _WHOSE)
    .values(
        status=PENDING,
        attempts=0,
        next_attempt_at=bindparam("next_at", type_=UtcDateTime()),
        give_up_at=bindparam("give_up", type_=UtcDateTime()),
        settled_at=None,
    )
)
_THESE_AGAIN = _AGAIN.where(any_of(_D.id, "ids"))
_COVERED_AGAIN = _AGAIN.where(*_covered(_D, _D.event_type))
_LAST_STEP = (
    select(_D.status)
    .where(_D.organization_id == TENANT, _D.endpoint_id == _WHOSE, tuple_(_D.tx, _D.position) <= _place("to"))
    .order_by(_D.tx.desc(), _D.position.desc())
    .limit(bindparam("step", type_=Integer()))
    .subquery()
)
_STILL_WAITING = select(func.count()).where(_LAST_STEP.c.status == PENDING)

_RUNNING = (
    select(
        _R.endpoint_id,
        _R.organization_id,
        _R.tx,
        _R.position,
        _R.until_tx,
        _R.until_position,
        _E.since_tx,
        _E.since_position,
        _E.since_running,
        _E.events,
    )
    .join_from(webhook_replays, webhook_endpoints, _R.endpoint_id == _E.id)
    .where(_E.status == ACTIVE)
    .order_by(_R.requested_at)
)
_PROGRESS = select(*(_R[name] for name in ReplayRow._fields)).where(
    _R.organization_id == TENANT, any_of(_R.endpoint_id, "endpoints")
)
_THIS = (_R.organization_id == TENANT, _R.endpoint_id == _WHOSE)
_STILL_THERE = (_R.tx == bindparam("after_tx", type_=Big), _R.position == bindparam("after_position", type_=Big))
_MOVE = (
    update(webhook_replays)
    .where(*_THIS)
    .values(
        tx=bindparam("to_tx", type_=Big),
        position=bindparam("to_position", type_=Big),
        scheduled=_R.scheduled + bindparam("made", type_=Big),
    )
)
_IS_STILL_THERE = select(_R.endpoint_id).where(*_THIS, *_STILL_THERE)
_REMOVE = delete(webhook_replays).where(*_THIS)


@lru_cache(maxsize=2)
def _covered_events(dialect: str) -> tuple[ColumnElement[bool], ...]:
    after, to = (bindparam(f"{name}_position", type_=Big) for name in ("after", "to"))
    seeking = seekable(dialect, _L.position > after, _L.position <= to)
    return (_L.organization_id == TENANT, *_covered(_L, _L.type), *seeking)


@lru_cache(maxsize=2)
def _nth_event(dialect: str) -> Select[Any]:
    found = select(_L.tx, _L.position).where(*_covered_events(dialect)).order_by(_L.tx, _L.position)
    return found.offset(bindparam("skipped", type_=Integer())).limit(1)


@lru_cache(maxsize=2)
def _count(dialect: str) -> Select[Any]:
    return select(func.count()).select_from(events).where(*_covered_events(dialect))


async def plan_replay(scope: Scope, endpoint_id: str, after: EventPosition) -> Plan | None:
    """What a replay of all after a place comes to; ``None`` when there is no such endpoint. Takes no lock.

    One that runs already is taken up into it: it begins where the one that began earlier has come to.
    """
    found = await scope.fetch(_SIGHT, _Sight, {"whose": endpoint_id})
    if not found:
        return None
    (sight,) = found
    if sight.replay_tx is not None and sight.replay_position is not None:
        after = min(after, EventPosition(sight.replay_tx, sight.replay_position))
    read = BEGINNING
    if sight.read_tx is not None and sight.read_position is not None:
        read = EventPosition(sight.read_tx, sight.read_position)
    since = EventPosition(sight.since_tx, sight.since_position)
    span = _span(after, _END, read, since, sight.since_running, sight.events)
    to = await _end_of_step(scope, span)
    total = 0 if to is None else (await scope.fetch(_count(scope.dialect), int, span))[0]
    return Plan(after, read, to, total)


async def replay(
    transaction: Transaction,
    endpoint_id: str,
    plan: Plan | None,
    delivery_ids: Sequence[str],
    *,
    now: datetime | None = None,
) -> int:
    """Has things posted again as the same deliveries, for 72 hours anew; returns how many.

    These deliveries, and what ``plan`` says: what never had a delivery gets one, without a number. The first step is
    made here, all others by ``step``.
    """
    endpoint = await lock_endpoint(transaction, endpoint_id)
    if endpoint is None:
        return 0
    now = now or datetime.now(UTC)
    count = 0
    if delivery_ids:
        values = {"whose": endpoint_id, **_times(endpoint, now), "ids": list(delivery_ids)}
        count = await transaction.execute(_THESE_AGAIN, values)
    if plan is None:
        return count
    await transaction.execute(_REMOVE, {"whose": endpoint_id})
    first = await _make_step(transaction, endpoint, plan.after, plan.to or _END, plan.until, now)
    if plan.to is None:
        return count + first
    row = {
        "endpoint_id": endpoint_id,
        "tx": plan.to.tx,
        "position": plan.to.position,
        "until_tx": plan.until.tx,
        "until_position": plan.until.position,
        "scheduled": first,
        "total": plan.total,
        "requested_at": now,
    }
    await transaction.insert(webhook_replays, [row])
    return count + plan.total


async def running_replays(database: Database) -> list[RunningReplay]:
    """The replays that can go on, the oldest first: not those of endpoints that nothing is sent to."""
    scope = database.unscoped("whoever is free goes on with replays, whichever organization they are of")
    return await scope.fetch(_RUNNING, RunningReplay)


async def step(database: Database, running: RunningReplay, now: datetime) -> bool:
    """Goes on with a replay; ``False`` when its receiver has enough to do as it is, or another process was quicker."""
    scope = database.scoped(running.organization_id)
    behind = {"whose": running.endpoint_id, "to_tx": running.tx, "to_position": running.position, "step": STEP}
    (waiting,) = await scope.fetch(_STILL_WAITING, int, behind)
    if waiting > STEP // 2:
        return False
    since = EventPosition(running.since_tx, running.since_position)
    span = _span(running.place, _END, running.until, since, running.since_running, running.events)
    to = await _end_of_step(scope, span)
    this = {"whose": running.endpoint_id}
    async with scope.transaction() as transaction:
        endpoint = await lock_endpoint(transaction, running.endpoint_id)
        if endpoint is None or endpoint.status != ACTIVE:
            return False
        seen = {**this, "after_tx": running.tx, "after_position": running.position}
        if not await transaction.fetch(_IS_STILL_THERE, str, seen):
            return False
        made = await _make_step(transaction, endpoint, running.place, to or _END, running.until, now)
        if to is None:
            await transaction.execute(_REMOVE, this)
        else:
            await transaction.execute(_MOVE, {**this, "to_tx": to.tx, "to_position": to.position, "made": made})
    return True


async def replays_of(scope: Scope, endpoint_ids: Sequence[str]) -> dict[str, ReplayRow]:
    """The replays of the organization that go on, by endpoint."""
    return {row.endpoint_id: row for row in await scope.fetch(_PROGRESS, ReplayRow, {"endpoints": endpoint_ids})}


async def _end_of_step(scope: Scope, span: Mapping[str, object]) -> EventPosition | None:
    """The place of the last event of a step; ``None`` when the rest is less than one."""
    found = await scope.fetch(_nth_event(scope.dialect), EventPosition, {**span, "skipped": STEP - 1})
    return found[0] if found else None


async def _make_step(
    transaction: Transaction,
    endpoint: LockedEndpoint,
    after: EventPosition,
    to: EventPosition,
    until: EventPosition,
    now: datetime,
) -> int:
    span = _span(after, to, until, endpoint.since, endpoint.since_running, endpoint.events)
    values = {**span, "whose": endpoint.id, **_times(endpoint, now)}
    count = await transaction.execute(_COVERED_AGAIN, values)
    ids = {"time": f"whd_{ulid(int(now.timestamp() * 1_000), 0)[:10]}", "now": now}
    return count + await transaction.execute(_make_missing(transaction.scope.dialect), {**values, **ids})


def _times(endpoint: LockedEndpoint, now: datetime) -> dict[str, object]:
    return {"next_at": now if endpoint.status == ACTIVE else None, "give_up": now + GIVE_UP}


def _span(
    after: EventPosition,
    to: EventPosition,
    until: EventPosition,
    since: EventPosition,
    running: Sequence[int],
    types: Sequence[str],
) -> dict[str, object]:
    """Parameters of ``_covered``."""
    places = {"after": after, "to": to, "until": until, "since": since}
    numbers = {f"{name}_{part}": number for name, place in places.items() for part, number in place._asdict().items()}
    return {**numbers, "running": [str(each) for each in running], "types": list(types)}


@lru_cache(maxsize=2)
def _make_missing(dialect: str) -> Insert:
    """Deliveries without a number for events that have none, made by the database."""
    row: dict[str, ColumnElement[Any]] = {
        "id": bindparam("time", type_=Text()).concat(_sixteen_random(dialect)),
        "organization_id": _L.organization_id,
        "endpoint_id": _WHOSE,
        "event_id": _L.id,
        "event_type": _L.type,
        "tx": _L.tx,
        "position": _L.position,
        "status": literal(PENDING),
        "attempts": literal(0),
        "next_attempt_at": bindparam("next_at", type_=UtcDateTime()),
        "give_up_at": bindparam("give_up", type_=UtcDateTime()),
        "created_at": _NOW,
    }
    found = select(*row.values()).where(*_covered_events(dialect))
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    # Which are missing is the unique index's business: a join could be planned badly while the table grows.
    return insert(webhook_deliveries).from_select(list(row), found).on_conflict_do_nothing()


def _sixteen_random(dialect: str) -> ColumnElement[str]:
    """Characters that an id of ours may end in, other ones for each row."""
    if dialect == "postgresql":
        return func.substr(func.replace(cast(func.gen_random_uuid(), Text()), "-", ""), 17)
    return func.lower(func.hex(func.randomblob(8)))
