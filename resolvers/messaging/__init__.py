"""Sales in chat: services with packages, sold in conversations."""

from datasources.database import messaging as data
from datasources.database.migrate import built_in_branch
from resolvers.messaging.catalogue import CatalogueQueries, Package, Service
from resolvers.messaging.media import media_routes
from resolvers.messaging.orders import ServiceOrder
from resolvers.messaging.payment import PaymentMutations
from schema.platform import (
    ORDERS,
    SUPPLIES_ORDERS,
    SUPPLIES_USAGE,
    EnumValue,
    NodeType,
    Platform,
    database_answers,
)
from schema.roots import Mutation, Query

PLATFORM = Platform(
    key="messaging",
    name="Sales in chat",
    areas=(SUPPLIES_ORDERS, SUPPLIES_USAGE),
    sources={ORDERS: data.SERVICE_ORDERS},
    nodes=(
        NodeType("sor", ServiceOrder, data.ServiceOrderRow, data.SERVICE_ORDERS.by_ids),
        NodeType("svc", Service, data.ServiceRow, data.services_by_id),
        NodeType("pkg", Package, data.PackageRow, data.packages_by_id),
    ),
    fields={Query: [CatalogueQueries], Mutation: [PaymentMutations]},
    enum_values={
        "UsageMetric": (
            EnumValue("MESSAGES_SENT", "Messages sent to customers."),
            EnumValue("MESSAGES_RECEIVED", "Messages received from customers."),
        )
    },
    spent_by_customer=data.service_orders_spent,
    branch=built_in_branch("messaging"),
    health=database_answers,
    routes=media_routes,
)
