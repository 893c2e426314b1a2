"""Enforces ``@authenticated`` and ``@requiresScopes`` from the schema itself, on every path to a field or a type.

What a field needs is what stands on the field, on the type that it returns, and on the nodes of a connection that it
returns. Nothing of that depends on a row, so only the resolvers of such fields are wrapped, and no other field pays.
Behind an interface the type is known only with the row: there the check sits where the type is resolved.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
)

from auth.errors import AccessDenied, SignInRequired
from auth.principal import Principal
from schema.claims import CompositionError
from schema.directives import Authenticated, Public, RequiresScopes

Groups = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Requirement:
    """What a caller must have: to be signed in, and of each entry of ``scopes`` one group."""

    scopes: tuple[Groups, ...]

    def check(self, principal: Principal) -> None:
        """Raises ``SignInRequired`` or ``AccessDenied``."""
        if not principal.signed_in:
            raise SignInRequired(principal.hint)
        for groups in self.scopes:
            if not principal.has(groups):
                raise AccessDenied([sorted(group) for group in groups])


def _merged(directives: Iterable[object]) -> Requirement | None:
    found = list(directives)
    groups = tuple(
        dict.fromkeys(
            tuple(frozenset(group) for group in directive.scopes)
            for directive in found
            if isinstance(directive, RequiresScopes)
        )
    )
    return Requirement(groups) if groups or any(isinstance(directive, Authenticated) for directive in found) else None


def _directives(element: GraphQLField | GraphQLNamedType) -> list[object]:
    definition = element.extensions.get("strawberry-definition")
    return [
        directive
        for directive in getattr(definition, "directives", None) or ()
        if isinstance(directive, Authenticated | RequiresScopes | Public)
    ]


def type_requirement(kind: GraphQLNamedType) -> list[object]:
    """The directives that guard a type: its own and those of its interfaces."""
    interfaces = kind.interfaces if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) else ()
    return [directive for element in (kind, *interfaces) for directive in _directives(element)]


def field_requirement(field: GraphQLField) -> Requirement | None:
    """What a field needs; ``None`` when it is open to everybody."""
    returned = get_named_type(field.type)
    directives = _directives(field) + type_requirement(returned)
    if isinstance(returned, GraphQLObjectType) and "nodes" in returned.fields and "pageInfo" in returned.fields:
        directives += type_requirement(get_named_type(returned.fields["nodes"].type))
    return _merged(directives)


def undeclared(schema: GraphQLSchema) -> list[str]:
    """What says neither who may read it nor that it is public: root fields, and types that ``node`` finds.

    All else is reached through one of these, and may ask for more.
    """
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    node = schema.type_map["Node"]
    found = []
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType):
            continue
        if kind in roots:
            found += [f"{kind.name}.{name}" for name, field in kind.fields.items() if not _declared(field)]
        elif node in kind.interfaces and not type_requirement(kind):
            found.append(kind.name)
    return sorted(found)


def _declared(field: GraphQLField) -> bool:
    return bool(_directives(field)) or field_requirement(field) is not None


def enforce(schema: GraphQLSchema) -> None:
    """Wraps what has a requirement, in place; raises ``CompositionError`` for what is neither guarded nor public."""
    if forgotten := undeclared(schema):
        message = (
            f"{', '.join(forgotten)}: say who may read it (@requiresScopes, @authenticated), or that it is @public"
        )
        raise CompositionError(message)
    for kind in schema.type_map.values():
        if kind.name.startswith("__") or not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            continue
        if isinstance(kind, GraphQLInterfaceType):
            _guard_interface(schema, kind)
        for field in kind.fields.values():
            requirement = field_requirement(field)
            if requirement is None:
                continue
            if field.subscribe is not None:
                field.subscribe = _guarded(field.subscribe, requirement)
            field.resolve = _guarded(field.resolve, requirement)
            field.extensions = {**field.extensions, "requirement": requirement}


def _require(requirement: Requirement, info: GraphQLResolveInfo[Any], what: str) -> None:
    """Lets the operation go on, or leaves a trace of what was refused and raises."""
    try:
        requirement.check(info.context.rights)
    except AccessDenied:
        operation = info.operation.name
        info.context.denied(what, operation.value if operation else None)
        raise


def _guarded(resolve: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    def resolve_if_allowed(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        _require(requirement, info, f"{info.parent_type.name}.{info.field_name}")
        return resolve(source, info, **arguments)

    return resolve_if_allowed


def _guard_interface(schema: GraphQLSchema, interface: GraphQLInterfaceType) -> None:
    guarded = {
        kind.name: requirement
        for kind in schema.get_possible_types(interface)
        if (requirement := _merged(type_requirement(kind))) is not None
    }
    resolve_type = interface.resolve_type
    if not guarded or resolve_type is None:
        return

    def resolve_type_if_allowed(
        value: Any, info: GraphQLResolveInfo[Any], abstract: Any
    ) -> str | Awaitable[str | None] | None:
        name = resolve_type(value, info, abstract)
        requirement = guarded.get(name) if isinstance(name, str) else None
        if requirement is not None:
            _require(requirement, info, str(name))
        return name

    interface.resolve_type = resolve_type_if_allowed
