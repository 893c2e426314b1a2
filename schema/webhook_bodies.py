"""What the body of a webhook tells of an event: a selection made from the schema itself, for each type of event.

Its own fields, and of what it points to the single values that cost nothing extra (amounts of money among them), as far
as the scopes of the endpoint reach. A new field of an event is in its bodies by being there; one that is deprecated is
not.
"""

from collections.abc import Mapping

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)
from graphql.type import GraphQLAbstractType

from schema.directives import Cost, RequiresScopes
from schema.scopes import Groups, field_requirement, type_requirement

READ_EVENTS = "events:read"
"""What every endpoint needs, whatever its types of events need besides."""


class Reach:
    """How far scopes reach; ``used`` are those of them that something needed."""

    def __init__(self, held: frozenset[str]) -> None:
        self._held = held
        self.used: set[str] = set()

    def lacks(self, needed: tuple[Groups, ...]) -> frozenset[str]:
        """What is missing for the first requirement that is not met; nothing when all are."""
        used: set[str] = set()
        for groups in needed:
            enough = next((group for group in groups if group <= self._held), None)
            if enough is None:
                return min(
                    (group - self._held for group in groups), key=lambda missing: (len(missing), sorted(missing))
                )
            used |= enough
        self.used |= used
        return frozenset()


def event_types(schema: GraphQLSchema) -> Mapping[str, GraphQLObjectType]:
    """The types of events, by name."""
    event = schema.type_map.get("Event")
    found = schema.get_possible_types(event) if isinstance(event, GraphQLInterfaceType) else ()
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}


def needed_for(kind: GraphQLNamedType) -> tuple[Groups, ...]:
    """What somebody must have to be told of events of a type."""
    return ((frozenset({READ_EVENTS}),), *_groups(kind))


def document(schema: GraphQLSchema, kind: GraphQLObjectType, reach: Reach) -> str:
    """The query for an event of a type by its id: all that a body tells with these scopes."""
    inner = " ".join(["__typename", *_fields(schema, kind, reach, beyond=True)])
    return f"query WebhookEvent($id: ID!) {{ event: node(id: $id) {{ ... on {kind.name} {{ {inner} }} }} }}"


def _fields(
    schema: GraphQLSchema, kind: GraphQLObjectType | GraphQLInterfaceType, reach: Reach, *, beyond: bool
) -> list[str]:
    """The fields to select of a type; what leads ``beyond`` it, and lists, only when that is wanted."""
    selected = []
    for name, field in kind.fields.items():
        returned = get_named_type(field.type)
        leaf = is_leaf_type(returned)
        many = is_list_type(get_nullable_type(field.type))
        if not beyond and (many or _costs(field) or not (leaf or _is_value(returned))):
            continue
        if field.deprecation_reason is not None or any(is_required_argument(each) for each in field.args.values()):
            continue
        if _is_page(returned) or reach.lacks(_needed(schema, field, returned)):
            continue
        if leaf:
            selected.append(name)
            continue
        inner = ["__typename"] if is_abstract_type(returned) else []
        if isinstance(returned, GraphQLObjectType | GraphQLInterfaceType):
            inner += _fields(schema, returned, reach, beyond=False)
        if inner:
            selected.append(f"{name} {{ {' '.join(inner)} }}")
    return selected


def _is_value(kind: GraphQLNamedType) -> bool:
    """Whether a type is nothing but a few values that belong together, such as an amount and its currency."""
    return (
        isinstance(kind, GraphQLObjectType)
        and "id" not in kind.fields
        and all(is_leaf_type(get_named_type(field.type)) and not field.args for field in kind.fields.values())
    )


def _costs(field: GraphQLField) -> bool:
    definition = field.extensions.get("strawberry-definition")
    return any(isinstance(directive, Cost) for directive in getattr(definition, "directives", None) or ())


def _is_page(kind: GraphQLNamedType) -> bool:
    return isinstance(kind, GraphQLObjectType) and "pageInfo" in kind.fields


def _needed(schema: GraphQLSchema, field: GraphQLField, returned: GraphQLNamedType) -> tuple[Groups, ...]:
    """What a field needs, whichever of the types behind an interface it comes to."""
    requirement = field_requirement(field)
    needed = requirement.scopes if requirement is not None else ()
    if isinstance(returned, GraphQLAbstractType):
        needed += tuple(groups for kind in schema.get_possible_types(returned) for groups in _groups(kind))
    return needed


def _groups(kind: GraphQLNamedType) -> tuple[Groups, ...]:
    return tuple(
        tuple(frozenset(group) for group in directive.scopes)
        for directive in type_requirement(kind)
        if isinstance(directive, RequiresScopes)
    )
