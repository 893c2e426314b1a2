"""Orders of every platform in one list: the area ``ORDERS``."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry

from datasources.database.events import EventRow
from datasources.database.orders import actions_of
from datasources.paging import Selection
from schema.connection import Edge, PageInfo, connection
from schema.context import Context, Info, as_graphql
from schema.directives import Cost, scopes
from schema.errors import BadRequest
from schema.event import Event
from schema.merging import Unavailable
from schema.money import Money, amount, minor_units, money
from schema.node import Node
from schema.platform import ORDERS
from schema.registry import PlatformType
from schema.relations import relation
from schema.scalars import CurrencyCode
from schema.streams import event_stream
from schema.time import SortDirection, TimeRange, bounds, direction
from subscriptions.interest import Interest

READ_ORDERS = scopes("orders:read")


@strawberry.enum(description="Where an order stands.")
class OrderStatus(Enum):
    """``OrderStatus``."""

    PENDING = strawberry.enum_value("PENDING", description="Placed; nothing is paid.")
    PAYMENT_SUBMITTED = strawberry.enum_value("PAYMENT_SUBMITTED", description="The customer sent a proof of payment.")
    PAID = strawberry.enum_value("PAID", description="Paid.")
    REJECTED = strawberry.enum_value(
        "REJECTED", description="The proof of payment was not accepted; another may be sent."
    )
    CONFIRMED = strawberry.enum_value("CONFIRMED", description="The booking stands.")
    COMPLETED = strawberry.enum_value("COMPLETED", description="Done.")
    NO_SHOW = strawberry.enum_value("NO_SHOW", description="The customer did not come.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Called off.")
    REFUNDED = strawberry.enum_value("REFUNDED", description="All of the money went back.")
    PARTIALLY_REFUNDED = strawberry.enum_value("PARTIALLY_REFUNDED", description="Some of the money went back.")
    FAILED = strawberry.enum_value("FAILED", description="The payment failed.")


@strawberry.type(description="A move of an order from one status to another.")
class OrderAction:
    """``OrderAction``."""

    at: datetime = strawberry.field(description="When.")
    from_status: OrderStatus | None = strawberry.field(name="from", description="Null for the first.")
    to_status: OrderStatus = strawberry.field(name="to", description="Where it stood afterwards.")
    actor: str = strawberry.field(description="Who moved it: a person's id, a customer's name, or the system.")
    note: str | None = strawberry.field(description="Why, in their words.")


@strawberry.interface(description="Something that was ordered, on whatever platform.", directives=[READ_ORDERS])
class Order(Node):
    """``Order``."""

    number: str = strawberry.field(description="As people call it.")
    status: OrderStatus = strawberry.field(description="Where it stands.")
    total: Money = money("total", "What it costs.")
    placed_at: datetime = strawberry.field(description="When it was placed.")
    updated_at: datetime = strawberry.field(description="When it last moved.")
    history: list[OrderAction] = relation(actions_of, key="id", many=True, description="Its moves, oldest first.")

    @strawberry.field(description="Where it was ordered.")
    def platform(self, info: Info) -> PlatformType:
        """The platform that this kind of order belongs to."""
        return info.context.composition.platform_of(self)


@strawberry.type(description="A platform whose part of a merged list is missing.")
class UnavailablePlatform:
    """``UnavailablePlatform``."""

    reason: str = strawberry.field(description="What went wrong.")
    retry_after: int | None = strawberry.field(description="In how many seconds to ask again, where that is known.")

    @strawberry.field(description="Which platform.")
    @staticmethod
    def platform(root: strawberry.Parent[Unavailable], info: Info) -> PlatformType:
        """The platform behind its key."""
        return info.context.composition.platform_type(root.platform_key)


@strawberry.type(description="A page of orders, merged over platforms.")
class OrderConnection:
    """``OrderConnection``: a connection whose platforms may be missing one by one."""

    edges: list[Edge[Order]] = strawberry.field(description="The rows of the page with their cursors.")
    nodes: list[Order] = strawberry.field(description="The rows of the page.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the list.")
    total_count: int | None = strawberry.field(
        description="How many orders the whole list has; counted when selected, null while a platform is unavailable."
    )
    unavailable: list[UnavailablePlatform] = strawberry.field(
        description="Platforms whose orders are missing from this page; the cursor does not pass them by."
    )


@strawberry.input(description="Which orders.")
class OrderFilter:
    """``OrderFilter``."""

    platforms: list[str] | None = strawberry.field(default=None, description="Of these platforms, by key.")
    status: list[OrderStatus] | None = strawberry.field(default=None, description="In any of these.")
    business_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Of any of these businesses.")
    customer_id: strawberry.ID | None = strawberry.field(default=None, description="Of this customer.")
    placed: TimeRange | None = strawberry.field(default=None, description="Placed in this span.")
    min_total: Decimal | None = strawberry.field(default=None, description="Of at least this much; needs `currency`.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="In this currency.")


@strawberry.enum(description="What orders are ordered by.")
class OrderOrderField(Enum):
    """``OrderOrderField``."""

    PLACED_AT = strawberry.enum_value("PLACED_AT", description="When it was placed.")
    UPDATED_AT = strawberry.enum_value("UPDATED_AT", description="When it last moved.")
    TOTAL = strawberry.enum_value("TOTAL", description="What it costs; needs one currency in the filter.")


@strawberry.input(description="The order of orders.")
class OrderOrder:
    """``OrderOrder``."""

    field: OrderOrderField = strawberry.field(description="What they are ordered by.")
    direction: SortDirection = strawberry.field(default=SortDirection.DESC, description="Which way.")


def select_orders(context: Context, chosen: OrderFilter | None, order: OrderOrder | None) -> Selection:
    """What ``filter`` and ``orderBy`` of orders mean; the newest first unless told otherwise."""
    filters: dict[str, Any] = {}
    platforms = None
    if chosen is not None:
        filters, platforms = _filters(chosen), _platforms(context, chosen)
    ordering = order.field.name if order is not None else "PLACED_AT"
    if ordering == "TOTAL" and "currency" not in filters:
        message = "Ordering by TOTAL needs `currency` in filter: amounts of two currencies have no order."
        raise BadRequest(message)
    return Selection(ordering, direction(order, SortDirection.DESC), filters, platforms=platforms)


def _filters(chosen: OrderFilter) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if chosen.status is not None:
        filters["status"] = [value.name for value in chosen.status]
    if chosen.business_ids is not None:
        filters["business_ids"] = chosen.business_ids
    if chosen.customer_id is not None:
        filters["customer_id"] = chosen.customer_id
    if chosen.placed is not None:
        filters["placed_from"], filters["placed_to"] = bounds(chosen.placed)
    if chosen.currency is not None:
        filters["currency"] = chosen.currency
    if chosen.min_total is not None:
        if chosen.currency is None:
            message = "`minTotal` needs `currency`: an amount without a currency says nothing."
            raise BadRequest(message)
        filters["min_total_minor"] = minor_units(chosen.min_total, chosen.currency)
    return filters


def _platforms(context: Context, chosen: OrderFilter) -> frozenset[str] | None:
    if chosen.platforms is None:
        return None
    known = context.composition.sources[ORDERS]
    unknown = [key for key in chosen.platforms if key not in known]
    if unknown:
        message = f"No platform with orders is called {unknown[0]!r}. There are: {', '.join(sorted(known))}."
        raise BadRequest(message)
    return frozenset(chosen.platforms)


def orders(description: str, *, by: str | None = None, key: str | None = None) -> Any:
    """Declares a connection to orders of every platform."""
    return connection(
        ORDERS,
        select_orders,
        by=by,
        key=key,
        filtered=OrderFilter,
        ordered=OrderOrder,
        partial=True,
        description=description,
    )


@strawberry.type(description="Roots of the area.")
class OrderQueries:
    """Fields of ``Query``."""

    orders: OrderConnection | None = orders(
        "Orders of every platform in one list, the newest first unless told otherwise."
    )


@strawberry.type(description="What orders add to businesses.")
class BusinessOrders:
    """Fields of ``Business``."""

    orders: OrderConnection | None = orders(
        "Its orders on every platform, the newest first.", by="business_id", key="id"
    )


@strawberry.type(description="What orders add to customers.")
class CustomerOrders:
    """Fields of ``Customer``."""

    orders: OrderConnection | None = orders(
        "Their orders on every platform, the newest first.", by="customer_id", key="id"
    )

    @strawberry.field(
        description="What they spent in all, by currency: the orders that are paid, confirmed or completed.",
        directives=[READ_ORDERS, Cost(weight=5)],
    )
    @staticmethod
    async def lifetime_value(root: strawberry.Parent[Any], info: Info) -> list[Money] | None:
        """The sum over platforms, by currency."""
        context, totals = info.context, dict[str, int]()
        for platform in context.composition.platforms:
            if platform.spent_by_customer is not None:
                found: dict[str, int] | None = await context.loader(platform.spent_by_customer).load(root.id)
                for currency, minor in (found or {}).items():
                    totals[currency] = totals.get(currency, 0) + minor
        return as_graphql([amount(minor, currency) for currency, minor in sorted(totals.items())])


@strawberry.type(description="An order moved from one status to another, or was placed.", directives=[READ_ORDERS])
class OrderChanged(Event):
    """``OrderChanged``."""

    order: Order | None = relation(ORDERS, key="subject_id", description="The order as it stands now.")

    @strawberry.field(name="from", description="Where it stood; null when it was placed.")
    @staticmethod
    def from_status(root: strawberry.Parent[EventRow]) -> OrderStatus | None:
        """From the event's data."""
        return root.data["from"]

    @strawberry.field(name="to", description="Where it stands since this event.")
    @staticmethod
    def to_status(root: strawberry.Parent[EventRow]) -> OrderStatus:
        """From the event's data."""
        return root.data["to"]


def select_changes(
    context: Context,
    business_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only of this business.")] = None,
    order_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this order.")] = None,
) -> Interest:
    """Which events the arguments of ``orderChanged`` mean."""
    return Interest(frozenset({"OrderChanged"}), context.composition.keys, business_id=business_id, subject_id=order_id)


@strawberry.type(description="Streams of the area.")
class OrderSubscriptions:
    """Fields of ``Subscription``."""

    order_changed = event_stream(
        OrderChanged,
        select_changes,
        description="Orders that are placed or move, on every platform; resumable with `after`.",
        directives=[READ_ORDERS],
    )
