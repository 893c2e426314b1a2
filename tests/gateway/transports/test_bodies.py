"""Whatever bytes a client sends, it gets a clear answer, and never a 500."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.graphql import Limits
from gateway.graphql.masking import RequestError
from gateway.graphql.request import parse_json, request_from_json
from tests.gateway.transports.server import Gateway, gateway, http_client

pytestmark = pytest.mark.anyio

GRAPHQL = "application/graphql-response+json"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"query": "{ hello }",}', "line 1, column"),
        (b"null", "JSON object"),
        (b'"x"', "JSON object"),
        (b"42", "JSON object"),
        (b"true", "JSON object"),
        (b"[]", "Batching is off"),
        (b'[{"query": "{ hello }"}]', "Batching is off"),
        (b"{}", '"query" is missing'),
        (b'{"query": null}', '"query" is missing'),
        (b'{"query": ""}', '"query" is missing'),
        (b'{"query": 1}', '"query" must be a string'),
        (b'{"query": "{ hello }", "operationName": {}}', '"operationName" must be a string'),
        (b'{"query": "{ hello }", "variables": []}', '"variables" must be an object'),
        (b'{"query": "{ hello }", "variables": "x"}', '"variables" must be an object'),
        (b'{"query": "{ hello }", "extensions": 1}', '"extensions" must be an object'),
        (b'{"query": "{ hello }\xff"}', "UTF-8"),
        (b'{"query": "{ hello(name: \\"\\ud800\\") }"}', "not valid JSON"),
        (b'{"query": "{ hello }", "variables": {"n": NaN}}', "not valid JSON"),
        (b'{"query": "{ hello }", "variables": {"n": 1' + b"0" * 5_000 + b"}}", "not valid JSON"),
        (b'{"query":' * 20_000, "not valid JSON"),
        (b"[" * 20_000 + b"]" * 20_000, "not valid JSON"),
        (b'{"variables":{"a":' + b"[" * 100 + b"]" * 100 + b"}}", "levels deep"),
        (gzip.compress(b'{"query": "{ hello }"}', mtime=0), "not valid JSON"),
    ],
)
async def test_a_malformed_body_is_400_in_any_media_type(server: Gateway, body: bytes, complaint: str) -> None:
    for accept in ("application/json", GRAPHQL, "text/event-stream"):
        response = await server.post_body(body, accept=accept)
        assert response.status_code == 400, response.text
        error = response.json()["errors"][0]
        assert complaint in error["message"]
        assert error["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": ""},
        {"content_type": GRAPHQL},
        {"content_type": "application/json; charset=utf-16"},
        {"content_encoding": "gzip"},
        {"content_encoding": "br"},
    ],
)
async def test_what_is_no_plain_json_is_415(server: Gateway, headers: dict[str, str]) -> None:
    response = await server.post_body(b'{"query": "{ hello }"}', **headers)
    assert response.status_code == 415
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", 'Application/JSON; charset="UTF-8"', "application/json;x=y"]
)
async def test_json_in_utf_8_may_say_so(server: Gateway, content_type: str) -> None:
    response = await server.post_body('{"query": "{ hello(name: \\"é\\") }"}'.encode(), content_type=content_type)
    assert response.json() == {"data": {"hello": "hello é"}}


async def test_a_body_over_the_limit_is_413_and_the_connection_lives_on() -> None:
    with gateway(Limits(max_body_bytes=1_000)) as server:
        small = orjson.dumps({"query": "{ hello }", "variables": {"x": "y" * 800}})
        large = orjson.dumps({"query": "{ hello }", "variables": {"x": "y" * 200_000}})

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 10_000):
                yield large[start : start + 10_000]

        headers = {"content-type": "application/json"}
        async with http_client(limits=httpx.Limits(max_connections=1)) as client:
            declared = await client.post(server.url, content=large, headers=headers)
            streamed = await client.post(server.url, content=chunks(), headers=headers)
            within = await client.post(server.url, content=small, headers=headers)
        assert [declared.status_code, streamed.status_code, within.status_code] == [413, 413, 200]
        assert "1000 bytes" in declared.json()["errors"][0]["message"]
        assert (await server.get({"query": "{ hello }", "x": "y" * 2_000})).status_code == 414


async def test_a_body_that_trickles_in_is_given_up() -> None:
    with gateway(Limits(body_seconds=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        )
        assert b" 408 " in await reader.readline()
        writer.close()


async def test_a_client_that_leaves_within_its_body_leaves_no_task_behind(server: Gateway) -> None:
    before = await server.tasks()
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        )
        await writer.drain()
        writer.close()
    await server.settled(before)


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "thing { " * 31 + "name" + " }" * 32,
        "query { ...A } "
        + "".join(f"fragment {a} on Query {{ ...{b} }} " for a, b in ("AB", "BC"))
        + "fragment C on Query"
        " { " + "thing { " * 31 + "name" + " }" * 32,
    ],
)
async def test_an_operation_may_nest_only_so_many_fields(server: Gateway, query: str) -> None:
    response = await server.post(query, accept=GRAPHQL)
    assert response.status_code == 400
    assert response.json()["errors"][0]["message"] == "The operation nests fields more than 30 levels deep."


async def test_depth_counts_fields_and_not_fragments(server: Gateway) -> None:
    wrapped = "... on Query { " * 40 + "hello" + " }" * 40
    assert (await server.post(f"{{ {wrapped} }}")).json() == {"data": {"hello": "hello world"}}
    assert (await server.post("{ " + "thing { " * 29 + "name" + " }" * 30)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "{ hello" * 20_000,
        "{ " + "thing { " * 3_000,
        "{ " + "hello " * 20_000 + "}",
        "#\n" * 20_000 + "{ hello }",
        "{ echo(value: " + "[" * 5_000 + "]" * 5_000 + ") }",
        "{ echo(value: " + "[" * 300 + "]" * 300 + ") }",
        "query($x: " + "[" * 3_000 + "Int" + "]" * 3_000 + ") { hello }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(400)),
        "{ day(of: " + "9" * 10_000 + ") }",
        "subscription { }",
        "subscription { count(to: 1) @skip(if: true) }",
        "subscription { __typename }",
        "{ }",
        "{ hello @defer }",
        "{ ... @defer { hello } }",
        "{ pick(pick: {name: $nobody}) }",
        "type Query { hello: String }",
    ],
)
async def test_a_document_made_to_hurt_is_a_4xx(server: Gateway, query: str) -> None:
    response = await server.post(query, accept=f"{GRAPHQL}, text/event-stream")
    assert 400 <= response.status_code < 500 or response.json() == {"data": {}}
    for error in response.json().get("errors", ()):
        assert error["extensions"]["code"] in {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}


async def test_deep_and_huge_variables_are_the_callers_fault(server: Gateway) -> None:
    nested: object = 1
    for _ in range(60):
        nested = [nested]
    fine = await server.post("query($v: JSON) { echo(value: $v) }", {"v": nested})
    assert fine.json() == {"data": {"echo": nested}}
    for value in (2**31, 2**64, 10**300, 1.5, "x", [1], {"a": 1}):
        body = b'{"query": "query($n: Int!) { count: half(even: $n) }", "variables": {"n": %b}}'
        sent = str(value).encode() if isinstance(value, int) else orjson.dumps(value)
        response = await server.post_body(body % sent, accept=GRAPHQL)
        assert response.status_code == 400
        assert response.json()["errors"][0]["extensions"]["code"] in {"BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_request_or_a_request_error(value: object) -> None:
    wrapped = {"query": "{ hello }", "variables": value, "operationName": value, "extensions": value}
    for body in (value, wrapped):
        with suppress(RequestError):
            request_from_json(body)
            assert isinstance(body, dict)


@given(st.binary())
def test_any_bytes_are_json_or_a_request_error(data: bytes) -> None:
    with suppress(RequestError):
        parse_json(data, Limits().max_json_depth)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(min_value=1, max_value=8), st.integers(min_value=1, max_value=8), st.sampled_from(['{"a":', "["]))
def test_nesting_is_counted_exactly(depth: int, limit: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    text = opening * depth + "1" + closing * depth
    if depth <= limit:
        parse_json(text, limit)
    else:
        with pytest.raises(RequestError, match=f"{limit} levels"):
            parse_json(text, limit)
