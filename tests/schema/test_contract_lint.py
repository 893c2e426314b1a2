"""The rules of the contract, held over every type, field and argument that there is."""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    is_specified_directive,
    is_specified_scalar_type,
)

from gateway.cli import SDL
from schema.directives import ListSize
from tests.schema.ways import Step, Ways

SHORT_LISTS = {
    "CampaignPerformance.series": "bounded by the length of `range`, which is refused beyond its limit",
    "Business.locations": "a business has a handful of places",
    "Customer.lifetimeValue": "one entry for each currency that a customer paid in",
    "Organization.capabilities": "values of a closed enum",
    "Organization.members": "the people of one organization",
    "Platform.areas": "values of an enum",
    "PlatformUsage.totals": "values of an enum",
    "Prompt.models": "written by hand by its seller",
    "Prompt.tags": "written by hand by its seller",
    "Prompt.variables": "written by hand by its seller",
    "Prompt.versions": "written by hand by its seller",
    "PromptVariable.options": "written by hand by its seller",
    "Query.nodes": "as long as the list of ids, which is refused beyond its limit",
    "Query.platforms": "the platforms that are plugged in",
    "Service.packages": "the sizes of one service",
    "UsageReport.byPlatform": "the platforms that are plugged in",
    "UsageReport.series": "values of an enum",
    "UsageReport.totals": "values of an enum",
    "UsageSeries.points": "bounded by `range` and `granularity`, which are refused beyond a limit",
    "User.interests": "written by hand",
    "User.memberships": "a person has a handful of places",
    "User.skills": "written by hand",
    "OrderConnection.unavailable": "the platforms that are plugged in",
    "UserError.field": "a path into the input",
    **{
        f"{kind}.history": "only the allowed moves are possible"
        for kind in ("Order", "Appointment", "CreditPurchase", "PromptPurchase", "ServiceOrder")
    },
}
"""Lists without paging and without ``@listSize``, and why each stays short."""

FRACTIONS = {
    "CampaignMetrics.clickThroughRate": "a ratio of counts",
    "Prompt.rating": "a mean of grades",
    "PromptFilter.minRating": "compared with a mean of grades",
    "PromptMetrics.conversionRate": "a ratio of counts",
    "PromptMetrics.successRate": "a ratio of counts",
    "Seller.rating": "a mean of grades",
}
"""Everything that is a ``Float``, and why it may be inexact."""

MONEY = re.compile(r"price|amount|total(?!s|Count)|fee|cost|spend|budget|earning|revenue|balance", re.IGNORECASE)


def own_types(ways: Ways) -> list[GraphQLNamedType]:
    """Every type that is not GraphQL's own."""
    return [
        kind
        for name, kind in sorted(ways.schema.type_map.items())
        if not name.startswith("__") and not is_specified_scalar_type(kind)
    ]


def fields(ways: Ways) -> Iterator[tuple[str, GraphQLObjectType | GraphQLInterfaceType, str]]:
    """Every output field with its coordinate."""
    for kind in own_types(ways):
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name in kind.fields:
                yield f"{kind.name}.{name}", kind, name


def inputs(ways: Ways) -> Iterator[tuple[str, GraphQLArgument | GraphQLInputField]]:
    """Every argument and every input field with its coordinate."""
    for coordinate, kind, name in fields(ways):
        for argument, found in kind.fields[name].args.items():
            yield f"{coordinate}({argument}:)", found
    for input_type in own_types(ways):
        if isinstance(input_type, GraphQLInputObjectType):
            for name, field in input_type.fields.items():
                yield f"{input_type.name}.{name}", field
    for directive in ways.schema.directives:
        if not is_specified_directive(directive):
            for name, found in directive.args.items():
                yield f"@{directive.name}({name}:)", found


def test_the_committed_sdl_is_what_the_code_says(sdl: str) -> None:
    """A change of the contract is a change of ``schema.graphql``, where a reviewer sees it."""
    assert SDL.read_text(encoding="utf-8") == sdl, "look at the change: ./tributary schema check --write"


def test_everything_is_described(ways: Ways) -> None:
    """Types, fields, arguments, input fields and values say what they mean."""
    silent = [kind.name for kind in own_types(ways) if not kind.description]
    silent += [coordinate for coordinate, kind, name in fields(ways) if not kind.fields[name].description]
    silent += [
        coordinate for coordinate, each in inputs(ways) if not each.description and not coordinate.startswith("@")
    ]
    silent += [
        f"{kind.name}.{name}"
        for kind in own_types(ways)
        if isinstance(kind, GraphQLEnumType)
        for name, value in kind.values.items()
        if not value.description
    ]
    silent += [f"@{directive.name}" for directive in ways.schema.directives if not directive.description]
    assert silent == []


def test_descriptions_are_sentences(ways: Ways) -> None:
    """They begin with a capital, a quoted name or a figure, and end with a full stop."""
    texts = {kind.name: kind.description for kind in own_types(ways)}
    texts |= {coordinate: kind.fields[name].description for coordinate, kind, name in fields(ways)}
    texts |= {coordinate: each.description for coordinate, each in inputs(ways) if not coordinate.startswith("@")}
    odd = {
        coordinate: text
        for coordinate, text in texts.items()
        if not re.fullmatch(r"[A-Z0-9`“\"].*[.…]", text or "", re.DOTALL)
    }
    assert odd == {}


def test_names_follow_the_convention(ways: Ways) -> None:
    """PascalCase types, camelCase fields and arguments, SCREAMING_CASE values."""
    odd = [kind.name for kind in own_types(ways) if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", kind.name)]
    camel = re.compile(r"[a-z][a-zA-Z0-9]*")
    odd += [coordinate for coordinate, _, name in fields(ways) if not camel.fullmatch(name)]
    odd += [
        coordinate
        for coordinate, _ in inputs(ways)
        if not camel.fullmatch(re.split(r"[.(]", coordinate.rstrip(":)"))[-1])
    ]
    odd += [
        f"{kind.name}.{name}"
        for kind in own_types(ways)
        if isinstance(kind, GraphQLEnumType)
        for name in kind.values
        if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", name)
    ]
    assert odd == []


def connections(ways: Ways) -> list[GraphQLObjectType]:
    """Every page of a list."""
    return [
        kind for kind in own_types(ways) if isinstance(kind, GraphQLObjectType) and kind.name.endswith("Connection")
    ]


def test_connections_are_relays(ways: Ways) -> None:
    """https://relay.dev/graphql/connections.htm, with ``nodes`` and ``totalCount`` besides."""
    assert len(connections(ways)) > 5
    assert {kind.name for kind in connections(ways)} == {
        kind.name for kind in own_types(ways) if isinstance(kind, GraphQLObjectType) and "pageInfo" in kind.fields
    }
    page_info = ways.object("PageInfo")
    assert {name: str(field.type) for name, field in page_info.fields.items()} == {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }
    for kind in connections(ways):
        row = kind.name.removesuffix("Connection")
        assert {name: str(field.type).rstrip("!") for name, field in kind.fields.items() if name != "unavailable"} == {
            "edges": f"[{row}Edge!]",
            "nodes": f"[{row}!]",
            "pageInfo": "PageInfo",
            "totalCount": "Int",
        }
        edge = ways.object(f"{row}Edge")
        assert {name: str(field.type) for name, field in edge.fields.items()} == {
            "node": f"{row}!",
            "cursor": "String!",
        }


def test_fields_with_pages_take_relays_arguments_and_say_how_long_they_are(ways: Ways) -> None:
    """``first``, ``after``, ``last`` and ``before``, none of them required, and ``@listSize`` for reckoning cost."""
    pages = [
        (coordinate, kind.fields[name])
        for coordinate, kind, name in fields(ways)
        if get_named_type(kind.fields[name].type) in connections(ways)
    ]
    assert len(pages) > 8
    for coordinate, field in pages:
        arguments = {name: str(argument.type) for name, argument in field.args.items()}
        wanted = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
        assert {name: arguments.get(name) for name in wanted} == wanted, coordinate
        size = list_size(ways, coordinate)
        assert size is not None, coordinate
        assert set(size.slicing_arguments or ()) == {"first", "last"}, coordinate
        assert set(size.sized_fields or ()) == {"edges", "nodes"}, coordinate
        assert set(arguments) >= ({"filter"} if "orderBy" in arguments else set()), coordinate


def list_size(ways: Ways, coordinate: str) -> ListSize | None:
    """The ``@listSize`` of a field."""
    kind, _, name = coordinate.partition(".")
    if not isinstance(ways.schema.type_map[kind], GraphQLObjectType):
        return None
    definition = ways.field(Step(kind, name)).extensions.get("strawberry-definition")
    found = [each for each in getattr(definition, "directives", ()) if isinstance(each, ListSize)]
    return found[0] if found else None


def test_every_list_is_paged_or_says_how_long_it_is(ways: Ways) -> None:
    """A list is a connection's, carries ``@listSize``, or stands in the table above with its reason."""
    listed = {
        coordinate
        for coordinate, kind, name in fields(ways)
        if is_list_type(get_nullable_type(kind.fields[name].type))
        and list_size(ways, coordinate) is None
        and not (kind.name.endswith("Connection") and name in ("edges", "nodes"))
        and not (kind.name.endswith("Payload") and name == "userErrors")
    }
    assert listed - set(SHORT_LISTS) == set()
    assert set(SHORT_LISTS) - listed == set()


def test_lists_have_no_holes(ways: Ways) -> None:
    """Their elements are never null, but for ``nodes(ids:)``, whose answers stand where their ids stood."""
    holes = []
    for coordinate, kind, name in fields(ways):
        bare = get_nullable_type(kind.fields[name].type)
        if isinstance(bare, GraphQLList) and not is_non_null_type(bare.of_type):
            holes.append(coordinate)
    assert holes == ["Query.nodes"]


def test_mutations_take_one_input_and_answer_with_user_errors(ways: Ways) -> None:
    """``verbNoun(input: VerbNounInput!): SomethingPayload``, and a payload has ``userErrors``."""
    for name, field in ways.object("Mutation").fields.items():
        wanted = f"{name[0].upper()}{name[1:]}Input!"
        assert {argument: str(each.type) for argument, each in field.args.items()} == {"input": wanted}
        (payload,) = ways.targets(Step("Mutation", name))
        assert payload.endswith("Payload"), name
        assert str(ways.object(payload).fields["userErrors"].type) == "[UserError!]!", name


def test_money_is_exact(ways: Ways) -> None:
    """A ``Float`` is no amount, and what is called like an amount is ``Money``, or in an input a ``Decimal``."""
    floats = {
        coordinate for coordinate, kind, name in fields(ways) if get_named_type(kind.fields[name].type).name == "Float"
    }
    floats |= {coordinate for coordinate, each in inputs(ways) if get_named_type(each.type).name == "Float"}
    assert floats == set(FRACTIONS)
    amounts = {
        coordinate: get_named_type(kind.fields[name].type).name
        for coordinate, kind, name in fields(ways)
        if MONEY.search(name) and coordinate not in FRACTIONS and not name.endswith(("Count", "totals"))
    }
    assert {
        coordinate: kind
        for coordinate, kind in amounts.items()
        if kind not in ("Money", "CampaignMetrics") and coordinate != "Money.amount"
    } == {}
    given = {
        coordinate: get_named_type(each.type).name for coordinate, each in inputs(ways) if MONEY.search(coordinate)
    }
    numbers = {"Int", "Float", "BigInt"}
    assert {coordinate: kind for coordinate, kind in given.items() if kind in numbers and "Cost" not in coordinate} == {
        coordinate: "Int" for coordinate in given if coordinate.startswith("@cost")
    }


def test_ids_are_ids(ways: Ways) -> None:
    """``id`` is ``ID!``; what ends in ``Id`` or ``Ids`` is an ``ID`` too, unless it is somebody else's."""
    others = {"Campaign.externalId"}
    for coordinate, kind, name in fields(ways):
        if name == "id":
            assert str(kind.fields[name].type) == "ID!", coordinate
        elif name.endswith(("Id", "Ids")) and coordinate not in others:
            assert get_named_type(kind.fields[name].type).name == "ID", coordinate
    for coordinate, each in inputs(ways):
        if re.search(r"(\bid|\bids|Id|Ids)(:\))?$", coordinate):
            assert get_named_type(each.type).name == "ID", coordinate


def test_moments_are_named_and_typed_as_such(ways: Ways) -> None:
    """What ends in ``At`` is a ``DateTime``, and every ``DateTime`` is called ``…At``, ``at``, ``from`` or ``to``."""
    for coordinate, kind, name in fields(ways):
        is_moment = get_named_type(kind.fields[name].type).name == "DateTime"
        assert is_moment or not name.endswith("At"), coordinate
        assert not is_moment or name.endswith("At") or name in ("at", "from", "to"), coordinate


def test_scalars_say_where_they_are_specified(ways: Ways) -> None:
    """``@specifiedBy``, but for the three whose description says all."""
    without = {
        kind.name for kind in own_types(ways) if isinstance(kind, GraphQLScalarType) and not kind.specified_by_url
    }
    assert without == {"BigInt", "Decimal"}


def test_what_has_an_id_is_a_node(ways: Ways) -> None:
    """So that it can be asked for again, but for a session, which nobody else may ask for."""
    stray = [
        kind.name
        for kind in own_types(ways)
        if isinstance(kind, GraphQLObjectType)
        and "id" in kind.fields
        and "Node" not in {each.name for each in kind.interfaces}
    ]
    assert stray == ["Session"]


def test_orderings_and_filters_come_in_pairs(ways: Ways) -> None:
    """An ``…Order`` has ``field`` and ``direction``; nothing in a ``…Filter`` is required."""
    for kind in own_types(ways):
        if isinstance(kind, GraphQLInputObjectType) and kind.name.endswith("Order"):
            assert str(kind.fields["field"].type) == f"{kind.name}Field!"
            assert str(kind.fields["direction"].type) == "SortDirection!"
        if isinstance(kind, GraphQLInputObjectType) and kind.name.endswith("Filter"):
            assert [name for name, each in kind.fields.items() if is_non_null_type(each.type)] == []
