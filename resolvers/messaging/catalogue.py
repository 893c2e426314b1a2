"""What is sold in conversations: services with packages."""

import strawberry

from datasources.database import messaging as data
from schema.context import Info, as_graphql
from schema.directives import Authenticated, ListSize
from schema.money import Money, money
from schema.node import Node
from schema.relations import relation


@strawberry.type(description="A service of the catalogue.", directives=[Authenticated()])
class Service(Node):
    """``Service``."""

    name: str = strawberry.field(description="What it is called.")
    description: str = strawberry.field(description="What it is.")
    active: bool = strawberry.field(description="Whether it is offered.")
    packages: list["Package"] | None = relation(
        data.packages_of, key="id", many=True, description="In which sizes it is sold, the oldest first."
    )


@strawberry.type(description="A size of a service, with its price.", directives=[Authenticated()])
class Package(Node):
    """``Package``."""

    name: str = strawberry.field(description="What it is called.")
    description: str | None = strawberry.field(description="What is in it.")
    price: Money = money("price", "What it costs.")
    active: bool = strawberry.field(description="Whether it is offered.")
    service: Service | None = relation(data.services_by_id, key="service_id", description="What it is a size of.")


@strawberry.type(description="Roots of the catalogue.")
class CatalogueQueries:
    """Fields of ``Query``."""

    @strawberry.field(
        description="The catalogue of the organization, the oldest first, at most 250.",
        directives=[Authenticated(), ListSize(assumed_size=25, require_one_slicing_argument=False)],
    )
    @staticmethod
    async def services(info: Info) -> list[Service] | None:
        """``services``."""
        return as_graphql(await data.all_services(info.context.scope))
