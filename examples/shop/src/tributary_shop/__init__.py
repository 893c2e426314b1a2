"""A platform from outside: online shops, whose orders stand beside all others."""

from schema.business import Business
from schema.errors import UpstreamFailed
from schema.health import Health, HealthStatus
from schema.platform import (
    ORDERS,
    SUPPLIES_ORDERS,
    SUPPLIES_USAGE,
    EnumValue,
    EventType,
    NodeType,
    Platform,
    Services,
)
from schema.roots import Mutation, Query, Subscription
from tributary_shop import orders, products
from tributary_shop.connecting import ShopMutations
from tributary_shop.posts import PostQueries
from tributary_shop.settings import KEY, ShopSettings, settings_of
from tributary_shop.tables import BRANCH
from tributary_shop.types import BusinessProducts, ShopOrder, ShopOrderPlaced, ShopProduct, ShopSubscriptions
from tributary_shop.upstream import client_open, upstream_of
from tributary_shop.webhook import webhook_routes

__all__ = ["PLATFORM"]


async def health(services: Services) -> Health:
    """Whether webhooks can be checked and, where there is a REST API, whether it answers."""
    settings = settings_of(services)
    if settings.shop_webhook_secret is None:
        return Health(HealthStatus.NOT_CONFIGURED, "SHOP_WEBHOOK_SECRET is not set")
    if settings.shop_upstream_url is not None:
        try:
            await upstream_of(services.database).ping()
        except UpstreamFailed as error:
            return Health(HealthStatus.DEGRADED, error.message)
    return Health(HealthStatus.UP)


PLATFORM = Platform(
    key=KEY,
    name="Online shops",
    areas=(SUPPLIES_ORDERS, SUPPLIES_USAGE),
    sources={ORDERS: orders.ORDERS},
    nodes=(
        NodeType("sho", ShopOrder, orders.ShopOrderRow, orders.ORDERS.by_ids),
        NodeType("shp", ShopProduct, products.ProductRow, products.PRODUCTS.by_ids),
    ),
    fields={
        Query: [PostQueries],
        Mutation: [ShopMutations],
        Subscription: [ShopSubscriptions],
        Business: [BusinessProducts],
    },
    enum_values={"UsageMetric": (EnumValue(orders.METRIC, "Orders placed in stores."),)},
    spent_by_customer=orders.orders_spent,
    events=(EventType(ShopOrderPlaced),),
    branch=BRANCH,
    settings=ShopSettings,
    routes=webhook_routes,
    work=client_open,
    health=health,
)
