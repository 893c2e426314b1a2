"""What the shop adds to the schema: products of a business, orders, and the event that one was placed."""

from typing import Annotated

import strawberry

from datasources.paging import Selection
from schema.business import READ_BUSINESSES
from schema.connection import Connection, connection
from schema.context import Context
from schema.event import Event
from schema.money import Money, money
from schema.node import Node
from schema.order import READ_ORDERS, Order
from schema.relations import relation
from schema.streams import event_stream
from subscriptions.interest import Interest
from tributary_shop.orders import ORDERS
from tributary_shop.products import PRODUCTS


@strawberry.type(description="Something that a store sells.", directives=[READ_BUSINESSES])
class ShopProduct(Node):
    """``ShopProduct``."""

    sku: str = strawberry.field(description="As the store knows it.")
    name: str = strawberry.field(description="As its customers know it.")
    price: Money = money("price", "What one costs now.")


@strawberry.type(description="An order from an online store.", directives=[READ_ORDERS])
class ShopOrder(Order):
    """``ShopOrder``."""

    product: ShopProduct | None = relation(PRODUCTS.by_ids, key="product_id", description="What was bought.")
    quantity: int = strawberry.field(description="How many.")


def select_products(_context: Context, _filter: None, _order: None) -> Selection:
    """Products in the order of their numbers."""
    return Selection("SKU")


@strawberry.type(description="What the shop adds to businesses.")
class BusinessProducts:
    """Fields of ``Business``."""

    shop_products: Connection[ShopProduct] | None = connection(
        PRODUCTS, select_products, by="business_id", key="id", description="What its stores sell, by their numbers."
    )


@strawberry.type(description="An order was placed in a store.", directives=[READ_ORDERS])
class ShopOrderPlaced(Event):
    """``ShopOrderPlaced``."""

    order: ShopOrder | None = relation(ORDERS.by_ids, key="subject_id", description="The order as it stands now.")


def select_placed(
    _context: Context,
    business_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only of this business.")] = None,
) -> Interest:
    """Which events the arguments of ``shopOrderPlaced`` mean."""
    return Interest(frozenset({"ShopOrderPlaced"}), business_id=business_id)


@strawberry.type(description="Streams of the shop.")
class ShopSubscriptions:
    """Fields of ``Subscription``."""

    shop_order_placed = event_stream(
        ShopOrderPlaced,
        select_placed,
        description="Orders as they are placed in stores; resumable with `after`.",
        directives=[READ_ORDERS],
    )
