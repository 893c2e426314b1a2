"""A field over somebody else's REST API: joined in one more request, its failures told in the gateway's words."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.shop import RestApi
from tests.serving import Running

POSTS = "query ($first: Int! = 100) { shopPosts(first: $first) { id userId title user { id name email } } }"


@pytest.fixture
def quiet(api: RestApi) -> Iterator[RestApi]:
    """The REST API, asked nothing yet, and in good health again afterwards."""
    api.asked.clear()
    yield api
    api.failing, api.slow = None, None


def error(gateway: Running, query: str = POSTS) -> dict[str, Any]:
    """The one error of the field, whose data is null."""
    answer = gateway.query(query)
    assert answer["data"] == {"shopPosts": None}
    [found] = answer["errors"]
    assert found["path"] == ["shopPosts"]
    return dict(found)


def test_a_hundred_posts_and_who_wrote_them_take_two_requests(shop_gateway: Running, quiet: RestApi) -> None:
    found = shop_gateway.data(POSTS)["shopPosts"]
    assert found == [
        {
            "id": number,
            "userId": (number - 1) // 10 + 1,
            "title": f"Post {number}",
            "user": {key: quiet.user((number - 1) // 10 + 1)[key] for key in ("id", "name", "email")},
        }
        for number in range(1, 101)
    ]
    assert quiet.asked == [
        ("/posts", {"_limit": ["100"]}),
        ("/users", {"id": [str(number) for number in range(1, 11)]}),
    ]


def test_nothing_is_asked_that_was_not_selected(shop_gateway: Running, quiet: RestApi) -> None:
    assert len(shop_gateway.data("{ shopPosts(first: 3) { title } }")["shopPosts"]) == 3
    assert quiet.asked == [("/posts", {"_limit": ["3"]})]


@pytest.mark.parametrize("first", [0, -1, 251])
def test_the_list_is_bounded(shop_gateway: Running, quiet: RestApi, first: int) -> None:
    assert error(shop_gateway, f"{{ shopPosts(first: {first}) {{ id }} }}")["extensions"]["code"] == "BAD_REQUEST"
    assert quiet.asked == []


def test_a_user_who_is_gone_is_null(shop_gateway: Running, quiet: RestApi) -> None:
    quiet.failing = (200, {}, b"[]")
    assert shop_gateway.data(POSTS)["shopPosts"] == []
    quiet.failing = (200, {}, b'[{"id": 1, "userId": 99, "title": "Alone", "name": "?", "email": "?"}]')
    assert shop_gateway.data("{ shopPosts { title user { name } } }")["shopPosts"] == [{"title": "Alone", "user": None}]


@pytest.mark.parametrize(
    ("answer", "retry_after"),
    [
        ((500, {}, b"oops"), None),
        ((503, {"retry-after": "7"}, b""), 7),
        ((429, {"retry-after": "Fri, 06 Nov 2026 10:00:00 GMT"}, b""), None),
        ((302, {"location": "/elsewhere"}, b""), None),
        ((200, {}, b"<html>"), None),
        ((200, {}, b"{}"), None),
        ((200, {}, b'[{"id": 1}]'), None),
        ((200, {}, b"[1]"), None),
    ],
    ids=["error", "busy", "busy until a date", "moved", "no JSON", "no list", "half a post", "a number"],
)
def test_a_failure_there_is_told_as_such(
    shop_gateway: Running, quiet: RestApi, answer: tuple[int, dict[str, str], bytes], retry_after: int | None
) -> None:
    quiet.failing = answer
    extensions = error(shop_gateway)["extensions"]
    expected = {"code": "UPSTREAM_FAILED", "retryable": True}
    assert extensions == (expected if retry_after is None else {**expected, "retryAfter": retry_after})
    # the rest of the answer is whole
    assert shop_gateway.query('{ echo(text: "here") shopPosts { id } }')["data"] == {"echo": "here", "shopPosts": None}


def test_a_slow_answer_is_not_waited_for(shop_gateway: Running, quiet: RestApi) -> None:
    quiet.slow = threading.Event()
    try:
        assert error(shop_gateway)["extensions"]["code"] == "UPSTREAM_TIMEOUT"
    finally:
        quiet.slow.set()


def test_the_platform_says_how_it_is_doing(shop_gateway: Running, quiet: RestApi) -> None:
    shown = shop_gateway.data("{ platforms { key name areas health { status } } }")["platforms"]
    [shop] = [platform for platform in shown if platform["key"] == "shop"]
    assert shop == {"key": "shop", "name": "Online shops", "areas": ["ORDERS", "USAGE"], "health": {"status": "UP"}}
