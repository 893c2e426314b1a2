"""Two platforms that claim the same thing stop the start, and the message names both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.platforms import BUILT_IN
from gateway.settings import Settings
from schema.business import Business
from schema.claims import CompositionError
from schema.composition import compose
from schema.order import Order
from schema.platform import NodeType, Platform
from schema.roots import Mutation, Query, Subscription
from tests.contract.outsiders import Row, field, nothing, plain, thing, with_event, with_field, with_node, with_value
from tests.keys import make_keys

Make = Callable[[str], Platform]

CLAIMS: dict[str, tuple[str, Make]] = {
    "query": ("Query.weather", lambda key: with_field(key, "weather")),
    "mutation": ("Mutation.rain", lambda key: with_field(key, "rain", Mutation)),
    "subscription": ("Subscription.gusts", lambda key: with_field(key, "gusts", Subscription)),
    "field of a shared type": ("Business.climate", lambda key: with_field(key, "climate", Business)),
    "field of a shared interface": (".climate", lambda key: with_field(key, "climate", Order)),
    "type with an id": ("Cloud", lambda key: with_node(key, f"c{key[0]}l", "Cloud")),
    "type without an id": ("Cloud", lambda key: with_field(key, f"cloud{key}", kind=plain("Cloud"))),
    "event": ("Rained", lambda key: with_event(key, "Rained")),
    "type and event": (
        "Cloud",
        lambda key: with_event(key, "Cloud") if key == "north" else with_node(key, "clo", "Cloud"),
    ),
    "id prefix": ("clo", lambda key: with_node(key, "clo", f"Cloud{key}")),
    "metric": ("DROPS", lambda key: with_value(key, "UsageMetric", "DROPS")),
    "provider": ("STATION", lambda key: with_value(key, "IntegrationProvider", "STATION")),
}

OF_THE_GATEWAY: dict[str, tuple[str, str, Platform]] = {
    "query": ("Query.viewer", "the gateway", with_field("north", "viewer")),
    "field of its own roots": ("Query.node", "the type itself", with_field("north", "node")),
    "field of its own types": ("Business.name", "the type itself", with_field("north", "name", Business)),
    "type with an id": ("User", "the gateway", with_node("north", "nus", "User")),
    "type without an id": ("Money", "the gateway", with_field("north", "price", kind=plain("Money"))),
    "event": ("OrderChanged", "the gateway", with_event("north", "OrderChanged")),
    "id prefix": ("usr", "the gateway", with_node("north", "usr", "Person")),
    "metric": ("API_COST", "the gateway", with_value("north", "UsageMetric", "API_COST")),
    "type of another platform": ("Seller", "marketplace", with_node("north", "nse", "Seller")),
    "enum of another platform": ("MediaKind", "messaging", with_field("north", "kind", kind=plain("MediaKind"))),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_two_platforms_claim_the_same(claim: str) -> None:
    name, make = CLAIMS[claim]
    compose([*BUILT_IN, make("north")])  # one alone may have it
    with pytest.raises(CompositionError) as refused:
        compose([*BUILT_IN, make("north"), make("south")])
    message = str(refused.value)
    assert name in message
    assert "north" in message
    assert "south" in message


@pytest.mark.parametrize("claim", OF_THE_GATEWAY)
def test_a_platform_claims_what_is_there_already(claim: str) -> None:
    name, owner, platform = OF_THE_GATEWAY[claim]
    with pytest.raises(CompositionError) as refused:
        compose([*BUILT_IN, platform])
    message = str(refused.value)
    assert name in message
    assert owner in message
    assert "north" in message


def test_two_platforms_have_the_same_key() -> None:
    with pytest.raises(CompositionError, match=r"north.*North.*Nordic"):
        compose([Platform(key="north", name="North"), Platform(key="north", name="Nordic")])


def test_a_platform_has_a_source_of_what_it_does_not_supply() -> None:
    source = next(iter(BUILT_IN[0].sources.items()))
    with pytest.raises(CompositionError, match=rf"north.*{source[0]}"):
        compose([*BUILT_IN, Platform(key="north", name="North", sources=dict([source]))])


def test_what_says_neither_who_may_read_it_nor_that_it_is_public() -> None:
    """A root field, and a type that ``node`` finds; a type that is reached through a guarded field needs no word."""
    silent = Platform(key="north", name="North", fields={Query: [field("weather", directives=())]})
    with pytest.raises(CompositionError, match=r"Query\.weather: say who may read it.*@public"):
        compose([*BUILT_IN, silent])
    silent = Platform(key="north", name="North", nodes=[NodeType("nth", thing("Cloud", directives=()), Row, nothing)])
    with pytest.raises(CompositionError, match=r"^Cloud: say who may read it"):
        compose([*BUILT_IN, silent])
    compose([*BUILT_IN, Platform(key="north", name="North", fields={Query: [field("weather", plain("Weather"))]})])


def test_the_gateway_does_not_start(tmp_path: Path) -> None:
    make_keys(tmp_path)
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path / 'a.db'}", data_dir=tmp_path)
    with pytest.raises(CompositionError, match=r"north.*south"):
        create_app(settings, platforms=[*BUILT_IN, with_field("north", "weather"), with_field("south", "weather")])


def test_there_is_nothing_to_serve() -> None:
    with pytest.raises(CompositionError, match="area"):
        compose([Platform(key="north", name="North")])
