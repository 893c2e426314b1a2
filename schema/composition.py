"""From a list of platforms to one schema: a pure function. Two schemas with different platforms live in one process."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    Undefined,
)
from strawberry.exceptions import DuplicatedTypeName
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from datasources.database.engine import Scope
from datasources.database.events import EventRow
from datasources.paging import Load, Source
from schema.claims import CompositionError, two_types
from schema.composed import Composition
from schema.gateway_fields import GATEWAY
from schema.platform import AREA, ITSELF, OPEN_ENUMS, EnumValue, NodeType, OpenEnum, Platform
from schema.roots import Mutation, Query, Subscription
from schema.scalars import SCALARS
from schema.scopes import enforce

T = TypeVar("T")


class _Fields:
    """Who adds which fields to which type; refuses two claims to one name."""

    def __init__(self, contributions: Iterable[tuple[str, Mapping[type, Sequence[type]]]]) -> None:
        self.of: dict[type, list[tuple[str, StrawberryField]]] = {}
        for owner, additions in contributions:
            for target, classes in additions.items():
                for added in classes:
                    definition: StrawberryObjectDefinition = added.__strawberry_definition__  # type: ignore[attr-defined]
                    self.of.setdefault(target, []).extend((owner, field) for field in definition.fields)

    def added_to(self, definition: StrawberryObjectDefinition) -> list[tuple[str, StrawberryField]]:
        """What is added to a type: to itself, and to the interfaces that it implements."""
        targets = [definition.origin, *(interface.origin for interface in definition.interfaces)]
        return [entry for target in targets for entry in self.of.get(target, ())]


class _Schema(strawberry.Schema):
    """A Strawberry schema whose types also have the fields that areas and platforms add to them."""

    def __init__(self, *, added: _Fields, **rest: Any) -> None:
        self._added = added
        try:
            super().__init__(**rest)
        except TypeError as error:  # what graphql-core makes of an exception that is raised while it asks for fields
            if isinstance(error.__cause__, CompositionError):
                raise error.__cause__ from None
            raise

    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        """The type's own fields and the added ones; raises ``CompositionError`` for a name claimed twice."""
        fields = list(type_definition.fields)
        owners = dict.fromkeys((self.config.name_converter.from_field(field) for field in fields), "the type itself")
        for owner, field in self._added.added_to(type_definition):
            name = self.config.name_converter.from_field(field)
            if name in owners:
                message = f"{type_definition.name}.{name} is claimed by {owners[name]} and by {owner}"
                raise CompositionError(message)
            owners[name] = owner
            fields.append(field)
        return fields


def compose(platforms: Sequence[Platform]) -> Composition:
    """The schema of these platforms; raises ``CompositionError`` when they do not fit together."""
    by_key = _unique("platform", [(each.key, each.name, each) for each in (ITSELF, *platforms)])
    areas = {value.name for platform in platforms for value in platform.areas}
    if not areas:
        message = f"nothing supplies an area: of {sorted(by_key.keys() - {ITSELF.key})} alone there is no schema"
        raise CompositionError(message)
    for platform in platforms:
        if strangers := set(platform.sources) - {value.name for value in platform.areas}:
            message = f"platform {platform.key} has a source of {min(strangers)}, which is not among its areas"
            raise CompositionError(message)
    parts = [part for part in GATEWAY if part.needs <= areas]
    nodes = [("the gateway", node) for part in parts for node in part.nodes]
    nodes += [(platform.key, node) for platform in platforms for node in platform.nodes]
    events = [("the gateway", event) for part in parts for event in part.events]
    events += [(platform.key, event) for platform in platforms for event in platform.events]
    fields = [("the gateway", part.fields) for part in parts] + [(each.key, each.fields) for each in platforms]
    enums = {enum.name: _values(enum, platforms) for enum in OPEN_ENUMS}
    _unique("event", [(_name(event.kind), owner, event) for owner, event in events])
    types = [*((owner, node.kind) for owner, node in nodes), *((owner, event.kind) for owner, event in events)]
    _unique("type", [(_name(kind), owner, kind) for owner, kind in types])
    try:
        schema = _Schema(
            added=_Fields(fields),
            query=Query,
            mutation=Mutation,
            subscription=Subscription,
            types=[kind for _, kind in types],
            config=StrawberryConfig(scalar_map=SCALARS),
            scalar_overrides={enum.type: _open_enum(enum, enums[enum.name]) for enum in OPEN_ENUMS},
        )
    except DuplicatedTypeName as error:
        raise _two_types(error, types, fields) from None
    graphql = schema._schema  # noqa: SLF001 -- the graphql-core schema, which is what is executed
    _rows_know_their_type(graphql)
    _resolve_plainly(graphql)
    _absent_is_not_null(graphql)
    enforce(graphql)
    sources = {
        area: {platform.key: platform.sources[area] for platform in platforms if area in platform.sources}
        for area in sorted(areas)
    }
    return Composition(
        platforms=tuple(platforms),
        graphql=graphql,
        sdl=schema.as_str() + "\n",
        sources=sources,
        nodes=_unique("id prefix", [(node.prefix, owner, _tellable(node, graphql, by_key)) for owner, node in nodes]),
        type_names={node.row: _name(node.kind) for _, node in nodes},
        enum_values={name: tuple(values) for name, values in enums.items()},
        _owners={node.row: platform for platform in platforms for node in platform.nodes},
        _by_key=by_key,
        _loads={area: _loads_from(of_area) for area, of_area in sources.items()},
    )


def _tellable(node: NodeType, schema: GraphQLSchema, platforms: Mapping[str, Platform]) -> NodeType:
    """The log remembers platforms that are off by now: of their events nothing is found, for they have no type."""
    if node.row is not EventRow:
        return node

    async def load(scope: Scope, ids: Sequence[str]) -> dict[str, EventRow]:
        found: Mapping[str, EventRow] = await node.load(scope, ids)
        return {
            identity: event
            for identity, event in found.items()
            if event.type in schema.type_map and event.platform_key in platforms
        }

    return node._replace(load=load)


def _loads_from(sources: Mapping[str, Source[Any]]) -> Load:
    """Reads by id from all sources of an area; each answers for its own ids."""

    async def load(scope: Scope, ids: Sequence[str]) -> dict[str, Any]:
        answers = await asyncio.gather(*(source.by_ids(scope, ids) for source in sources.values()))
        return {identity: row for answer in answers for identity, row in answer.items()}

    return load


def _name(kind: type) -> str:
    definition: StrawberryObjectDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    return definition.name


def _two_types(
    error: DuplicatedTypeName,
    types: Sequence[tuple[str, type]],
    fields: Sequence[tuple[str, Mapping[type, Sequence[type]]]],
) -> CompositionError:
    contributions: dict[str, list[type]] = {}
    for owner, kind in types:
        contributions.setdefault(owner, []).append(kind)
    for owner, additions in fields:
        contributions.setdefault(owner, []).extend(kind for classes in additions.values() for kind in classes)
    if error.first_cls is None or error.second_cls is None:
        return CompositionError(error.message)
    return two_types(_name(error.first_cls), (error.second_cls, error.first_cls), contributions)


def _unique(what: str, claims: Sequence[tuple[str, str, T]]) -> dict[str, T]:
    """The claimed things by name; raises ``CompositionError`` with both claimants of a name claimed twice."""
    owners: dict[str, str] = {}
    found: dict[str, T] = {}
    for name, owner, thing in claims:
        if name in owners:
            message = f"the {what} {name} is claimed by {owners[name]} and by {owner}"
            raise CompositionError(message)
        owners[name], found[name] = owner, thing
    return found


def _values(enum: OpenEnum, platforms: Sequence[Platform]) -> dict[str, EnumValue]:
    """The values of an open enum. Several platforms may name the same area, but no other value twice."""
    claims = [
        (value.name, platform.key, value) for platform in platforms for value in platform.enum_values.get(enum.name, ())
    ]
    found = _unique(f"{enum.name} value", [*((value.name, "the gateway", value) for value in enum.own), *claims])
    if enum is AREA:
        for platform in platforms:
            found.update({value.name: value for value in platform.areas if value.name not in found})
    return found


def _open_enum(enum: OpenEnum, values: Mapping[str, EnumValue]) -> ScalarDefinition:
    """A GraphQL enum of these values. Strawberry takes it where it takes a scalar of its own."""
    implementation = GraphQLEnumType(
        enum.name,
        {name: GraphQLEnumValue(name, description=value.description) for name, value in values.items()},
        description=enum.description,
    )
    return ScalarDefinition(
        name=enum.name,
        description=enum.description,
        specified_by_url=None,
        serialize=None,
        parse_value=None,
        parse_literal=None,
        implementation=implementation,  # type: ignore[arg-type]
    )


def _rows_know_their_type(schema: GraphQLSchema) -> None:
    """Drops the check of every object against its Python class: rows are light values, not instances of types."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType):
            kind.is_type_of = None


def _resolve_plainly(schema: GraphQLSchema) -> None:
    """Takes Strawberry's wrapping off fields that need none of it: attributes, and declared ones without arguments.

    A declared field has its resolver in its metadata; ``(row, info)`` is all that it takes.
    """
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for field in kind.fields.values():
            definition = field.extensions.get("strawberry-definition")
            if not isinstance(definition, StrawberryField) or field.subscribe is not None:
                continue
            if definition.is_basic_field:
                field.resolve = _attribute(definition.python_name)
            elif "resolve" in definition.metadata:
                field.resolve = definition.metadata["resolve"]


def _attribute(name: str) -> Callable[[Any, GraphQLResolveInfo[Any]], Any]:
    get = attrgetter(name)
    return lambda row, _info: get(row)


def _absent_is_not_null(schema: GraphQLSchema) -> None:
    """Takes back the default ``null`` of what may be left out: it says nothing, and clutters the SDL."""
    arguments: list[GraphQLArgument | GraphQLInputField] = []
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            arguments.extend(kind.fields.values())
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__"):
            arguments.extend(argument for field in kind.fields.values() for argument in field.args.values())
    arguments.extend(argument for directive in schema.directives for argument in directive.args.values())
    for argument in arguments:
        if argument.default_value is None:
            argument.default_value = Undefined
