"""Orders of an outside platform stand among all others, as if it were built in."""

from typing import Any

import pytest

from tests.examples.shop import Shop, businesses
from tests.serving import ADA, GRACE, Running

ORDERS = """query (
  $filter: OrderFilter, $orderBy: OrderOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  orders(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    totalCount
    edges { cursor node { __typename id placedAt platform { key } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    unavailable { platform { key } }
  }
}"""


@pytest.fixture(scope="module")
def business_id(shop_gateway: Running) -> str:
    """The business of Ada's whose store the orders come from."""
    return businesses(shop_gateway, ADA)[0]


@pytest.fixture(scope="module")
def placed(shop_gateway: Running, business_id: str) -> int:
    """Fifty orders of a store: at the very moments at which other orders of the business were placed, and around."""
    found = page(shop_gateway, filter={"businessIds": [business_id]}, first=50)
    shop = Shop.of(shop_gateway, ADA, "ada's mugs", business_id)
    moments = [edge["node"]["placedAt"] for edge in found["edges"]]
    assert len(moments) == 50
    for number, moment in enumerate(moments[::2]):
        shop.place(f"same-{number}", moment, customer={"email": f"buyer{number % 3}@example.com", "name": "B."})
        shop.place(f"first-{number}", f"19{50 + number}-01-01T00:00:00Z")
    return 50


def page(gateway: Running, **variables: Any) -> dict[str, Any]:
    """A page of Ada's orders."""
    found: dict[str, Any] = gateway.data(ORDERS, variables, as_=ADA)["orders"]
    assert found["unavailable"] == []
    return found


def walk(gateway: Running, *, backwards: bool, size: int, **variables: Any) -> list[dict[str, Any]]:
    """Every order, page by page, in the order of the list."""
    nodes: list[dict[str, Any]] = []
    cursor = None
    while True:
        paging = {"last": size, "before": cursor} if backwards else {"first": size, "after": cursor}
        found = page(gateway, **paging, **variables)
        own = [edge["node"] for edge in found["edges"]]
        nodes = own + nodes if backwards else nodes + own
        info = found["pageInfo"]
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return nodes
        assert len(own) == size
        cursor = info["startCursor" if backwards else "endCursor"]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_they_are_merged_and_paged_without_gap_or_double(
    shop_gateway: Running, placed: int, business_id: str, direction: str, *, backwards: bool
) -> None:
    order_by = {"field": "PLACED_AT", "direction": direction}
    mine = {"businessIds": [business_id]}
    apart = {
        key: walk(shop_gateway, backwards=False, size=250, filter={**mine, "platforms": [key]}, orderBy=order_by)
        for key in ("attribution", "messaging", "marketplace", "billing", "shop")
    }
    assert len(apart["shop"]) == placed
    everything = sorted(
        (node for nodes in apart.values() for node in nodes),
        key=lambda node: (node["placedAt"], node["id"]),
        reverse=direction == "DESC",
    )
    assert walk(shop_gateway, backwards=backwards, size=23, filter=mine, orderBy=order_by) == everything
    assert page(shop_gateway, filter=mine, first=1)["totalCount"] == len(everything)


def test_they_are_found_by_id_and_lead_to_what_they_belong_to(
    shop_gateway: Running, placed: int, business_id: str
) -> None:
    newest = page(shop_gateway, filter={"platforms": ["shop"]}, first=1)["edges"][0]["node"]
    query = """query ($id: ID!) { node(id: $id) { __typename id ... on Order {
      number status total { amount currency } history { from to actor } platform { key name }
      business { id shopProducts(first: 5) { totalCount nodes { __typename id sku name price { amount currency } } } }
      customer { email orders { totalCount } lifetimeValue { amount currency } }
      ... on ShopOrder { quantity product { id sku } }
    } } }"""
    found = shop_gateway.data(query, {"id": newest["id"]}, as_=ADA)["node"]
    assert newest["id"].startswith("sho_")
    assert (found["__typename"], found["status"], found["quantity"]) == ("ShopOrder", "PAID", 1)
    assert found["total"] == {"amount": "9.50", "currency": "EUR"}
    assert found["history"] == [{"from": None, "to": "PAID", "actor": "shop"}]
    assert found["platform"] == {"key": "shop", "name": "Online shops"}
    [product] = found["business"]["shopProducts"]["nodes"]
    assert found["business"]["id"] == business_id
    assert (product["sku"], product["price"]) == ("MUG-1", {"amount": "9.50", "currency": "EUR"})
    assert found["product"] == {"id": product["id"], "sku": "MUG-1"}
    assert shop_gateway.data("query ($id: ID!) { node(id: $id) { __typename } }", {"id": product["id"]}, as_=ADA) == {
        "node": {"__typename": "ShopProduct"}
    }
    # what one customer spent and ordered is summed over platforms, the shop among them
    assert found["customer"]["email"].endswith("@example.com")
    orders = found["customer"]["orders"]["totalCount"]
    assert found["customer"]["lifetimeValue"] == [{"amount": f"{orders * 9.5:.2f}", "currency": "EUR"}]


def test_the_business_has_them_in_its_own_list(shop_gateway: Running, placed: int, business_id: str) -> None:
    query = """query ($id: ID!) { business(id: $id) {
      orders(filter: {platforms: ["shop"]}, first: 3) { totalCount nodes { __typename } } } }"""
    found = shop_gateway.data(query, {"id": business_id}, as_=ADA)["business"]["orders"]
    assert found == {"totalCount": placed, "nodes": [{"__typename": "ShopOrder"}] * 3}


def test_another_organization_sees_none_of_it(shop_gateway: Running, placed: int) -> None:
    newest = page(shop_gateway, filter={"platforms": ["shop"]}, first=1)["edges"][0]["node"]
    query = """query ($id: ID!) {
      node(id: $id) { id }
      orders(filter: {platforms: ["shop"]}) { totalCount nodes { id } }
      businesses { nodes { shopProducts { totalCount nodes { id } } } }
    }"""
    found = shop_gateway.data(query, {"id": newest["id"]}, as_=GRACE)
    assert found["node"] is None
    assert found["orders"] == {"totalCount": 0, "nodes": []}
    assert found["businesses"]["nodes"]
    assert {node["shopProducts"]["totalCount"] for node in found["businesses"]["nodes"]} == {0}
    assert shop_gateway.query(query, {"id": newest["id"]})["data"]["orders"] is None


def test_its_use_is_counted(shop_gateway: Running, placed: int) -> None:
    query = """{ usage(range: {from: "2026-01-01T00:00:00Z"}, metrics: [SHOP_ORDERS]) {
      totals { metric value } byPlatform { platform { key } } } }"""
    found = shop_gateway.data(query, as_=ADA)["usage"]
    assert found["totals"] == [{"metric": "SHOP_ORDERS", "value": str(placed)}]
    assert found["byPlatform"] == [{"platform": {"key": "shop"}}]
