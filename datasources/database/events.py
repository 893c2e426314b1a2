"""The event log: written in the transaction of the change, read in the order of commits.

On PostgreSQL row numbers are given before the commit, so that a higher number can become visible before a lower one.
Each event therefore also has the id of its transaction, and a reader sees only transactions older than every one that
still runs (``pg_snapshot_xmin``): what it has passed can no longer fill. On SQLite there is one writer at a time,
numbers are given in the order of commits, and the transaction id is always 0.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Insert, Select, Text, bindparam, cast, desc, func, literal, select, tuple_

from datasources.database.columns import Big, any_of
from datasources.database.engine import Announced, Database, Scope, Transaction
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events

ERA = 2**40
"""Positions from one restore of the database to the next; more events than ever happen between two."""


class EventPosition(NamedTuple):
    """A place in the log."""

    tx: int
    position: int

    @property
    def era(self) -> int:
        """How often the log was numbered anew before it had this place (see ``after_restore``).

        A place of an era before that of the log does not fit it any more: what comes after it cannot be told.
        """
        return self.position // ERA


BEGINNING = EventPosition(0, 0)


class EventRow(NamedTuple):
    """Something that happened."""

    tx: int
    position: int
    id: str
    organization_id: str
    platform_key: str
    type: str
    business_id: str | None
    subject_id: str
    at: datetime
    data: Mapping[str, Any]

    @property
    def place(self) -> EventPosition:
        """Where it stands in the log."""
        return EventPosition(self.tx, self.position)


class NewEvent(NamedTuple):
    """What is to be written: the platform's key, the name of the event's type, what it happened to, and its details."""

    platform: str
    type: str
    subject_id: str
    business_id: str | None
    data: Mapping[str, Any]


async def append_event(transaction: Transaction, event: NewEvent) -> str:
    """Writes an event in the transaction of its change and returns its id; subscribers learn of it after the commit."""
    identity = new_id("evt")
    row = {
        **event._asdict(),
        "id": identity,
        "at": datetime.now(UTC),
        "organization_id": transaction.scope.organization_id,
    }
    statement = _insert(transaction.scope.dialect)
    await transaction.connection.execute(statement, row)
    transaction.announced.append(Announced(event.type, event.subject_id))
    return identity


@lru_cache(maxsize=2)
def _insert(dialect: str) -> Insert:
    own_tx: ColumnElement[int] = literal(0)
    if dialect == "postgresql":
        own_tx = cast(cast(func.pg_current_xact_id(), Text()), Big)
    return events.insert().values(tx=own_tx)


COLUMNS = (
    events.c.tx,
    events.c.position,
    events.c.id,
    events.c.organization_id,
    events.c.platform,
    events.c.type,
    events.c.business_id,
    events.c.subject_id,
    events.c.at,
    events.c.data,
)


def settled(dialect: str) -> list[ColumnElement[bool]]:
    """Conditions on an event: only what no running transaction can still come before."""
    if dialect != "postgresql":
        return []
    oldest = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text()), Big)
    return [events.c.tx < oldest]


def seekable(dialect: str, *bounds: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    """Conditions that let SQLite go straight to a place of the log; ``bounds`` are on ``events.c.position``.

    They follow from what is asked for anyway, as every ``tx`` is 0 there. Without them SQLite reads the log from its
    beginning: of a row value it looks up only the first column when the second one is the key of the table.
    """
    return [events.c.tx == 0, *bounds] if dialect == "sqlite" else []


@lru_cache(maxsize=4)
def _after(dialect: str, *, one_organization: bool) -> Select[Any]:
    place = tuple_(bindparam("after_tx", type_=Big), bindparam("after_position", type_=Big))
    statement = select(*COLUMNS).where(
        tuple_(events.c.tx, events.c.position) > place,
        *settled(dialect),
        *seekable(dialect, events.c.position > bindparam("after_position", type_=Big)),
    )
    if one_organization:
        until = tuple_(bindparam("until_tx", type_=Big), bindparam("until_position", type_=Big))
        statement = statement.where(
            events.c.organization_id == TENANT,
            tuple_(events.c.tx, events.c.position) <= until,
            *seekable(dialect, events.c.position <= bindparam("until_position", type_=Big)),
            any_of(events.c.type, "types"),
        )
    return statement.order_by(events.c.tx, events.c.position).limit(bindparam("limit"))


@lru_cache(maxsize=2)
def _head(dialect: str) -> Select[Any]:
    return (
        select(events.c.tx, events.c.position)
        .where(*settled(dialect))
        .order_by(desc(events.c.tx), desc(events.c.position))
        .limit(1)
    )


_NEWEST: Select[Any] = (
    select(*COLUMNS)
    .where(
        tuple_(events.c.tx, events.c.position)
        <= tuple_(bindparam("until_tx", type_=Big), bindparam("until_position", type_=Big))
    )
    .order_by(desc(events.c.tx), desc(events.c.position))
    .limit(bindparam("limit"))
)
_HELD_BACK: Select[Any] = select(
    select(events.c.tx)
    .where(
        tuple_(events.c.tx, events.c.position)
        > tuple_(bindparam("after_tx", type_=Big), bindparam("after_position", type_=Big))
    )
    .exists()
)
_BY_ID = select(*COLUMNS).where(events.c.organization_id == TENANT, any_of(events.c.id, "ids"))


async def events_after(
    scope: Scope, after: EventPosition, limit: int, *, until: EventPosition, types: Collection[str]
) -> list[EventRow]:
    """The organization's events of these types after a place up to another, in order, at most ``limit``."""
    parameters = {
        "after_tx": after.tx,
        "after_position": after.position,
        "until_tx": until.tx,
        "until_position": until.position,
        "types": sorted(types),
        "limit": limit,
    }
    return await scope.fetch(_after(scope.dialect, one_organization=True), EventRow, parameters)


async def all_events_after(database: Database, after: EventPosition, limit: int) -> list[EventRow]:
    """As ``events_after``, of every organization: for the one reader of the process that hands them out."""
    scope = database.unscoped("the tail reads the log once for all organizations")
    parameters = {"after_tx": after.tx, "after_position": after.position, "limit": limit}
    return await scope.fetch(_after(scope.dialect, one_organization=False), EventRow, parameters)


async def newest_events(database: Database, until: EventPosition, limit: int) -> list[EventRow]:
    """The last events of all organizations up to a place, in order, at most ``limit``."""
    scope = database.unscoped("a process that starts remembers what happened last")
    parameters = {"until_tx": until.tx, "until_position": until.position, "limit": limit}
    return (await scope.fetch(_NEWEST, EventRow, parameters))[::-1]


async def head(database: Database) -> EventPosition:
    """The place of the last event that is settled."""
    scope = database.unscoped("the tail begins where the log ends")
    found = await scope.fetch(_head(scope.dialect), EventPosition)
    return found[0] if found else BEGINNING


async def any_held_back(database: Database, after: EventPosition) -> bool:
    """Whether events after a place were committed that were not settled when a reader had come to it."""
    if database.dialect != "postgresql":
        return False
    scope = database.unscoped("the tail learns whether an older transaction holds events back")
    found = await scope.fetch(_HELD_BACK, bool, {"after_tx": after.tx, "after_position": after.position})
    return found[0]


async def events_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, EventRow]:
    """Events by id."""
    return {row.id: row for row in await scope.fetch(_BY_ID, EventRow, {"ids": ids})}
