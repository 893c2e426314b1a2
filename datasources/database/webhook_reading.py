"""Webhooks as they are looked at: deliveries by who administers an endpoint, all endpoints by an operator."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, literal, select

from datasources.database.columns import Id, UtcDateTime, any_of
from datasources.database.engine import Database, Scope
from datasources.database.events import EventPosition
from datasources.database.listing import Listing, Ordering
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_replays
from datasources.database.webhooks import DELIVERED, FAILED, PENDING


class DeliveryRow(NamedTuple):
    """An event on its way to an endpoint."""

    id: str
    organization_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    tx: int
    position: int
    sequence: int | None
    status: str
    attempts: int
    next_attempt_at: datetime | None
    give_up_at: datetime
    response_status: int | None
    error: str | None
    created_at: datetime
    settled_at: datetime | None

    @property
    def place(self) -> EventPosition:
        """Where its event stands in the log."""
        return EventPosition(self.tx, self.position)

    @property
    def delivered_at(self) -> datetime | None:
        """When it was delivered."""
        return self.settled_at if self.status == DELIVERED else None


class EndpointState(NamedTuple):
    """An endpoint with how many deliveries wait, how many were given up, and how far a replay is that goes on."""

    id: str
    organization_id: str
    url: str
    events: list[str]
    status: str
    failing_since: datetime | None
    pending: int
    failed: int
    replayed: int | None
    to_replay: int | None


DELIVERIES: Listing[DeliveryRow] = Listing(
    table=webhook_deliveries,
    row=DeliveryRow,
    orderings={"CREATED_AT": Ordering(lambda table: table.c.created_at, UtcDateTime())},
    filters={
        "status": lambda table: any_of(table.c.status, "status"),
        "types": lambda table: any_of(table.c.event_type, "types"),
    },
)
"""The deliveries of an organization."""

_ORGANIZATION_OF = select(webhook_endpoints.c.organization_id).where(
    webhook_endpoints.c.id == bindparam("endpoint_id", type_=Id)
)


async def deliveries_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, DeliveryRow]:
    """Deliveries of the organization by id."""
    return await DELIVERIES.by_ids(scope, ids)


async def endpoint_states(database: Database, organization_id: str | None) -> list[EndpointState]:
    """All endpoints, or those of one organization, oldest first."""
    scope = database.unscoped("an operator looks at the webhooks of all organizations")
    parameters = {} if organization_id is None else {"only": organization_id}
    return await scope.fetch(_states(one=organization_id is not None), EndpointState, parameters)


async def organization_of_endpoint(database: Database, endpoint_id: str) -> str | None:
    """Which organization an endpoint is of; ``None`` when there is no such endpoint."""
    scope = database.unscoped("an operator names an endpoint by its id alone")
    found = await scope.fetch(_ORGANIZATION_OF, str, {"endpoint_id": endpoint_id})
    return found[0] if found else None


@lru_cache(maxsize=2)
def _states(*, one: bool) -> Select[Any]:
    statement = (
        select(
            *(
                webhook_endpoints.c[name]
                for name in ("id", "organization_id", "url", "events", "status", "failing_since")
            ),
            _how_many(PENDING),
            _how_many(FAILED),
            webhook_replays.c.scheduled,
            webhook_replays.c.total,
        )
        .outerjoin_from(webhook_endpoints, webhook_replays, webhook_replays.c.endpoint_id == webhook_endpoints.c.id)
        .order_by(webhook_endpoints.c.organization_id, webhook_endpoints.c.created_at, webhook_endpoints.c.id)
    )
    return statement.where(webhook_endpoints.c.organization_id == bindparam("only", type_=Id)) if one else statement


def _how_many(status: str) -> ColumnElement[int]:
    return (
        select(func.count())
        .where(
            webhook_deliveries.c.organization_id == webhook_endpoints.c.organization_id,
            webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id,
            webhook_deliveries.c.status == literal(status),
        )
        .scalar_subquery()
    )
