"""What leaves the gateway: kept in no cache, taken for nothing else, and silent about what runs inside."""

import pytest

from gateway.demo import PASSWORD
from tests.security.client import LOGIN, ask, new_place, request
from tests.serving import ADA, Running

VIEWER = "{ viewer { email } }"
JSON = {"content-type": "application/json"}


def test_an_answer_is_kept_in_no_cache_and_is_taken_for_nothing_else(door: Running) -> None:
    """Above all those with tokens in them."""
    signing_in = {"input": {"email": ADA, "password": PASSWORD, "cookie": True}}
    answers = [
        ask(door, LOGIN, signing_in, place=new_place()),
        ask(door, VIEWER),
        ask(door, VIEWER, authorization="Bearer none"),
        ask(door, "{"),
        request(door, "GET", params={"query": "{ __typename }"}),
        request(door, "POST", content=b"no", headers=JSON),
        request(door, "PUT"),
        ask(door, "subscription { heartbeat(count: 1, intervalMs: 1) }", accept="text/event-stream"),
    ]
    assert {answer.status_code for answer in answers} == {200, 400, 401, 405}
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].startswith(("application/", "text/event-stream"))


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "Authorization", "refreshToken", "sid"])
def test_a_token_in_an_address_is_nobodys(door: Running, name: str) -> None:
    """Addresses are in logs and histories, so what stands in one must open nothing."""
    for value in (door.token(ADA), f"Bearer {door.token(ADA)}"):
        answer = request(door, "GET", params={"query": VIEWER, name: value}).json()
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        body = {"query": VIEWER, "variables": {name: value}, name: value, "extensions": {name: value}}
        answer = request(door, "POST", json=body).json()
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


INSIDE = ("traceback", "sqlalchemy", "strawberry", "graphql-core", "starlette", "site-packages", ".py", "select ")
WRONG = [
    "{",
    "{ nothing }",
    "query ($x: Nothing) { viewer { id } }",
    '{ node(id: "bus_") { id } }',
    '{ prompts(after: "%%%") { nodes { id } } }',
    '{ prompts(after: "////") { nodes { id } } }',
    "{ prompts(first: -1) { nodes { id } } }",
    "{ prompts(first: 99999999) { nodes { id } } }",
    '{ prompts(filter: {minPrice: "NaN", currency: "EUR"}) { nodes { id } } }',
    '{ prompts(filter: {minPrice: "1e999999", currency: "EUR"}) { nodes { id } } }',
    '{ promptBySlug(slug: "\\u0000") { id } }',
    'mutation { login(input: {email: "no", password: ""}) { userErrors { code } } }',
    'mutation { refreshSession(input: {refreshToken: "no"}) { userErrors { code } } }',
]


@pytest.mark.parametrize("query", WRONG)
def test_a_mistake_is_answered_without_a_word_of_what_runs_inside(door: Running, query: str) -> None:
    answer = ask(door, query)
    text = answer.text.lower()
    assert [word for word in INSIDE if word in text] == []
    assert "INTERNAL" not in answer.text
    assert "x-powered-by" not in answer.headers
