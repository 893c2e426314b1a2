"""``Node``: everything with an id that can be asked for again by that id."""

from typing import Any

import strawberry
from graphql import GraphQLAbstractType, GraphQLResolveInfo

from datasources.database.events import EventRow


def type_of_row(row: Any, info: GraphQLResolveInfo[Any], _abstract: GraphQLAbstractType) -> str:
    """The name of the GraphQL type that a row stands for: an event says so itself, other rows by their kind."""
    if isinstance(row, EventRow):
        return row.type
    name: str = info.context.composition.type_names[type(row)]
    return name


@strawberry.interface(description="Something with an id. Ask for it again with `node(id:)`; caches may key on it.")
class Node:
    """The Relay node interface."""

    id: strawberry.ID = strawberry.field(description="Opaque and unique over all types; never changes.")

    @classmethod
    def resolve_type(cls, row: Any, info: GraphQLResolveInfo[Any], abstract: GraphQLAbstractType) -> str:
        """Which type a row has."""
        return type_of_row(row, info, abstract)
