"""Automatic persisted queries: a document is sent once, and from then on by its hash."""

import hashlib
import json
from typing import Any

import pytest

from tests.gateway.transports.server import Gateway

pytestmark = pytest.mark.anyio

NOT_FOUND = {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}


def by_hash(query: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}


async def ask(server: Gateway, **parameters: object) -> tuple[int, Any]:
    response = await server.post_body(json.dumps(parameters).encode())
    return response.status_code, response.json()


async def test_a_hash_is_enough_once_the_text_was_sent(own_server: Gateway) -> None:
    query, variables = "query ($n: String!) { hello(name: $n) }", {"n": "you"}
    answer = (200, {"data": {"hello": "hello you"}})
    hashed = {"extensions": by_hash(query), "variables": variables}
    assert await ask(own_server, **hashed) == (200, {"errors": [NOT_FOUND]})
    assert await ask(own_server, query=query, **hashed) == answer
    assert await ask(own_server, **hashed) == answer
    got = await own_server.get({name: json.dumps(value) for name, value in hashed.items()})
    assert (got.status_code, got.json()) == answer


async def test_a_mutation_by_its_hash_still_needs_post(own_server: Gateway) -> None:
    query = 'mutation { add(title: "x") }'
    assert await ask(own_server, query=query) == (200, {"data": {"add": "x"}})
    refused = await own_server.get({"extensions": json.dumps(by_hash(query))})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_text_under_the_hash_of_another_is_refused_and_not_kept(own_server: Gateway) -> None:
    other = by_hash("{ other: hello }")
    status, answer = await ask(own_server, query="{ hello }", extensions=other)
    assert (status, "data" in answer) == (400, False)
    assert await ask(own_server, extensions=other) == (200, {"errors": [NOT_FOUND]})


@pytest.mark.parametrize(
    "given", [1, {}, {"version": 2, "sha256Hash": "0" * 64}, {"version": 1, "sha256Hash": "é" * 64}]
)
async def test_what_is_no_hash_is_refused(server: Gateway, given: object) -> None:
    status, answer = await ask(server, query="{ hello }", extensions={"persistedQuery": given})
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
