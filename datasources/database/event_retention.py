"""Where the log of an organization begins: what is too old or too much is removed, and the place where that ended kept.

What is removed is always the beginning of an organization's log, so that one place, its horizon, says what is gone: the
last event that was removed, written in the transaction that removed it. A cursor before it is too old, one right at it
is the oldest that works.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Insert, Integer, Select, bindparam, delete, desc, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.access import ACCESS_CHANGED
from datasources.database.columns import Big, UtcDateTime, any_of
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.events import BEGINNING, EventPosition, head, settled
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events, organizations
from datasources.database.tables.webhooks import (
    event_horizons,
    webhook_deliveries,
    webhook_endpoints,
    webhook_reader,
    webhook_replays,
)

BATCH = 1_000
"""How many events are removed in one transaction."""
RUNNING_READERS = timedelta(hours=1)
"""What is younger is kept whatever the limits are: a reader may not have handed it out yet."""
GATEWAY_ONLY = timedelta(days=1)
"""How long events are kept that only the processes of the gateway tell each other; no client ever sees them."""

_LOCK = 7_203_015_882
"""The advisory lock of whoever removes events; any number that nobody else uses."""
_END = EventPosition(2**63 - 1, 2**63 - 1)


class Limits(NamedTuple):
    """What is kept of each organization: events younger than ``age``, of the newest ``rows``. Both must hold."""

    age: timedelta
    rows: int


class Busy(Exception):
    """Another process removes events at this moment."""


_PLACE = tuple_(events.c.tx, events.c.position)
_ORDER = (events.c.tx, events.c.position)
_SINCE = events.c.at >= bindparam("since", type_=UtcDateTime())
_FROM = tuple_(bindparam("from_tx", type_=Big), bindparam("from_position", type_=Big))
_UNTIL = tuple_(bindparam("until_tx", type_=Big), bindparam("until_position", type_=Big))
_LIMIT = bindparam("limit", type_=Integer())
_SKIPPED = bindparam("rows", type_=Big)

_HORIZON: Select[Any] = select(event_horizons.c.tx, event_horizons.c.position).where(
    event_horizons.c.organization_id == TENANT
)
_FIRST = (
    select(events.c.at)
    .where(events.c.organization_id == organizations.c.id)
    .order_by(*_ORDER)
    .limit(1)
    .correlate(organizations)
    .scalar_subquery()
)
_ONE_TOO_MANY = (
    select(events.c.position)
    .where(events.c.organization_id == organizations.c.id)
    .order_by(desc(events.c.tx), desc(events.c.position))
    .offset(_SKIPPED)
    .limit(1)
    .correlate(organizations)
    .scalar_subquery()
)
_BEYOND = select(organizations.c.id).where(
    or_(bindparam("before", type_=UtcDateTime()) > _FIRST, _ONE_TOO_MANY.is_not(None))
)
_OURS = events.c.organization_id == TENANT
_FIRST_SINCE = select(*_ORDER).where(_OURS, _SINCE).order_by(*_ORDER).limit(1)
_FIRST_RECENT = select(*_ORDER).where(_OURS, _SINCE, _PLACE < _UNTIL).order_by(*_ORDER).limit(1)
_NEWEST = select(*_ORDER).where(_OURS).order_by(desc(events.c.tx), desc(events.c.position)).offset(_SKIPPED).limit(1)
_REMOVE = delete(events).where(_OURS, _PLACE <= _UNTIL)

_OLDEST_PENDING = (
    select(webhook_deliveries.c.tx, webhook_deliveries.c.position)
    .where(webhook_deliveries.c.organization_id == TENANT, webhook_deliveries.c.status == "PENDING")
    .order_by(webhook_deliveries.c.tx, webhook_deliveries.c.position)
    .limit(1)
)
_OLDEST_ENDPOINT = (
    select(webhook_endpoints.c.since_tx, webhook_endpoints.c.since_position)
    .where(webhook_endpoints.c.organization_id == TENANT)
    .order_by(webhook_endpoints.c.since_tx, webhook_endpoints.c.since_position)
    .limit(1)
)
_OLDEST_REPLAY = (
    select(webhook_replays.c.tx, webhook_replays.c.position)
    .where(webhook_replays.c.organization_id == TENANT)
    .order_by(webhook_replays.c.tx, webhook_replays.c.position)
    .limit(1)
)
_READ_SO_FAR = select(webhook_reader.c.tx, webhook_reader.c.position)

_FIRST_SINCE_OF_ALL = select(*_ORDER).where(_PLACE >= _FROM, _SINCE).order_by(*_ORDER).limit(1)
_UNTOLD = (
    select(events.c.id, *_ORDER)
    .where(_PLACE >= _FROM, _PLACE < _UNTIL, events.c.type == ACCESS_CHANGED)
    .order_by(*_ORDER)
    .limit(_LIMIT)
)
_REMOVE_UNTOLD = delete(events).where(any_of(events.c.id, "ids"), events.c.type == ACCESS_CHANGED)
_TAKE_TURN: Select[Any] = select(func.pg_try_advisory_xact_lock(_LOCK))


@lru_cache(maxsize=2)
def _oldest(dialect: str) -> Select[Any]:
    return select(*_ORDER).where(_OURS, _PLACE < _UNTIL, *settled(dialect)).order_by(*_ORDER).limit(_LIMIT)


@lru_cache(maxsize=2)
def _move_horizon(dialect: str) -> Insert:
    place = {"tx": bindparam("to_tx", type_=Big), "position": bindparam("to_position", type_=Big)}
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    new = insert(event_horizons).values(organization_id=TENANT, **place)
    return new.on_conflict_do_update(index_elements=[event_horizons.c.organization_id], set_=place)


def _until(place: EventPosition) -> dict[str, object]:
    return {"until_tx": place.tx, "until_position": place.position}


def _from(place: EventPosition) -> dict[str, object]:
    return {"from_tx": place.tx, "from_position": place.position}


async def horizon_of(scope: Scope) -> EventPosition | None:
    """The last place of the organization's log that was removed; ``None`` while nothing was."""
    found = await scope.fetch(_HORIZON, EventPosition)
    return found[0] if found else None


async def organizations_beyond(database: Database, limits: Limits, now: datetime) -> list[str]:
    """The ids of the organizations that have more than ``limits`` allow."""
    scope = database.unscoped("which organizations have more events than are kept is asked of all at once")
    return await scope.fetch(_BEYOND, str, {"before": now - limits.age, "rows": limits.rows})


async def first_kept(scope: Scope, limits: Limits, now: datetime) -> EventPosition:
    """The place from which on the organization's log is kept, as far as ``limits`` and running readers go.

    By place: an event is removed for its age only with all those before it, because ages are not quite in the order of
    the log.
    """
    young = await scope.fetch(_FIRST_SINCE, EventPosition, {"since": now - limits.age})
    newest = await scope.fetch(_NEWEST, EventPosition, {"rows": limits.rows - 1})
    within = max(young[0] if young else _END, newest[0] if newest else BEGINNING)
    running = {"since": now - RUNNING_READERS, **_until(within)}  # only of what would go: nothing else is read for it
    recent = await scope.fetch(_FIRST_RECENT, EventPosition, running)
    return recent[0] if recent else within


async def remove_oldest(scope: Scope, until: EventPosition) -> int:
    """Removes the organization's oldest events before ``until``, at most ``BATCH``, and moves its horizon.

    Stops before what a webhook still needs. Returns how many it removed. Raises ``Busy`` when another process is at it.
    """
    async with scope.transaction() as transaction:
        await _take_turn(transaction)
        until = min(until, await _first_for_webhooks(transaction))
        oldest = _oldest(scope.dialect)
        places = await transaction.fetch(oldest, EventPosition, {**_until(until), "limit": BATCH})
        if places:
            last = places[-1]
            await transaction.execute(_REMOVE, _until(last))
            moved = {"to_tx": last.tx, "to_position": last.position}
            await transaction.execute(_move_horizon(scope.dialect), moved)
    return len(places)


async def _take_turn(transaction: Transaction) -> None:
    """One process at a time, until the end of the transaction; SQLite has one writer anyway."""
    if transaction.scope.dialect == "postgresql":
        (ours,) = await transaction.fetch(_TAKE_TURN, bool)
        if not ours:
            raise Busy


async def _first_for_webhooks(transaction: Transaction) -> EventPosition:
    """The first place that webhooks still need: to deliver it now or in a replay, or because none has read it yet.

    How far it has read is asked first: what it reads meanwhile lies after that, and what it had read before has its
    deliveries by then.
    """
    needed = []
    endpoint = await transaction.fetch(_OLDEST_ENDPOINT, EventPosition)
    if endpoint:
        read = await transaction.fetch(_READ_SO_FAR, EventPosition) or endpoint
        needed.append(_right_after(read[0]))
    needed += [_right_after(place) for place in await transaction.fetch(_OLDEST_REPLAY, EventPosition)]
    needed += await transaction.fetch(_OLDEST_PENDING, EventPosition)
    return min(needed, default=_END)


def _right_after(place: EventPosition) -> EventPosition:
    return EventPosition(place.tx, place.position + 1)


class _Untold(NamedTuple):
    id: str
    tx: int
    position: int


class Span(NamedTuple):
    """A part of the log of all organizations: from a place on, up to another that is not in it."""

    place: EventPosition
    until: EventPosition


async def old_from(database: Database, place: EventPosition, now: datetime) -> Span:
    """What of the log from ``place`` on is older than ``GATEWAY_ONLY``, up to the first event that is not."""
    scope = database.unscoped("how far what processes tell each other is old is asked of the log of all organizations")
    end = _right_after(await head(database))
    young = await scope.fetch(_FIRST_SINCE_OF_ALL, EventPosition, {**_from(place), "since": now - GATEWAY_ONLY})
    return Span(place, min(young[0], end) if young else end)


async def remove_untold(database: Database, span: Span) -> Span:
    """Removes events that no client sees, at most ``BATCH``; returns the rest of the span.

    They are no part of what a horizon tells: nobody misses them. Raises ``Busy`` as ``remove_oldest`` does.
    """
    scope = database.unscoped("what processes of the gateway told each other goes, whichever organization it named")
    found = await scope.fetch(_UNTOLD, _Untold, {**_from(span.place), **_until(span.until), "limit": BATCH})
    if found:
        async with scope.transaction() as transaction:
            await _take_turn(transaction)
            await transaction.execute(_REMOVE_UNTOLD, {"ids": [each.id for each in found]})
    last = EventPosition(found[-1].tx, found[-1].position) if len(found) == BATCH else span.until
    return span._replace(place=last)
