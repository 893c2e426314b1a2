"""Connections of clients, light enough for hundreds of them in one process: no more of each protocol than needed.

A line is one connection. It tells its ``Hearer`` of what comes, and is over when the connection is.
"""

import asyncio
import os
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol, cast

import orjson

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
"""First bytes of whole frames (RFC 6455, section 5.2)."""
_SHORT, _MIDDLE = 126, 127
_NEXT = b'{"id":"1","type":"next","payload":'


class Hearer(Protocol):
    """Who is told what comes over a line."""

    def opened(self, place: str | None = None) -> None:
        """The subscription has begun: what happens from now on will come; ``place``: what comes after that cursor."""
        ...

    def response(self, body: bytes, event_id: bytes | None) -> None:
        """A response came; ``event_id`` where the transport has one of its own."""
        ...

    def ended(self, errors: list[dict[str, Any]]) -> None:
        """The gateway ended the subscription, or did not begin it, and says why."""
        ...


class Line(asyncio.Protocol):
    """What both transports have in common; ``over`` says at last how the connection ended."""

    def __init__(self, hearer: Hearer) -> None:
        self.hearer = hearer
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answered = False
        self._why = "the connection was lost"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        """Takes what came apart."""
        self._received += data
        if not self._answered:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end])
            del self._received[: end + 4]
            self._answered = True
            self._head(head)
        self._parse()

    def connection_lost(self, exc: Exception | None) -> None:
        """Says how it ended."""
        if not self.over.done():
            self.over.set_result(self._why)

    def cut(self) -> None:
        """Ends it without a word."""
        self._hang_up("cut")

    def freeze(self) -> None:
        """Reads nothing any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _hang_up(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _request(self) -> bytes:
        raise NotImplementedError

    def _head(self, head: bytes) -> None:
        raise NotImplementedError

    def _parse(self) -> None:
        raise NotImplementedError


class SocketLine(Line):
    """graphql-transport-ws over a WebSocket."""

    def __init__(self, hearer: Hearer, token: str, query: str, variables: Mapping[str, str | None]) -> None:
        super().__init__(hearer)
        self._token = token
        self._operation = {"query": query, "variables": variables}

    def _request(self) -> bytes:
        key = b64encode(os.urandom(16)).decode()
        return (
            "GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        ).encode()

    def _head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101 "):
            self._hang_up(f"no upgrade: {head[:100]!r}")
            return
        self._say({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})

    def _parse(self) -> None:
        received, start = self._received, 0
        while len(received) >= start + 2:
            length, head = received[start + 1], 2
            if length >= _SHORT:
                head = 4 if length == _SHORT else 10
                length = int.from_bytes(received[start + 2 : start + head])
            end = start + head + length
            if len(received) < end:
                break
            self._frame(received[start], bytes(received[start + head : end]))
            start = end
        del received[:start]

    def _frame(self, kind: int, content: bytes) -> None:
        if kind == _TEXT:
            if content.startswith(_NEXT):
                self.hearer.response(content[len(_NEXT) : -1], None)
            else:
                self._message(orjson.loads(content))
        elif kind == _PING:
            self._write(_frame(_PONG, content))
        elif kind == _CLOSE:
            self._hang_up(f"closed {int.from_bytes(content[:2])} {content[2:].decode()}")
        else:
            self._hang_up(f"an unexpected frame {kind:#x}")

    def _message(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "connection_ack":
                self._say({"id": "1", "type": "subscribe", "payload": self._operation})
                self._say({"type": "ping"})  # answered after the subscription was taken up
            case "pong":
                self.hearer.opened()
            case "error":
                self.hearer.ended(message["payload"])
                self._hang_up("refused")
            case unexpected:
                self._hang_up(f"an unexpected message: {unexpected}")

    def _say(self, message: Mapping[str, object]) -> None:
        self._write(_frame(_TEXT, orjson.dumps(message)))


def _frame(kind: int, content: bytes) -> bytes:
    """A client's frame; its mask is zero, which leaves the content as it is."""
    length = len(content)
    if length < _SHORT:
        return bytes((kind, 0x80 | length)) + bytes(4) + content
    return bytes((kind, 0x80 | _SHORT)) + length.to_bytes(2) + bytes(4) + content


class EventLine(Line):
    """Server-sent events in the answer to a POST; ``gzip``: compressed."""

    def __init__(
        self,
        hearer: Hearer,
        token: str,
        query: str,
        variables: Mapping[str, str | None],
        *,
        last_event_id: str | None = None,
        gzip: bool = False,
    ) -> None:
        super().__init__(hearer)
        self._token = token
        self._body = orjson.dumps({"query": query, "variables": variables})
        self._last_event_id = last_event_id
        self._inflated = zlib.decompressobj(31) if gzip else None
        self._text = bytearray()

    def _request(self) -> bytes:
        lines = [
            "POST /graphql HTTP/1.1",
            "host: 127.0.0.1",
            "content-type: application/json",
            f"content-length: {len(self._body)}",
            "accept: text/event-stream",
            f"authorization: Bearer {self._token}",
        ]
        if self._last_event_id is not None:
            lines.append(f"last-event-id: {self._last_event_id}")
        if self._inflated is not None:
            lines.append("accept-encoding: gzip")
        return "\r\n".join([*lines, "", ""]).encode() + self._body

    def _head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200 "):
            self._hang_up(f"answered {head[:100]!r}")
        elif (b"content-encoding: gzip" in head) is (self._inflated is None):
            self._hang_up(f"the wrong encoding: {head!r}")

    def _parse(self) -> None:
        """Chunks (RFC 9112, section 7.1) into text, text into events."""
        received, start = self._received, 0
        while (end := received.find(b"\r\n", start)) >= 0:
            size = int(received[start:end], 16)
            if len(received) < end + 4 + size:
                break
            chunk = bytes(received[end + 2 : end + 2 + size])
            self._text += chunk if self._inflated is None else self._inflated.decompress(chunk)
            start = end + 4 + size
            if size == 0:
                self._hang_up("the stream ended")
                break
        del received[:start]
        *events, rest = bytes(self._text).split(b"\n\n")
        self._text = bytearray(rest)
        for event in events:
            self._event(event)

    def _event(self, event: bytes) -> None:
        lines = event.split(b"\n")
        fields = dict(line.split(b": ", 1) for line in lines if b": " in line and not line.startswith(b":"))
        if fields.get(b"event") == b"next":
            data = fields[b"data"]
            if b"id" not in fields and data.startswith(b'{"errors"'):
                self.hearer.ended(orjson.loads(data)["errors"])
            else:
                self.hearer.response(data, fields.get(b"id"))
        elif lines[0] == b":" and len(lines) - 1 == len(fields) == (b"id" in fields):
            self.hearer.opened(fields[b"id"].decode() if fields else None)  # comes first, once it has begun
        elif fields.get(b"event") == b"complete":
            self._hang_up("completed")
        else:
            self._hang_up(f"no event: {event[:100]!r}")
