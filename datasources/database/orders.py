"""What orders of every kind share: how they are ordered and filtered, their history, and what customers spent."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, FromClause, Table, bindparam, func, select

from datasources.database.columns import Big, Id, UtcDateTime, any_of, one_of
from datasources.database.engine import Scope
from datasources.database.listing import Listing, Ordering
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import order_actions

R = TypeVar("R", bound=tuple[Any, ...])


class OrderActionRow(NamedTuple):
    """One move of an order from a status to another."""

    order_id: str
    at: datetime
    from_status: str | None
    to_status: str
    actor: str
    note: str | None


ORDERINGS: Mapping[str, Ordering] = {
    "PLACED_AT": Ordering(lambda table: table.c.placed_at, UtcDateTime()),
    "UPDATED_AT": Ordering(lambda table: table.c.updated_at, UtcDateTime()),
    "TOTAL": Ordering(lambda table: table.c.total_minor, Big),
}

FILTERS: Mapping[str, Callable[[FromClause], ColumnElement[bool]]] = {
    "status": lambda table: any_of(table.c.status, "status"),
    "business_ids": lambda table: any_of(table.c.business_id, "business_ids"),
    "customer_id": lambda table: table.c.customer_id == bindparam("customer_id", type_=Id),
    "placed_from": lambda table: table.c.placed_at >= bindparam("placed_from", type_=UtcDateTime()),
    "placed_to": lambda table: table.c.placed_at < bindparam("placed_to", type_=UtcDateTime()),
    "min_total_minor": lambda table: table.c.total_minor >= bindparam("min_total_minor", type_=Big),
    "currency": lambda table: table.c.currency == bindparam("currency"),
}

PAID = ("PAID", "CONFIRMED", "COMPLETED", "PARTIALLY_REFUNDED")
"""Statuses in which money was, or is about to be, taken."""


def order_listing(table: Table, row: type[R]) -> Listing[R]:
    """The listing of one kind of order."""
    return Listing(table=table, row=row, orderings=ORDERINGS, filters=FILTERS)


_ACTIONS_OF = (
    select(*(order_actions.c[name] for name in OrderActionRow._fields))
    .where(order_actions.c.organization_id == TENANT, any_of(order_actions.c.order_id, "keys"))
    .order_by(order_actions.c.order_id, order_actions.c.position)
)


async def actions_of(scope: Scope, order_ids: Sequence[str]) -> dict[str, list[OrderActionRow]]:
    """The history of each order, oldest first. Only the allowed moves are possible, so it is short."""
    found: dict[str, list[OrderActionRow]] = {}
    for row in await scope.fetch(_ACTIONS_OF, OrderActionRow, {"keys": order_ids}):
        found.setdefault(row.order_id, []).append(row)
    return found


def spent_by_customer(table: Table) -> Callable[[Scope, Sequence[str]], Any]:
    """``async (scope, customer ids) -> {customer id: {currency: minor units}}`` over paid orders of one kind."""
    statement = (
        select(table.c.customer_id, table.c.currency, func.sum(table.c.total_minor))
        .where(table.c.organization_id == TENANT, any_of(table.c.customer_id, "keys"), one_of(table.c.status, PAID))
        .group_by(table.c.customer_id, table.c.currency)
    )

    async def spent(scope: Scope, customer_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for customer_id, currency, total in await scope.fetch(statement, _triple, {"keys": customer_ids}):
            found.setdefault(customer_id, {})[currency] = int(total)
        return found

    return spent


def _triple(customer_id: str, currency: str, total: int) -> tuple[str, str, int]:
    return customer_id, currency, total
