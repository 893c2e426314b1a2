"""``shopPosts``: what the shop's own REST API has, joined by a declared relation."""

from typing import Annotated

import strawberry

from schema.context import Info, as_graphql
from schema.directives import Cost, ListSize, Public
from schema.errors import BadRequest
from schema.relations import relation
from tributary_shop.upstream import upstream_of, users_by_id


@strawberry.type(description="Who writes for the shop.")
class ShopUser:
    """``ShopUser``."""

    id: int = strawberry.field(description="As the shop numbers them.")
    name: str = strawberry.field(description="What they are called.")
    email: str = strawberry.field(description="Where they can be written to.")


@strawberry.type(description="A post of the shop's journal.")
class ShopPost:
    """``ShopPost``."""

    id: int = strawberry.field(description="As the shop numbers it.")
    user_id: int = strawberry.field(description="The number of who wrote it.")
    title: str = strawberry.field(description="What it is called.")
    user: ShopUser | None = relation(users_by_id, key="user_id", description="Who wrote it; null when they are gone.")


@strawberry.type(description="Roots that come from the shop's REST API.")
class PostQueries:
    """Fields of ``Query``."""

    @strawberry.field(
        description="The first posts of the shop's journal, open to everybody.",
        directives=[
            Cost(weight=5),
            ListSize(assumed_size=100, slicing_arguments=["first"], require_one_slicing_argument=False),
            Public(reason="The shop's blog is open to everybody."),
        ],
    )
    @staticmethod
    async def shop_posts(
        info: Info, first: Annotated[int, strawberry.argument(description="At most so many.")] = 100
    ) -> list[ShopPost] | None:
        """``shopPosts``."""
        if not 1 <= first <= info.context.page_limit:
            message = f"`first` must be from 1 to {info.context.page_limit}, not {first}."
            raise BadRequest(message)
        return as_graphql(await upstream_of(info.context.scope.database).posts(first))
