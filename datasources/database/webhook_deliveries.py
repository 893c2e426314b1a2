"""Deliveries of webhooks: events on their way to endpoints, taken up by whichever process is free.

A delivery is due when ``next_attempt_at`` has come. Who takes it moves that ahead, as a lease: nobody else takes it
while it is being posted, and when its process dies it is due again by itself. So a receiver may get one twice, under
the same id, and never misses one.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Integer, Text, and_, bindparam, delete, func, or_, select, update

from datasources.database.columns import Big, Id, UtcDateTime, any_of
from datasources.database.engine import Database, Transaction
from datasources.database.events import EventPosition
from datasources.database.scope import TENANT
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints
from datasources.database.webhooks import (
    ACTIVE,
    DELIVERED,
    DISABLED,
    FAILED,
    PAUSED,
    PENDING,
    LockedEndpoint,
    lock_endpoint,
    stop_endpoint,
)

LEASE = timedelta(minutes=1)
"""How long a delivery is one process's; longer than an attempt takes."""
GIVE_UP = timedelta(hours=72)
"""How long a delivery is tried for."""
KEEP = timedelta(days=30)
"""How long it can be seen what became of a delivery."""
OUTAGE = timedelta(minutes=1)
"""Whoever has failed for so long is sent what waits at once when something gets through."""

_ROWS_AT_ONCE = 1_000
_HELD_TOO_LONG = "its endpoint was paused until it was too old"


class ClaimedDelivery(NamedTuple):
    """A delivery that this process is to post now, for the time of its lease, with what it needs of its endpoint.

    ``attempts`` counts this one. The secrets are sealed (see ``secret_place``).
    """

    id: str
    organization_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    tx: int
    position: int
    sequence: int | None
    attempts: int
    give_up_at: datetime
    url: str
    scopes: list[str]
    secret: str
    previous_secret: str | None
    previous_until: datetime | None
    failing_since: datetime | None

    @property
    def place(self) -> EventPosition:
        """Where its event stands in the log."""
        return EventPosition(self.tx, self.position)


class Full(NamedTuple):
    """The endpoints and the organizations for which a process posts as much as it may; it takes nothing of theirs."""

    endpoints: Collection[str] = ()
    organizations: Collection[str] = ()

    @property
    def parameters(self) -> dict[str, object]:
        """Those of the condition."""
        return {"full": sorted(self.endpoints), "crowded": sorted(self.organizations)}


class TriedElsewhere(Exception):
    """The endpoint fails, and another process tries a delivery to it at this moment."""

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"another process tries {endpoint_id}")
        self.endpoint_id = endpoint_id


class Delivered(NamedTuple):
    """The receiver took it, with this HTTP status."""

    status: int


class Undelivered(NamedTuple):
    """Why an attempt failed, in our words, and when to try again; ``None``: never.

    ``response_status`` is that of the answer, if there was one. ``blamed``: the endpoint has failed, not we. ``gone``:
    it wants nothing any more.
    """

    error: str
    next_attempt_at: datetime | None
    response_status: int | None = None
    blamed: bool = True
    gone: bool = False


_T, _E = webhook_deliveries.c, webhook_endpoints.c
_NOW = bindparam("now", type_=UtcDateTime())
_LEASED_UNTIL = bindparam("leased_until", type_=UtcDateTime())
_OF_DELIVERY = ClaimedDelivery._fields[: ClaimedDelivery._fields.index("url")]
_OF_ENDPOINT = ClaimedDelivery._fields[len(_OF_DELIVERY) :]
_WITH_ROOM = and_(
    ~any_of(_T.endpoint_id, "full"),
    ~any_of(_T.organization_id, "crowded"),
    _T.endpoint_id.not_in(select(_E.id).where(_E.tried_until > _NOW)),
)
_IN_TURN = (_T.next_attempt_at, _T.tx, _T.position)
_NEXT_DUE = select(_T.next_attempt_at).where(_T.next_attempt_at.is_not(None), _WITH_ROOM).order_by(*_IN_TURN).limit(1)
_CLAIM = (
    update(webhook_deliveries)
    .where(
        _T.id
        == select(_T.id)
        .where(_T.next_attempt_at <= _NOW, _WITH_ROOM)
        .order_by(*_IN_TURN)
        .limit(1)
        .correlate(None)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(next_attempt_at=_LEASED_UNTIL, attempts=_T.attempts + 1)
    .returning(*(_T[name] for name in _OF_DELIVERY))
)
# Who changes an endpoint locks it before its deliveries; here it is the other way round, so nobody is waited for.
_TRY = (
    update(webhook_endpoints)
    .where(
        _E.id
        == select(_E.id)
        .where(_E.id == bindparam("whose", type_=Id), or_(_E.tried_until.is_(None), _E.tried_until <= _NOW))
        .correlate(None)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(tried_until=_LEASED_UNTIL)
)
_CLAIMED_FROM = select(*(_E[name] for name in _OF_ENDPOINT)).where(_E.id == bindparam("whose", type_=Id))

_OURS = _T.organization_id == TENANT
_THIS = (_OURS, _T.id == bindparam("delivery_id", type_=Id))
_THIS_ENDPOINT = _E.organization_id == TENANT, _E.id == bindparam("whose", type_=Id)
_OF_THIS_ENDPOINT = (_OURS, _T.endpoint_id == bindparam("whose", type_=Id))
_RECOVERED = (
    update(webhook_endpoints)
    .where(*_THIS_ENDPOINT, _E.failing_since.is_not(None))
    .values(failing_since=None, tried_until=None)
)
_TRIED = update(webhook_endpoints).where(*_THIS_ENDPOINT).values(tried_until=None)
_FAILING = update(webhook_endpoints).where(*_THIS_ENDPOINT, _E.failing_since.is_(None)).values(failing_since=_NOW)
_TOOK_IT = (
    update(webhook_deliveries)
    .where(*_THIS)
    .values(
        status=DELIVERED,
        settled_at=_NOW,
        next_attempt_at=None,
        response_status=bindparam("code", type_=Integer()),
        error=None,
    )
)
# Only as the one who took it last: who has lost the lease has nothing to say any more.
_DID_NOT = (
    update(webhook_deliveries)
    .where(*_THIS, _T.attempts == bindparam("attempt", type_=Big), _T.status == PENDING)
    .values(
        status=bindparam("becomes", type_=Text()),
        settled_at=bindparam("settled", type_=UtcDateTime()),
        next_attempt_at=bindparam("next_at", type_=UtcDateTime()),
        response_status=bindparam("code", type_=Integer()),
        error=bindparam("why", type_=Text()),
    )
)
_SUCCEEDED_SINCE = (
    select(_T.id)
    .where(*_OF_THIS_ENDPOINT, _T.status == DELIVERED, _T.settled_at >= bindparam("since", type_=UtcDateTime()))
    .limit(1)
)
# What is due within the time of a lease may be on its way at this moment.
_BRING_FORWARD = (
    update(webhook_deliveries)
    .where(
        *_OF_THIS_ENDPOINT,
        _T.status == PENDING,
        _T.next_attempt_at > bindparam("leased_until", type_=UtcDateTime()),
    )
    .values(next_attempt_at=_NOW)
)

_OF_A_STOPPED_ONE = _T.endpoint_id.in_(select(_E.id).where(_E.status != ACTIVE))
_TOO_OLD = (_T.status == PENDING, _T.give_up_at <= _NOW)
_HELD_TOO_OLD = select(_T.id).where(_OF_A_STOPPED_ONE, *_TOO_OLD).limit(_ROWS_AT_ONCE)
_GIVE_UP_HELD = (
    update(webhook_deliveries)
    .where(any_of(_T.id, "ids"), *_TOO_OLD)
    .values(status=FAILED, settled_at=_NOW, next_attempt_at=None, error=func.coalesce(_T.error, _HELD_TOO_LONG))
)
_LONG_AGO = _T.settled_at < bindparam("before", type_=UtcDateTime())
_SETTLED_LONG_AGO = select(_T.id).where(_LONG_AGO).limit(_ROWS_AT_ONCE)
_REMOVE = delete(webhook_deliveries).where(any_of(_T.id, "ids"), _LONG_AGO)


async def next_due(database: Database, full: Full, now: datetime) -> datetime | None:
    """When the next delivery is due, or was, of others than ``full``; ``None``: none waits. Takes no lock."""
    scope = database.unscoped("deliveries wait in one queue for all organizations")
    found = await scope.fetch(_NEXT_DUE, _only, {**full.parameters, "now": now})
    return found[0] if found else None


async def claim(database: Database, full: Full, now: datetime) -> ClaimedDelivery | None:
    """Takes the delivery that has been due for longest, of others than ``full``, for the time of a lease.

    Of an endpoint that fails only one at a time, whichever process tries it. Raises ``TriedElsewhere``.
    """
    scope = database.unscoped("whoever posts takes the delivery that is due, of any organization")
    async with scope.transaction() as transaction:
        values = {**full.parameters, "now": now, "leased_until": now + LEASE}
        taken = await transaction.fetch(_CLAIM, _cells, values)
        if not taken:
            return None
        endpoint_id = taken[0][_OF_DELIVERY.index("endpoint_id")]
        (endpoint,) = await transaction.fetch(_CLAIMED_FROM, _cells, {"whose": endpoint_id})
        delivery = ClaimedDelivery(*taken[0], *endpoint)
        if delivery.failing_since is not None:
            values = {"whose": endpoint_id, "now": now, "leased_until": now + LEASE}
            if not await transaction.execute(_TRY, values):
                raise TriedElsewhere(endpoint_id)
    return delivery


async def settle(database: Database, delivery: ClaimedDelivery, outcome: Delivered | Undelivered, now: datetime) -> str:
    """Notes what came of an attempt; returns the status of the endpoint, which may have been stopped for it."""
    async with database.scoped(delivery.organization_id).transaction() as transaction:
        if isinstance(outcome, Delivered):
            await _note_success(transaction, delivery, outcome, now)
            return ACTIVE
        return await _note_failure(transaction, delivery, outcome, now)


async def tidy(database: Database, now: datetime) -> None:
    """Gives up what waited for a stopped endpoint for too long, and removes what is too old to be of interest."""
    scope = database.unscoped("old deliveries go, whoever they were of")
    for find, change, values in (
        (_HELD_TOO_OLD, _GIVE_UP_HELD, {"now": now}),
        (_SETTLED_LONG_AGO, _REMOVE, {"before": now - KEEP}),
    ):
        while ids := await scope.fetch(find, str, values):
            async with scope.transaction() as transaction:
                await transaction.execute(change, {"ids": ids, **values})


async def _note_success(transaction: Transaction, delivery: ClaimedDelivery, outcome: Delivered, now: datetime) -> None:
    recovered = await transaction.execute(_RECOVERED, {"whose": delivery.endpoint_id})
    await transaction.execute(_TOOK_IT, {"delivery_id": delivery.id, "now": now, "code": outcome.status})
    if recovered and delivery.failing_since is not None and now - delivery.failing_since >= OUTAGE:
        values = {"whose": delivery.endpoint_id, "now": now, "leased_until": now + LEASE}
        await transaction.execute(_BRING_FORWARD, values)


async def _note_failure(
    transaction: Transaction, delivery: ClaimedDelivery, outcome: Undelivered, now: datetime
) -> str:
    endpoint = await lock_endpoint(transaction, delivery.endpoint_id)
    if endpoint is None:
        return DISABLED
    given_up = outcome.next_attempt_at is None
    values = {
        "delivery_id": delivery.id,
        "attempt": delivery.attempts,
        "becomes": FAILED if given_up else PENDING,
        "settled": now if given_up else None,
        "next_at": outcome.next_attempt_at if endpoint.status == ACTIVE else None,
        "code": outcome.response_status,
        "why": outcome.error,
    }
    if not await transaction.execute(_DID_NOT, values):
        return endpoint.status
    if delivery.failing_since is not None:
        await transaction.execute(_TRIED, {"whose": endpoint.id})
    if outcome.blamed:
        await transaction.execute(_FAILING, {"whose": endpoint.id, "now": now})
        status = await _stops(transaction, delivery, endpoint, outcome)
        if status is not None:
            await stop_endpoint(transaction, endpoint, status)
            return status
    return endpoint.status


async def _stops(
    transaction: Transaction, delivery: ClaimedDelivery, endpoint: LockedEndpoint, outcome: Undelivered
) -> str | None:
    """What becomes of the endpoint: one that is gone is disabled, one that took nothing for so long is paused."""
    if outcome.gone:
        return None if endpoint.status == DISABLED else DISABLED
    if outcome.next_attempt_at is not None or endpoint.status != ACTIVE:
        return None
    since = {"whose": endpoint.id, "since": delivery.give_up_at - GIVE_UP}
    return None if await transaction.fetch(_SUCCEEDED_SINCE, str, since) else PAUSED


def _only(value: Any) -> Any:
    return value


def _cells(*values: Any) -> tuple[Any, ...]:
    return values
