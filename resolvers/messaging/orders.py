"""Service orders: packages that were sold in conversations."""

import strawberry

from datasources.database import messaging as data
from resolvers.messaging.catalogue import Package
from resolvers.messaging.media import Media
from schema.order import Order
from schema.relations import relation


@strawberry.type(description="A package of a service, sold in a conversation.")
class ServiceOrder(Order):
    """``ServiceOrder``."""

    package: Package | None = relation(data.packages_by_id, key="package_id", description="What was sold.")
    payment_proof: Media | None = relation(
        data.media_by_id, key="payment_proof_id", description="The proof of payment that was sent last."
    )
