"""Directives of the schema: who may read a field, and what it costs.

They are the one source of both the documentation and the enforcement (see ``schema.scopes``).
"""

import strawberry
from strawberry.schema_directive import Location


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE],
    description="Only for somebody who is signed in.",
)
class Authenticated:
    """``@authenticated``."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE],
    description="Only with these scopes: any one of the inner lists, whole. On a type it holds on every path to it.",
)
class RequiresScopes:
    """``@requiresScopes(scopes: [["orders:read"]])``."""

    scopes: list[list[str]]


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE],
    description="For everybody, signed in or not, and why that is right. What says nothing of the kind is refused.",
)
class Public:
    """``@public(reason: "…")``: a root field or a type with ids that is neither this nor guarded stops the start."""

    reason: str


@strawberry.schema_directive(
    locations=[
        Location.FIELD_DEFINITION,
        Location.ARGUMENT_DEFINITION,
        Location.OBJECT,
        Location.SCALAR,
        Location.ENUM,
        Location.INPUT_FIELD_DEFINITION,
    ],
    description="What selecting this adds to the cost of an operation.",
)
class Cost:
    """``@cost(weight: 10)``; weights are whole numbers here, where the draft has strings."""

    weight: int


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How long the list of this field can be, for reckoning the cost of an operation before it runs.",
)
class ListSize:
    """``@listSize``, from the IBM cost directives draft."""

    assumed_size: int | None = strawberry.UNSET
    slicing_arguments: list[str] | None = strawberry.UNSET
    sized_fields: list[str] | None = strawberry.UNSET
    require_one_slicing_argument: bool = True


def scopes(*groups: str) -> RequiresScopes:
    """``@requiresScopes``; each argument is one sufficient group, its scopes separated by spaces."""
    return RequiresScopes(scopes=[group.split() for group in groups])
