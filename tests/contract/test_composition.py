"""What is on is in the schema, what is off is not, and one schema knows nothing of another."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    validate_schema,
)

from gateway.platforms import BUILT_IN
from schema.composed import Composition
from schema.composition import compose
from schema.platform import Platform
from tests.contract.conftest import KEYS


def own_names(platform: Platform) -> set[str]:
    """The names of the types with ids and of the events that only this platform brings."""
    kinds: list[Any] = [node.kind for node in platform.nodes] + [event.kind for event in platform.events]
    return {kind.__strawberry_definition__.name for kind in kinds}


def referenced(schema: GraphQLSchema) -> set[str]:
    """The names of the types that fields, arguments, interfaces and roots of the schema lead to."""
    found = {"Query", "Mutation", "Subscription"}
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            found |= {interface.name for interface in kind.interfaces}
            for field in kind.fields.values():
                found.add(get_named_type(field.type).name)
                found |= {get_named_type(argument.type).name for argument in field.args.values()}
    return found


def test_every_platform_is_checked(registry: dict[str, Platform]) -> None:
    assert tuple(registry) == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_what_is_off_leaves_no_trace(registry: dict[str, Platform], composition: Composition, key: str) -> None:
    rest = compose([platform for platform in registry.values() if platform.key != key])
    gone = set(composition.graphql.type_map) - set(rest.graphql.type_map)
    assert own_names(registry[key]) <= gone
    assert referenced(rest.graphql) <= set(rest.graphql.type_map)
    assert key not in [platform.key for platform in rest.platforms]
    for enum, values in registry[key].enum_values.items():
        assert {value.name for value in values} & set(rest.enum_values[enum]) == set()
    assert all(key not in sources for sources in rest.sources.values())


@pytest.mark.parametrize("count", range(1, len(BUILT_IN)))
def test_any_choice_of_platforms_is_a_valid_schema(registry: dict[str, Platform], count: int) -> None:
    """Each alone, each pair, and so on up to all but one."""
    for chosen in combinations(registry.values(), count):
        composed = compose(chosen)
        named = [platform.key for platform in chosen]
        assert validate_schema(composed.graphql) == [], named
        assert validate_schema(build_schema(composed.sdl)) == [], named
        assert {value for platform in chosen for value in (area.name for area in platform.areas)} == set(
            composed.enum_values["PlatformArea"]
        ), named


@pytest.mark.parametrize("area", ["BUSINESSES", "CAMPAIGNS", "PROMPTS", "ORDERS", "USAGE"])
def test_an_area_that_nobody_supplies_is_not_there(registry: dict[str, Platform], area: str) -> None:
    field = area.lower()
    without = [platform for platform in registry.values() if area not in [each.name for each in platform.areas]]
    query = compose(without).graphql.query_type
    assert query is not None
    assert field not in query.fields
    assert area not in compose(without).sdl


def test_composing_leaves_what_it_is_given_as_it_was(registry: dict[str, Platform]) -> None:
    everything, few = list(registry.values()), [registry["billing"], registry["shop"]]
    before = [replace(platform) for platform in everything]
    first, other, again = compose(everything), compose(few), compose(everything)
    assert first.sdl == again.sdl != other.sdl
    assert everything == before
    assert set(other.graphql.type_map) < set(first.graphql.type_map)
    assert first.graphql.type_map["Business"] is not again.graphql.type_map["Business"]
    assert "Business" not in other.graphql.type_map or "shopProducts" in other.sdl


def test_everything_has_a_description(composition: Composition) -> None:
    silent: list[str] = []
    for kind in composition.graphql.type_map.values():
        if kind.name.startswith("__"):
            continue
        silent += [] if kind.description else [kind.name]
        for name, member in {**getattr(kind, "fields", {}), **getattr(kind, "values", {})}.items():
            silent += [] if member.description else [f"{kind.name}.{name}"]
            arguments = getattr(member, "args", {}).items()
            silent += [f"{kind.name}.{name}({argument})" for argument, given in arguments if not given.description]
    assert [name for name in silent if name not in {"Boolean", "Float", "ID", "Int", "String"}] == []
