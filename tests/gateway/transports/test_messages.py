"""Which messages of a client are valid: what the protocol's reference implementation says of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graphql.messages import InvalidMessage, read_message
from tests.gateway.transports.graphql_socket import ready_socket, socket_to
from tests.gateway.transports.server import Gateway

INVALID = [
    "hello",
    "",
    '{"type":"ping"',
    '"ping"',
    "42",
    "null",
    "true",
    "[]",
    '[{"type":"ping"}]',
    "{}",
    '{"type":1}',
    '{"type":null}',
    '{"type":{}}',
    '{"type":""}',
    '{"type":"start"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"connection_ack"}',
    '{"type":"ping","payload":"x"}',
    '{"type":"pong","payload":[1]}',
    '{"type":"connection_init","payload":"x"}',
    '{"type":"connection_init","payload":[1]}',
    '{"type":"complete"}',
    '{"type":"complete","id":1}',
    '{"type":"complete","id":""}',
    '{"type":"subscribe","payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":1,"payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":"1"}',
    '{"type":"subscribe","id":"1","payload":"{__typename}"}',
    '{"type":"subscribe","id":"1","payload":null}',
    '{"type":"subscribe","id":"1","payload":[]}',
    '{"type":"subscribe","id":"1","payload":{}}',
    '{"type":"subscribe","id":"1","payload":{"query":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":null}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{__typename}","variables":"x"}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{__typename}","variables":[1]}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{__typename}","operationName":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{__typename}","extensions":"x"}}',
    '{"type":"ping","payload":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}",
]

VALID = [
    '{"type":"connection_init"}',
    '{"type":"connection_init","payload":null}',
    '{"type":"ping","payload":{},"more":1}',
    '{"type":"pong","payload":null}',
    '{"type":"complete","id":"1","payload":7}',
    '{"type":"subscribe","id":"1","payload":{"query":"","variables":null,"operationName":null,"extensions":null,"x":1}}',
]


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read_message(text, 64)
    assert len(str(refusal.value).encode()) <= 123, "a close reason has to fit its frame"


@pytest.mark.parametrize("text", VALID)
def test_nulls_and_more_keys_are_allowed(text: str) -> None:
    read_message(text, 64)


@pytest.mark.anyio
async def test_an_invalid_message_closes_the_socket(server: Gateway) -> None:
    for message in ('{"type":"start"}', "null", "zzz", b'{"type":"ping"}'):
        async with ready_socket(server) as client:
            await client.send(message)
            assert (await client.closed())[0] == 4400
        async with socket_to(server) as client:
            await client.send(message)
            assert (await client.closed())[0] == 4400


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_valid(message: Any) -> bool:
    """The reference implementation's rules, for the types that a client may send."""
    if not _is_object(message):
        return False
    payload, id = message.get("payload"), message.get("id")
    match message.get("type"):
        case "connection_init" | "ping" | "pong":
            return payload is None or _is_object(payload)
        case "complete":
            return isinstance(id, str) and id != ""
        case "subscribe":
            return (
                isinstance(id, str)
                and id != ""
                and _is_object(payload)
                and isinstance(payload.get("query"), str)
                and (payload.get("variables") is None or _is_object(payload["variables"]))
                and (payload.get("operationName") is None or isinstance(payload["operationName"], str))
                and (payload.get("extensions") is None or _is_object(payload["extensions"]))
            )
    return False


junk = st.sampled_from([None, True, 0, 1.5, "", "x", [], [1], {}, {"a": 1}, "\x00", "é", -1, 1e308, "__proto__"])
payloads = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("query", "variables", "operationName", "extensions", "other"), junk)
)
messages = junk | st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["connection_init", "ping", "pong", "complete", "subscribe", "next", "error"]) | junk,
        "id": junk,
        "payload": payloads | junk,
        "extra": junk,
    },
)


@given(messages)
def test_any_message_is_judged_as_the_reference_judges_it(message: object) -> None:
    try:
        read_message(json.dumps(message), 64)
    except InvalidMessage:
        assert not _is_valid(message)
    else:
        assert _is_valid(message)
