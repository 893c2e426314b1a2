"""Pages of an organization's event log, forwards and backwards, in the order that followers see.

On PostgreSQL a page ends where a running transaction could still come before: whoever goes on from its last event
misses nothing.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, bindparam, desc, func, select, tuple_

from datasources.database.columns import Big, Id, any_of
from datasources.database.engine import Scope
from datasources.database.events import COLUMNS, EventPosition, EventRow, seekable, settled
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import events

_BEFORE_ALL, _AFTER_ALL = EventPosition(-1, -1), EventPosition(2**63 - 1, 2**63 - 1)


class Chosen(NamedTuple):
    """Which events: of any of these types and of any of these platforms, and of one business if there is one."""

    types: Collection[str]
    platforms: Collection[str]
    business_id: str | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """Those of the conditions."""
        own: dict[str, object] = {"types": sorted(self.types), "platforms": sorted(self.platforms)}
        return own if self.business_id is None else {**own, "business_id": self.business_id}


class EventWindow(NamedTuple):
    """The part that is asked for: at most ``limit`` events from the start, or from the end, both bounds left out."""

    limit: int
    from_end: bool = False
    after: EventPosition | None = None
    before: EventPosition | None = None


class EventPage(NamedTuple):
    """Events in the order of the log, and whether there are more in the window on the side where it was cut."""

    events: list[EventRow]
    more: bool


def _conditions(dialect: str, *, of_business: bool) -> list[ColumnElement[bool]]:
    conditions = [
        events.c.organization_id == TENANT,
        any_of(events.c.type, "types"),
        any_of(events.c.platform, "platforms"),
        *settled(dialect),
    ]
    if of_business:
        conditions.append(events.c.business_id == bindparam("business_id", type_=Id))
    return conditions


@lru_cache(maxsize=8)
def page_statement(dialect: str, *, from_end: bool, of_business: bool) -> Select[Any]:
    """The statement for pages of this shape."""
    place = tuple_(events.c.tx, events.c.position)
    after = tuple_(bindparam("after_tx", type_=Big), bindparam("after_position", type_=Big))
    before = tuple_(bindparam("before_tx", type_=Big), bindparam("before_position", type_=Big))
    order = (events.c.tx, events.c.position)
    bounds = (
        events.c.position > bindparam("after_position", type_=Big),
        events.c.position < bindparam("before_position", type_=Big),
    )
    return (
        select(*COLUMNS)
        .where(
            *_conditions(dialect, of_business=of_business), place > after, place < before, *seekable(dialect, *bounds)
        )
        .order_by(*(map(desc, order) if from_end else order))
        .limit(bindparam("limit", type_=Integer()))
    )


@lru_cache(maxsize=4)
def _count(dialect: str, *, of_business: bool) -> Select[Any]:
    return select(func.count()).select_from(events).where(*_conditions(dialect, of_business=of_business))


async def event_page(scope: Scope, chosen: Chosen, window: EventWindow) -> EventPage:
    """One page, in one statement."""
    after, before = window.after or _BEFORE_ALL, window.before or _AFTER_ALL
    parameters = {
        **chosen.parameters,
        "after_tx": after.tx,
        "after_position": after.position,
        "before_tx": before.tx,
        "before_position": before.position,
        "limit": window.limit + 1,
    }
    statement = page_statement(scope.dialect, from_end=window.from_end, of_business=chosen.business_id is not None)
    found = await scope.fetch(statement, EventRow, parameters)
    kept = found[: window.limit]
    if window.from_end:
        kept.reverse()
    return EventPage(kept, len(found) > window.limit)


async def count_events(scope: Scope, chosen: Chosen) -> int:
    """How many there are altogether."""
    statement = _count(scope.dialect, of_business=chosen.business_id is not None)
    (total,) = await scope.fetch(statement, int, chosen.parameters)
    return total
