"""The shop's webhooks: believed only when signed, heard only once, and followed live."""

import json
import threading
import time
from typing import Any

import pytest

from tests.examples.shop import CONNECT, Shop, businesses, next_data, order, signature, subscribed
from tests.serving import ADA, GRACE, Running

PLACED = """subscription ($business: ID, $after: String) {
  shopOrderPlaced(businessId: $business, after: $after) {
    cursor subject: order { number total { amount currency } } business { id } platform { key }
  }
}"""
NOW = "2026-11-05T10:00:00Z"


@pytest.fixture(scope="module")
def business_ids(shop_gateway: Running) -> list[str]:
    """Two businesses of Ada's."""
    return businesses(shop_gateway, ADA, 2)


@pytest.fixture(scope="module")
def shop(shop_gateway: Running, business_ids: list[str]) -> Shop:
    """The store of Ada's first business."""
    return Shop.of(shop_gateway, ADA, "mugs", business_ids[0])


def numbers(gateway: Running, email: str = ADA) -> list[str]:
    """The numbers of a person's shop orders, in no order."""
    query = '{ orders(filter: {platforms: ["shop"]}, first: 250) { nodes { number } } }'
    return sorted(node["number"] for node in gateway.data(query, as_=email)["orders"]["nodes"])


def test_an_order_arrives_in_a_live_subscription_and_can_be_resumed_at(
    shop_gateway: Running, shop: Shop, business_ids: list[str]
) -> None:
    with subscribed(shop_gateway, ADA, PLACED) as socket:
        shop.place("live-1", NOW)
        first = next_data(socket)["shopOrderPlaced"]
    cursor = first.pop("cursor")
    assert first == {
        "subject": {"number": "live-1", "total": {"amount": "9.50", "currency": "EUR"}},
        "business": {"id": business_ids[0]},
        "platform": {"key": "shop"},
    }
    shop.place("live-2", NOW)
    with subscribed(shop_gateway, ADA, PLACED, after=cursor) as socket:
        assert next_data(socket)["shopOrderPlaced"]["subject"]["number"] == "live-2"


def test_the_same_moment_reaches_those_who_follow_orders_of_all_platforms(shop_gateway: Running, shop: Shop) -> None:
    changed = "subscription { orderChanged { from to order { __typename number } platform { key } } }"
    with subscribed(shop_gateway, ADA, changed) as socket:
        shop.place("changed-1", NOW)
        assert next_data(socket)["orderChanged"] == {
            "from": None,
            "to": "PAID",
            "order": {"__typename": "ShopOrder", "number": "changed-1"},
            "platform": {"key": "shop"},
        }


def test_the_event_is_a_node(shop_gateway: Running, shop: Shop) -> None:
    with subscribed(shop_gateway, ADA, "subscription { shopOrderPlaced { id } }") as socket:
        shop.place("node-1", NOW)
        identity = next_data(socket)["shopOrderPlaced"]["id"]
    query = "query ($id: ID!) { node(id: $id) { __typename ... on ShopOrderPlaced { order { number } } } }"
    assert shop_gateway.data(query, {"id": identity}, as_=ADA)["node"] == {
        "__typename": "ShopOrderPlaced",
        "order": {"number": "node-1"},
    }
    assert shop_gateway.data("query ($id: ID!) { node(id: $id) { id } }", {"id": identity}, as_=GRACE)["node"] is None


def test_stores_of_two_organizations_are_heard_apart(shop_gateway: Running, shop: Shop) -> None:
    grace = Shop.of(shop_gateway, GRACE, "grace's", businesses(shop_gateway, GRACE)[0])
    with subscribed(shop_gateway, ADA, PLACED) as ada_hears, subscribed(shop_gateway, GRACE, PLACED) as grace_hears:
        grace.place("grace-1", NOW)
        shop.place("ada-1", NOW)
        grace.place("grace-2", NOW)
        heard = [next_data(grace_hears)["shopOrderPlaced"]["subject"]["number"] for _ in range(2)]
        assert next_data(ada_hears)["shopOrderPlaced"]["subject"]["number"] == "ada-1"
    assert heard == ["grace-1", "grace-2"] == numbers(shop_gateway, GRACE)


def test_a_webhook_that_is_sent_again_counts_once(shop_gateway: Running, shop: Shop) -> None:
    notice = shop.notice("once", order("once-1", NOW))
    with subscribed(shop_gateway, ADA, PLACED) as socket:
        assert [shop.send(notice).json() for _ in range(3)] == [{"status": "accepted"}, *[{"status": "duplicate"}] * 2]
        shop.place("after-once", NOW)
        heard = [next_data(socket)["shopOrderPlaced"]["subject"]["number"] for _ in range(2)]
    assert heard == ["once-1", "after-once"]
    assert numbers(shop_gateway).count("once-1") == 1


def test_copies_that_arrive_at_once_count_once(shop_gateway: Running, shop: Shop) -> None:
    notice, answers = shop.notice("at once", order("at-once-1", NOW)), list[str]()
    copies = [threading.Thread(target=lambda: answers.append(shop.send(notice).json()["status"])) for _ in range(8)]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    assert sorted(answers) == ["accepted", *["duplicate"] * 7]
    assert numbers(shop_gateway).count("at-once-1") == 1


def _of(body: bytes, how: str) -> str:
    """A header that does not fit."""
    good = signature(body)
    headers = {
        "missing": "",
        "another secret": signature(body, secret="not the secret"),
        "another body": signature(body + b" "),
        "a later second": good.replace("t=", "t=1"),
        "too old": signature(body, at=time.time() - 301),
        "from the future": signature(body, at=time.time() + 330),
        "no second": good.partition(",")[2],
        "two seconds": f"{good},t=1",
        "not ASCII": "t=١٢٣,v1=é",
        "endless": good + ",v1=0" * 500,
    }
    return headers[how]


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "another secret",
        "another body",
        "a later second",
        "too old",
        "from the future",
        "no second",
        "two seconds",
        "not ASCII",
        "endless",
    ],
)
def test_what_the_shop_did_not_just_sign_is_refused_and_leaves_nothing(
    shop_gateway: Running, shop: Shop, how: str
) -> None:
    body = json.dumps(shop.notice(f"forged {how}", order(f"forged-{how}", NOW))).encode()
    before = numbers(shop_gateway)
    answer = shop.send(body, _of(body, how))
    assert answer.status_code == 403
    assert numbers(shop_gateway) == before
    # the id of a webhook that was refused is free for the real one
    assert shop.send(body).json() == {"status": "accepted"}


def test_a_second_secret_in_the_header_lets_the_shop_change_its_own(shop: Shop) -> None:
    body = json.dumps(shop.notice("two", order("two-1", NOW))).encode()
    other = signature(body, secret="the next secret").partition(",")[2]
    assert shop.send(body, f"{signature(body)},{other}").status_code == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"total": "9.505"}, "no smaller unit"),
        ({"total": "-1"}, "total"),
        ({"total": "many"}, "total"),
        ({"currency": "euro"}, "currency"),
        ({"placed_at": "2026-11-05T10:00:00"}, "placed_at"),
        ({"quantity": 0}, "quantity"),
        ({"number": ""}, "number"),
        ({"product": None}, "product"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused_whole(
    shop_gateway: Running, shop: Shop, change: dict[str, Any], says: str
) -> None:
    before = numbers(shop_gateway)
    answer = shop.send(shop.notice("nonsense", {**order("nonsense-1", NOW), **change}))
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert numbers(shop_gateway) == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"id": "x"}', b"\xff"])
def test_a_signed_body_that_is_no_webhook_is_refused(shop: Shop, body: bytes) -> None:
    assert shop.send(body).status_code == 400


def test_a_body_without_end_is_refused(shop: Shop) -> None:
    assert shop.send(b"x" * (1 << 17)).status_code == 413


def test_what_is_new_to_us_is_ignored_and_a_store_nobody_connected_is_not_found(
    shop_gateway: Running, shop: Shop
) -> None:
    assert shop.send(shop.notice("later", {}, "order.wrapped")).json() == {"status": "ignored"}
    stranger = Shop(shop_gateway, "nobody's")
    assert stranger.send(stranger.notice("stranger", order("stranger-1", NOW))).status_code == 404


def test_a_product_changes_its_price_and_stays_the_same(
    shop_gateway: Running, shop: Shop, business_ids: list[str]
) -> None:
    query = """query ($id: ID!) { business(id: $id) {
      shopProducts(first: 250) { nodes { id sku name price { amount currency } } } } }"""

    def hat() -> dict[str, Any]:
        found = shop_gateway.data(query, {"id": business_ids[0]}, as_=ADA)["business"]["shopProducts"]["nodes"]
        [product] = [product for product in found if product["sku"] == "HAT"]
        return dict(product)

    hats = []
    for price in ("20.00", "25.00"):
        data = {"sku": "HAT", "name": "Hat", "price": price, "currency": "EUR"}
        assert shop.send(shop.notice(f"hat {price}", data, "product.saved")).json() == {"status": "accepted"}
        hats.append(hat())
    assert [hat["price"]["amount"] for hat in hats] == ["20.00", "25.00"]
    assert hats[0]["id"] == hats[1]["id"]


def test_a_store_belongs_to_whoever_connected_it(shop_gateway: Running, shop: Shop, business_ids: list[str]) -> None:
    def connect(email: str, business_id: str, store: str = shop.store) -> dict[str, Any]:
        given = {"input": {"businessId": business_id, "store": store}}
        return dict(shop_gateway.data(CONNECT, given, as_=email)["connectShop"])

    taken = {"store": None, "userErrors": [{"code": "TAKEN", "field": ["store"]}]}
    assert connect(ADA, business_ids[0]) == {"store": shop.store, "userErrors": []}
    assert connect(ADA, business_ids[1]) == taken
    assert connect(GRACE, businesses(shop_gateway, GRACE)[0]) == taken
    assert connect(GRACE, business_ids[0])["userErrors"] == [{"code": "NOT_FOUND", "field": ["businessId"]}]
    assert connect(ADA, business_ids[0], " ")["userErrors"] == [{"code": "INVALID", "field": ["store"]}]
