"""Endpoints of webhooks: where an organization has its events posted to.

What is to be posted is in ``webhook_deliveries``, how deliveries come to be in ``webhook_reader``. Whatever changes an
endpoint and its deliveries locks the endpoint first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Insert, Text, bindparam, cast, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.columns import Big, Id, Json, UtcDateTime, any_of
from datasources.database.engine import Announced, Scope, Transaction
from datasources.database.events import EventPosition, head
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_reader, webhook_replays
from datasources.keyring import Keyring, Unreadable
from datasources.webhooks.signature import new_secret

ACTIVE, PAUSED, DISABLED = "ACTIVE", "PAUSED_AFTER_FAILURES", "DISABLED"
PENDING, DELIVERED, FAILED = "PENDING", "DELIVERED", "FAILED"
MOST_ENDPOINTS = 20
"""How many an organization may have."""
ENDPOINTS_CHANGED = "WebhookEndpointsChanged"
"""Announced, within the process only, when there is a new endpoint or one gets other events."""
READER = 1
"""The row that says how far the log was read for webhooks."""

_SYSTEM = "system"


class TooManyEndpoints(Exception):
    """The organization has ``MOST_ENDPOINTS`` already."""


class NewEndpoint(NamedTuple):
    """An endpoint to make. ``events`` are names of types, ``scopes`` what its bodies may tell.

    ``created_by`` is the id of who makes it. The address must have passed ``check_url``.
    """

    url: str
    events: Sequence[str]
    scopes: Sequence[str]
    created_by: str | None


class MadeEndpoint(NamedTuple):
    """The id of a new endpoint, and its secret, which is shown this once."""

    id: str
    secret: str


class EndpointRow(NamedTuple):
    """An endpoint as it may be shown."""

    id: str
    organization_id: str
    url: str
    events: list[str]
    scopes: list[str]
    status: str
    previous_until: datetime | None
    failing_since: datetime | None
    created_by: str | None
    created_at: datetime


class LockedEndpoint(NamedTuple):
    """An endpoint that nobody else changes until the transaction ends."""

    id: str
    events: list[str]
    status: str
    secret: str
    since_tx: int
    since_position: int
    since_running: list[int]

    @property
    def since(self) -> EventPosition:
        """Only events after this place come to it by themselves, and those of ``since_running``."""
        return EventPosition(self.since_tx, self.since_position)


class _Beginning(NamedTuple):
    """What had happened when an endpoint was made: all up to a place, but for what these transactions still write."""

    place: EventPosition
    running: list[int]


_T = webhook_endpoints.c
_OURS = _T.organization_id == TENANT
_THIS = (_OURS, _T.id == bindparam("whose", type_=Id))
_COLUMNS = tuple(_T[name] for name in EndpointRow._fields)
_BY_IDS = select(*_COLUMNS).where(_OURS, any_of(_T.id, "ids"))
_OF_ORGANIZATION = (
    select(*_COLUMNS).where(_OURS, any_of(_T.organization_id, "keys")).order_by(_T.created_at.desc(), _T.id.desc())
)
_COUNT = select(func.count()).select_from(webhook_endpoints).where(_OURS)
_LOCK = select(*(_T[name] for name in LockedEndpoint._fields)).where(*_THIS).with_for_update()
_UPDATE = (
    update(webhook_endpoints)
    .where(*_THIS)
    .values(
        url=bindparam("new_url", type_=Text()),
        events=bindparam("new_events", type_=Json),
        scopes=bindparam("new_scopes", type_=Json),
    )
)
_ROTATE = (
    update(webhook_endpoints)
    .where(*_THIS)
    .values(
        secret=bindparam("new_secret", type_=Text()),
        previous_secret=bindparam("old_secret", type_=Text()),
        previous_until=bindparam("until", type_=UtcDateTime()),
    )
)
_SET_STATUS = update(webhook_endpoints).where(*_THIS).values(status=bindparam("new_status", type_=Text()))
_DELETE = delete(webhook_endpoints).where(*_THIS)
_WAITING = (
    webhook_deliveries.c.organization_id == TENANT,
    webhook_deliveries.c.endpoint_id == bindparam("whose", type_=Id),
    webhook_deliveries.c.status == PENDING,
)
_SCHEDULE = (
    update(webhook_deliveries).where(*_WAITING).values(next_attempt_at=bindparam("next_at", type_=UtcDateTime()))
)
_DELETE_DELIVERIES = delete(webhook_deliveries).where(*_WAITING[:2])
_DELETE_REPLAY = delete(webhook_replays).where(
    webhook_replays.c.organization_id == TENANT, webhook_replays.c.endpoint_id == bindparam("whose", type_=Id)
)
_LOCK_READER = (
    select(webhook_reader.c.tx, webhook_reader.c.position).where(webhook_reader.c.id == READER).with_for_update()
)
# "xmin:xmax:xip,xip…": what is below xmax and not among xip has ended. A transaction is not in a snapshot of its own.
_SNAPSHOT = select(cast(func.pg_current_snapshot(), Text()), cast(func.pg_current_xact_id(), Text()))
_READ_FROM = (
    update(webhook_reader)
    .where(webhook_reader.c.id == READER, ~exists(select(_T.id)))
    .values(tx=bindparam("from_tx", type_=Big), position=bindparam("from_position", type_=Big))
)


async def endpoints_of(scope: Scope, organization_ids: Sequence[str]) -> dict[str, list[EndpointRow] | None]:
    """The endpoints of the tenant's organization, the newest first; ``None`` for any other."""
    found = await scope.fetch(_OF_ORGANIZATION, EndpointRow, {"keys": organization_ids})
    return {each: found if each == scope.organization_id else None for each in organization_ids}


async def endpoints_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, EndpointRow]:
    """Endpoints of the organization by id."""
    return {row.id: row for row in await scope.fetch(_BY_IDS, EndpointRow, {"ids": ids})}


async def create_endpoint(transaction: Transaction, keyring: Keyring, new: NewEndpoint) -> MadeEndpoint:
    """Makes an endpoint for what happens from now on.

    Two at once must be kept apart by the caller, or both find room for one more. Raises ``TooManyEndpoints``.
    """
    (count,) = await transaction.fetch(_COUNT, int)
    if count >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    made = MadeEndpoint(new_id("whe"), new_secret())
    since = await _begin_to_read(transaction)
    row = {
        **new._asdict(),
        "id": made.id,
        "status": ACTIVE,
        "secret": keyring.seal(made.secret, secret_place("secret", made.id)),
        "since_tx": since.place.tx,
        "since_position": since.place.position,
        "since_running": since.running,
        "last_sequence": 0,
        "created_at": datetime.now(UTC),
    }
    await transaction.insert(webhook_endpoints, [row])
    transaction.announced.append(Announced(ENDPOINTS_CHANGED, made.id))
    return made


async def update_endpoint(
    transaction: Transaction, endpoint_id: str, url: str, events: Sequence[str], scopes: Sequence[str]
) -> bool:
    """Changes where an endpoint is, what it gets and what it may be told; ``False`` when there is none."""
    values = {"whose": endpoint_id, "new_url": url, "new_events": list(events), "new_scopes": list(scopes)}
    transaction.announced.append(Announced(ENDPOINTS_CHANGED, endpoint_id))
    return await transaction.execute(_UPDATE, values) > 0


async def delete_endpoint(transaction: Transaction, endpoint_id: str) -> bool:
    """Removes an endpoint with its deliveries; ``False`` when there is none."""
    if await lock_endpoint(transaction, endpoint_id) is None:
        return False
    for statement in (_DELETE_DELIVERIES, _DELETE_REPLAY, _DELETE):
        await transaction.execute(statement, {"whose": endpoint_id})
    return True


async def rotate_secret(transaction: Transaction, keyring: Keyring, endpoint_id: str, overlap: timedelta) -> str | None:
    """Gives an endpoint a new secret and returns it; ``None`` when there is no such endpoint.

    The one before signs, too, for the time of ``overlap``; one from before that never again.
    """
    endpoint = await lock_endpoint(transaction, endpoint_id)
    if endpoint is None:
        return None
    secret, before = new_secret(), None
    if overlap > timedelta():
        try:
            readable = keyring.unseal(endpoint.secret, secret_place("secret", endpoint_id))
            before = keyring.seal(readable, secret_place("previous_secret", endpoint_id))
        except Unreadable:
            before = None  # its key is gone, so nothing was signed with it lately either
    values = {
        "whose": endpoint_id,
        "new_secret": keyring.seal(secret, secret_place("secret", endpoint_id)),
        "old_secret": before,
        "until": None if before is None else datetime.now(UTC) + overlap,
    }
    await transaction.execute(_ROTATE, values)
    return secret


async def resume_endpoint(transaction: Transaction, endpoint_id: str, *, now: datetime | None = None) -> bool:
    """Goes on with an endpoint that was paused or disabled: what waits for it is due now.

    Until something gets through, one delivery at a time is tried. ``False`` when it is active, or there is none.
    """
    endpoint = await lock_endpoint(transaction, endpoint_id)
    if endpoint is None or endpoint.status == ACTIVE:
        return False
    await transaction.execute(_SET_STATUS, {"whose": endpoint_id, "new_status": ACTIVE})
    await transaction.execute(_SCHEDULE, {"whose": endpoint_id, "next_at": now or datetime.now(UTC)})
    return True


async def stop_endpoint(transaction: Transaction, endpoint: LockedEndpoint, status: str) -> None:
    """Makes an endpoint ``PAUSED`` or ``DISABLED``: what waits for it is not tried until it is resumed."""
    await transaction.execute(_SET_STATUS, {"whose": endpoint.id, "new_status": status})
    await transaction.execute(_SCHEDULE, {"whose": endpoint.id, "next_at": None})
    action = "webhook.disabled" if status == DISABLED else "webhook.paused"
    await append_audit(transaction, NewAuditEntry(_SYSTEM, action, endpoint.id, "MEDIUM", {"was": endpoint.status}))


async def lock_endpoint(transaction: Transaction, endpoint_id: str) -> LockedEndpoint | None:
    """An endpoint of the organization, which others wait for from now on; ``None`` when there is none."""
    found = await transaction.fetch(_LOCK, LockedEndpoint, {"whose": endpoint_id})
    return found[0] if found else None


def secret_place(column: str, endpoint_id: str) -> str:
    """What a secret is sealed for; ``column`` is ``secret`` or ``previous_secret``."""
    return f"{webhook_endpoints.name}.{column}.{endpoint_id}"


async def _begin_to_read(transaction: Transaction) -> _Beginning:
    """From where on events are for an endpoint that is made now: whoever reads waits for it, and then finds it.

    What is visible now is not for it, all that is committed later is, to the transaction. The log alone cannot tell:
    its end is as far as all is settled, and a transaction that runs for long holds that back.
    """
    database = transaction.scope.database
    first = {"id": READER, **(await head(database))._asdict()}
    await transaction.connection.execute(_first_reader(database.dialect), first)
    (read,) = await transaction.fetch(_LOCK_READER, EventPosition)
    settled = max(read, await head(database))
    # What happened while nobody had an endpoint need not be read.
    everywhere = Transaction(
        database.unscoped("whether any organization has an endpoint says whether the log was to be read"),
        transaction.connection,
    )
    await everywhere.execute(_READ_FROM, {"from_tx": settled.tx, "from_position": settled.position})
    if database.dialect != "postgresql":
        return _Beginning(settled, [])
    # After the end of the log was asked for: what the reader leaves out must be among what is visible here.
    ((snapshot, own),) = await transaction.fetch(_SNAPSHOT, _texts)
    _, upper, running = snapshot.split(":")
    return _Beginning(EventPosition(int(upper), 0), [int(each) for each in (*running.split(","), own) if each])


def _texts(*cells: str) -> tuple[str, ...]:
    return cells


@lru_cache(maxsize=2)
def _first_reader(dialect: str) -> Insert:
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    return insert(webhook_reader).on_conflict_do_nothing()
