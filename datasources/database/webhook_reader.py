"""The log as webhooks read it: for each event one delivery to each endpoint that gets it, once and for all.

One process at a time reads, behind a lock on the row that says how far. Deliveries, their numbers and that place are
written in one transaction, so that whatever crashes, each event has exactly one delivery for each endpoint.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, desc, select, tuple_, update

from datasources.database.columns import Big, Id, any_of
from datasources.database.engine import Database, Transaction
from datasources.database.events import COLUMNS, EventPosition, EventRow, all_events_after
from datasources.database.ids import new_id
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_reader
from datasources.database.webhook_deliveries import GIVE_UP
from datasources.database.webhooks import ACTIVE, DISABLED, PENDING, READER

BATCH = 500
"""How many events are read in one transaction."""


class _Endpoint(NamedTuple):
    id: str
    organization_id: str
    events: list[str]
    status: str
    since_tx: int
    since_position: int
    since_running: list[int]
    last_sequence: int

    def gets(self, event: EventRow) -> bool:
        """Whether an event is for it."""
        return (
            event.organization_id == self.organization_id
            and event.type in self.events
            and (event.place > (self.since_tx, self.since_position) or event.tx in self.since_running)
        )


_T = webhook_endpoints.c
_ORGANIZATIONS = select(_T.organization_id).distinct()
_READ_SO_FAR = select(webhook_reader.c.tx, webhook_reader.c.position).where(webhook_reader.c.id == READER)
_LOCK = _READ_SO_FAR.with_for_update(skip_locked=True)
_MOVE = (
    update(webhook_reader)
    .where(webhook_reader.c.id == READER)
    .values(tx=bindparam("to_tx", type_=Big), position=bindparam("to_position", type_=Big))
)
_LOCK_ENDPOINTS = (
    select(*(_T[name] for name in _Endpoint._fields))
    .where(any_of(_T.organization_id, "organizations"), _T.status != DISABLED)
    .order_by(_T.id)
    .with_for_update(key_share=True)
)
_COUNT_ON = (
    update(webhook_endpoints)
    .where(_T.id == bindparam("endpoint_id", type_=Id))
    .values(last_sequence=bindparam("now_at", type_=Big))
)
_ORDER = (events.c.tx, events.c.position)
_UNREAD: Select[Any] = (
    select(*COLUMNS)
    .where(
        tuple_(*_ORDER) > tuple_(bindparam("after_tx", type_=Big), bindparam("after_position", type_=Big)),
        events.c.organization_id.in_(_ORGANIZATIONS),
    )
    .order_by(*_ORDER)
    .limit(bindparam("limit"))
)
_END = select(*_ORDER).order_by(*map(desc, _ORDER)).limit(1)


async def organizations_with_endpoints(database: Database) -> frozenset[str]:
    """Whose events may be for somebody."""
    scope = database.unscoped("the reader for webhooks asks whose events it has to read at all")
    return frozenset(await scope.fetch(_ORGANIZATIONS, str))


async def read_on(database: Database, now: datetime) -> int:
    """Makes the deliveries for the next events; returns how many events it read: fewer than ``BATCH`` at the end.

    Does nothing while another process is at it. Looks without a lock first: who waits for nothing writes nothing.
    """
    scope = database.unscoped("one reader makes the deliveries of webhooks for all organizations")
    places = await scope.fetch(_READ_SO_FAR, EventPosition)
    found = await all_events_after(database, places[0], BATCH) if places else []
    if not found:
        return 0
    async with scope.transaction() as transaction:
        places = await transaction.fetch(_LOCK, EventPosition)
        if not places:
            return 0
        # Another process may have read on meanwhile.
        unread = [event for event in found if event.place > places[0]]
        if unread:
            await _make_deliveries(transaction, unread, now)
            last = unread[-1].place
            await transaction.execute(_MOVE, {"to_tx": last.tx, "to_position": last.position})
    return len(found)


async def read_to_the_end(transaction: Transaction, now: datetime) -> None:
    """Makes the deliveries for all that is in the log and was not read, for whoever has it to themselves.

    Without a look at what is settled: that cannot be told in a cluster that the log is not of.
    """
    places = await transaction.fetch(_LOCK, EventPosition)
    if not places:
        return
    place = places[0]
    after = {"after_tx": place.tx, "after_position": place.position, "limit": BATCH}
    while found := await transaction.fetch(_UNREAD, EventRow, after):
        await _make_deliveries(transaction, found, now)
        place = found[-1].place
        after |= {"after_tx": place.tx, "after_position": place.position}
    end = max([place, *await transaction.fetch(_END, EventPosition)])
    await transaction.execute(_MOVE, {"to_tx": end.tx, "to_position": end.position})


async def _make_deliveries(transaction: Transaction, found: Sequence[EventRow], now: datetime) -> None:
    organizations = sorted({event.organization_id for event in found})
    rows = []
    for endpoint in await transaction.fetch(_LOCK_ENDPOINTS, _Endpoint, {"organizations": organizations}):
        fitting = [event for event in found if endpoint.gets(event)]
        rows += [
            {
                "id": new_id("whd"),
                "organization_id": event.organization_id,
                "endpoint_id": endpoint.id,
                "event_id": event.id,
                "event_type": event.type,
                "tx": event.tx,
                "position": event.position,
                "sequence": sequence,
                "status": PENDING,
                "attempts": 0,
                "next_attempt_at": now if endpoint.status == ACTIVE else None,
                "give_up_at": now + GIVE_UP,
                "created_at": now,
            }
            for sequence, event in enumerate(fitting, start=endpoint.last_sequence + 1)
        ]
        if fitting:
            counted = {"endpoint_id": endpoint.id, "now_at": endpoint.last_sequence + len(fitting)}
            await transaction.execute(_COUNT_ON, counted)
    await transaction.insert(webhook_deliveries, rows)
