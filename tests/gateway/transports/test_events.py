"""GraphQL over server-sent events as a client meets it, frame by frame."""

import json
from itertools import count

import pytest

from gateway.graphql import Limits
from tests.gateway.transports.server import Gateway, gateway, until

pytestmark = pytest.mark.anyio

COMPLETE = "event: complete\ndata:"


def data_of(frame: str | None) -> dict[str, object]:
    assert frame is not None
    lines = frame.split("\n")
    assert lines[-2] == "event: next"
    decoded = json.loads(lines[-1].removeprefix("data: "))
    assert isinstance(decoded, dict)
    return decoded


async def test_a_subscription_is_a_stream_of_next_and_one_complete(server: Gateway) -> None:
    async with server.events("subscription($n: Int!) { count(to: $n) }", {"n": 3}) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        *events, last = await stream.rest()
        assert [data_of(event) for event in events] == [{"data": {"count": number}} for number in (1, 2, 3)]
        assert last == COMPLETE


async def test_frames_end_in_bare_newlines_and_newlines_in_data_survive(server: Gateway) -> None:
    text = "a\nb\r\nc\u2028d"
    response = await server.post("query($n: String!) { hello(name: $n) }", {"n": text}, accept="text/event-stream")
    assert b"\r" not in response.content
    assert response.content.endswith(b"\n\n")
    assert data_of(response.text.split("\n\n")[1]) == {"data": {"hello": f"hello {text}"}}


async def test_an_event_source_can_subscribe_with_get(server: Gateway) -> None:
    response = await server.get({"query": "subscription { count(to: 2) }"}, accept="text/event-stream")
    assert response.text == (
        ":\n\n"
        'event: next\ndata: {"data":{"count":1}}\n\n'
        'event: next\ndata: {"data":{"count":2}}\n\n'
        "event: complete\ndata:\n\n"
    )


async def test_a_subscription_is_only_for_clients_that_read_events(server: Gateway) -> None:
    for accept in ("", "*/*", "application/json", "application/graphql-response+json", "text/event-stream;q=0, */*"):
        response = await server.post("subscription { hold }", accept=accept)
        assert response.status_code == 406, accept
        assert "text/event-stream" in response.json()["errors"][0]["message"]
    for accept in ("application/json, text/event-stream;q=0.1", "text/*"):
        response = await server.post("subscription { count(to: 1) }", accept=accept)
        assert response.headers["content-type"].startswith("text/event-stream")


async def test_a_query_is_a_stream_only_for_clients_that_like_it_best(server: Gateway) -> None:
    for accept in (
        "text/event-stream",
        "text/event-stream, application/json",
        "application/json;q=0.9, text/event-stream",
    ):
        response = await server.post("{ hello }", accept=accept)
        assert response.text == ':\n\nevent: next\ndata: {"data":{"hello":"hello world"}}\n\n' + COMPLETE + "\n\n"
    assert (await server.post("{ hello }", accept="application/json, text/event-stream")).json()


async def test_errors_come_as_an_event_once_the_request_is_well_formed(server: Gateway) -> None:
    for query, code in (
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("query($n: String!) { hello(name: $n) }", "BAD_REQUEST"),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_REQUEST"),
        ("subscription { members }", "UNAUTHENTICATED"),
    ):
        async with server.events(query) as stream:
            assert stream.response.status_code == 200
            first, last = await stream.rest()
            errors = data_of(first)["errors"]
            assert isinstance(errors, list)
            assert [error["extensions"]["code"] for error in errors] == [code], query
            assert last == COMPLETE


async def test_a_subscription_that_breaks_says_so_and_completes(server: Gateway) -> None:
    async with server.events("subscription { breaks }") as stream:
        first, second, last = await stream.rest()
        assert data_of(first) == {"data": {"breaks": 1}}
        assert "INTERNAL" in second
        assert "hunter2" not in second
        assert last == COMPLETE


async def test_the_first_bytes_come_at_once_and_then_a_heartbeat_when_nothing_else_does() -> None:
    with gateway(Limits(heartbeat_seconds=0.02)) as server:
        async with server.events("subscription { hold }") as stream:
            assert await stream.frame() == ":"
            assert data_of(await stream.frame()) == {"data": {"hold": 1}}
            for _ in range(5):
                assert await stream.frame() == ":"
        await until(server.probe.stopped.is_set)


async def test_an_event_with_a_cursor_carries_it() -> None:
    numbers = count(1)
    ids = {1: "c-1", 2: None, 3: "bad\nid"}
    with gateway(event_id=lambda source: ids[next(numbers)] if source else None) as server:
        async with server.events("subscription { count(to: 3) }") as stream:
            frames = await stream.rest()
        assert frames[0] == 'id: c-1\nevent: next\ndata: {"data":{"count":1}}'
        assert [frame.split("\n")[0] for frame in frames[1:]] == ["event: next", "event: next", "event: complete"]


async def test_each_event_has_a_context_of_its_own(server: Gateway) -> None:
    async with server.events("subscription { things { context } }") as stream:
        first, second, _ = await stream.rest()
    assert data_of(first) != data_of(second)


async def test_a_client_that_leaves_ends_its_subscription(own_server: Gateway) -> None:
    before = await own_server.tasks()
    async with own_server.events("subscription { hold }") as stream:
        assert data_of(await stream.next()) == {"data": {"hold": 1}}
        assert own_server.endpoint.live == 1
    await until(own_server.probe.stopped.is_set)
    await until(lambda: own_server.endpoint.live == 0)
    await own_server.settled(before)


async def test_a_client_that_stops_reading_is_dropped() -> None:
    with gateway(Limits(stalled_seconds=0.1)) as server:
        async with server.events("subscription { flood }") as stream:
            assert await stream.next() is not None
            await until(server.probe.stopped.is_set)


async def test_a_stream_lasts_no_longer_than_its_token(own_server: Gateway) -> None:
    async with own_server.events("subscription { hold }", authorization="Bearer brief") as stream:
        assert data_of(await stream.next()) == {"data": {"hold": 1}}
        told, last = await stream.rest()
        assert "UNAUTHENTICATED" in told
        assert last == COMPLETE
    await until(own_server.probe.stopped.is_set)


async def test_a_mutation_over_a_stream_is_carried_through_without_its_client(own_server: Gateway) -> None:
    async with own_server.events("mutation { save }") as stream:
        assert await stream.frame() == ":"
        await until(own_server.probe.entered.is_set)
    own_server.probe.release.set()
    await until(lambda: own_server.probe.saves == 1)
