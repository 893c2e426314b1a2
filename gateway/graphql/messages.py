"""The messages of the graphql-transport-ws subprotocol: reading the client's, writing ours.

What is valid is exactly what the protocol's reference implementation accepts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from gateway.graphql.masking import FormattedError, RequestError
from gateway.graphql.payload import Payload
from gateway.graphql.request import GraphQLRequest, parse_json

SUBPROTOCOL = "graphql-transport-ws"
CONNECTION_ACK = '{"type":"connection_ack"}'


class InvalidMessage(Exception):
    """The client sent what is no message of the protocol."""


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The first message, with whatever proves who is asking."""

    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants a pong with the same payload."""

    payload: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Needs no answer."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begins an operation of any type."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """Ends an operation."""

    id: str


ClientMessage: TypeAlias = ConnectionInit | Ping | Pong | Subscribe | Complete


def read_message(text: str, max_json_depth: int) -> ClientMessage:
    """Decode and check one message; raises InvalidMessage."""
    try:
        message = parse_json(text, max_json_depth, what="The message")
    except RequestError as error:
        raise InvalidMessage(str(error)) from None
    if not isinstance(message, dict):
        raise InvalidMessage("The message is not an object.")
    match message.get("type"):
        case "connection_init":
            return ConnectionInit(_object_or_null(message, "payload") or {})
        case "ping":
            return Ping(_object_or_null(message, "payload"))
        case "pong":
            _object_or_null(message, "payload")
            return Pong()
        case "subscribe":
            return Subscribe(_id(message), _request(message))
        case "complete":
            return Complete(_id(message))
        case _:
            raise InvalidMessage('The message has no "type" that a client may send.')


def pong_message(payload: Mapping[str, object] | None) -> str:
    """The answer to a ping."""
    return orjson.dumps({"type": "pong"} if payload is None else {"type": "pong", "payload": payload}).decode()


def next_head(id: str) -> bytes:
    """How the responses of an operation begin; the body and a closing brace follow."""
    return b'{"id":%b,"type":"next","payload":' % orjson.dumps(id)


def next_message(id: str, payload: Payload) -> str:
    """One response of an operation."""
    return f"{(next_head(id) + payload.body).decode()}}}"


def error_message(id: str, errors: Sequence[FormattedError]) -> str:
    """The end of an operation that could not begin, or not go on."""
    return orjson.dumps({"id": id, "type": "error", "payload": errors}).decode()


def complete_message(id: str) -> str:
    """The end of an operation that has no more responses."""
    return f'{{"id":{_quoted(id)},"type":"complete"}}'


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _id(message: Mapping[str, object]) -> str:
    value = message.get("id")
    if not isinstance(value, str) or not value:
        raise InvalidMessage('The "id" must be a string that is not empty.')
    return value


def _request(message: Mapping[str, object]) -> GraphQLRequest:
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise InvalidMessage('The "payload" must be an object.')
    query = payload.get("query")
    if not isinstance(query, str):
        raise InvalidMessage('The "query" must be a string.')
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise InvalidMessage('The "operationName" must be a string.')
    return GraphQLRequest(
        query, name, _object_or_null(payload, "variables") or {}, _object_or_null(payload, "extensions") or {}
    )


def _object_or_null(message: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    value = message.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise InvalidMessage(f'The "{name}" must be an object.')
