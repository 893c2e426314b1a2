"""The tables of docs/scopes.md, from the schema: ``python -m tests.docs.tables`` writes them."""

import re
from collections.abc import Callable, Iterable, Mapping

from graphql import GraphQLInterfaceType, GraphQLNamedType, GraphQLObjectType, GraphQLSchema

from auth.members import may_manage
from auth.principal import MemberRole
from auth.scopes import ROLE_SCOPES
from gateway.platforms import BUILT_IN
from schema.composition import compose
from schema.directives import Public, RequiresScopes
from schema.scopes import field_requirement, type_requirement
from tests.repository.checkout import ROOT

PAGE = ROOT / "docs" / "scopes.md"
_ROWS = re.compile(r"\A(?:\|.*\n)*")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _composite(schema: GraphQLSchema) -> list[GraphQLObjectType | GraphQLInterfaceType]:
    return sorted(
        (
            kind
            for kind in schema.type_map.values()
            if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__")
        ),
        key=lambda kind: kind.name,
    )


def _in_words(groups: Iterable[Iterable[Iterable[str]]]) -> str:
    needed = [" or ".join(" and ".join(f"`{scope}`" for scope in sorted(group)) for group in one) for one in groups]
    return ", and ".join(dict.fromkeys(needed)) or "to be signed in"


def _of_type(kind: GraphQLNamedType) -> str | None:
    directives = [one for one in type_requirement(kind) if not isinstance(one, Public)]
    return _in_words(one.scopes for one in directives if isinstance(one, RequiresScopes)) if directives else None


def roles(_: GraphQLSchema) -> str:
    """Which role has which scope."""
    scopes = sorted(frozenset[str]().union(*ROLE_SCOPES.values()))
    rows = [[f"`{scope}`", *("yes" if scope in ROLE_SCOPES[role] else "" for role in MemberRole)] for scope in scopes]
    return _table(["scope", *(role.name for role in MemberRole)], rows)


def members(_: GraphQLSchema) -> str:
    """Who may make, and unmake, whom."""
    rows = [
        [f"`{role.name}`", *("yes" if may_manage(own, ROLE_SCOPES[own], role) else "" for own in MemberRole)]
        for role in MemberRole
    ]
    return _table(["to make or unmake", *(role.name for role in MemberRole)], rows)


def roots(schema: GraphQLSchema) -> str:
    """What each field of the roots needs."""
    rows = []
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert root is not None
        for name, field in sorted(root.fields.items()):
            needed = field_requirement(field)
            rows.append([f"`{root.name}.{name}`", "nothing" if needed is None else _in_words(needed.scopes)])
    return _table(["field", "needs"], rows)


def types(schema: GraphQLSchema) -> str:
    """What each guarded type needs."""
    return _table(
        ["type", "needs"], [[f"`{kind.name}`", needed] for kind in _composite(schema) if (needed := _of_type(kind))]
    )


def fields(schema: GraphQLSchema) -> str:
    """What fields need by themselves, beyond the roots."""
    root_types = {schema.query_type, schema.mutation_type, schema.subscription_type}
    rows = []
    for kind in _composite(schema):
        for name, field in sorted(kind.fields.items()):
            definition = field.extensions.get("strawberry-definition")
            own = [one for one in getattr(definition, "directives", ()) if isinstance(one, RequiresScopes)]
            if own and kind not in root_types:
                rows.append([f"`{kind.name}.{name}`", _in_words(one.scopes for one in own)])
    return _table(["field", "needs"], rows)


TABLES: Mapping[str, Callable[[GraphQLSchema], str]] = {
    "roles": roles,
    "members": members,
    "roots": roots,
    "types": types,
    "fields": fields,
}


def current(text: str) -> str:
    """The page with its tables as the schema has them."""
    schema = compose(BUILT_IN).graphql
    for name, table in TABLES.items():
        before, place, after = text.partition(f"<!-- {name} -->\n\n")
        assert place, f"{PAGE} has no place <!-- {name} -->"
        text = f"{before}{place}{table(schema)}\n{re.sub(_ROWS, '', after)}"
    return text


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
