"""A subscriber of graphql-transport-ws that costs next to nothing, so that servers are what is measured."""

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, cast

import orjson

from benchmarks.load import WrongAnswer

_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
"""First bytes of whole frames (RFC 6455, 5.2)."""
_SHORT, _MIDDLE = 126, 127
"""The length of longer frames is in the next two bytes, or eight."""


class Tally:
    """What all subscribers have got together: ``messages``, and when the newest came, as ``time.time()`` says it."""

    __slots__ = ("at", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.at = 0.0


def _frame(kind: int, content: bytes) -> bytes:
    """A client's frame; its mask is zero, which leaves the content as it is."""
    length = len(content)
    head = bytes([kind, 0x80 | length]) if length < _SHORT else bytes([kind, 0x80 | _SHORT]) + length.to_bytes(2)
    return head + bytes(4) + content


class Subscriber(asyncio.Protocol):
    """Subscribes as soon as it is connected, then counts messages by their frames, without looking into them.

    ``samples`` has every message with its moment where a list is put there; ``lost`` says why it hears no more.
    """

    __slots__ = (
        "_query",
        "_rest",
        "_tally",
        "_token",
        "_transport",
        "_upgraded",
        "lost",
        "messages",
        "samples",
        "subscribed",
    )

    def __init__(self, query: str, token: str, tally: Tally) -> None:
        self._token = token
        self._query = query
        self._tally = tally
        self._rest = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages = 0
        self.samples: list[tuple[float, bytes]] | None = None
        self.lost: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        key = b64encode(os.urandom(16)).decode()
        self._transport.write(
            "GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:  # noqa: C901 -- in one piece, for it is what the load costs
        """Counts the frames in what came."""
        now = time.time()
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            self._rest = data
            if not self._upgrade():
                return
            data = self._rest
        start, end, messages = 0, len(data), 0
        while end - start >= 2:  # noqa: PLR2004 -- the first byte says what kind it is, the second how long
            length, content = data[start + 1], start + 2
            if length == _SHORT:
                length, content = int.from_bytes(data[start + 2 : start + 4]), start + 4
            elif length == _MIDDLE:
                length, content = int.from_bytes(data[start + 2 : start + 10]), start + 10
            stop = content + length
            if stop > end or content > end:
                break
            if data[start] != _TEXT or not self.subscribed.done():
                self._other(data[start], data[content:stop])
            else:
                messages += 1
                if self.samples is not None:
                    self.samples.append((now, data[content:stop]))
            start = stop
        self._rest = data[start:]
        if messages:
            self.messages += messages
            self._tally.messages += messages
            self._tally.at = now

    def _upgrade(self) -> bool:
        """Whether the handshake is over; what comes after it stays."""
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 101 "):
            self._fail(f"no upgrade: {head[:200]!r}")
            return False
        self._rest = rest
        self._upgraded = True
        self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
        return True

    def _other(self, kind: int, content: bytes) -> None:
        """Takes what is no event."""
        if kind == _PING:
            # A server that gets no answer hangs up, which takes a slow round for a dead client.
            cast(asyncio.Transport, self._transport).write(_frame(_PONG, content))
        elif kind == _TEXT and orjson.loads(content) == {"type": "connection_ack"}:
            self._send({"id": "1", "type": "subscribe", "payload": {"query": self._query}})
            self.subscribed.set_result(None)
        else:
            self._fail(f"an unexpected frame: {kind:#x} {content[:200]!r}")

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._transport is not None
        self._transport.write(_frame(_TEXT, orjson.dumps(message)))

    def _fail(self, why: str) -> None:
        self.lost = self.lost or why
        if not self.subscribed.done():
            self.subscribed.set_exception(WrongAnswer(why))
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remembers why; a subscriber that has not begun never will."""
        self._fail(str(exc or "the server closed the socket"))

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.abort()
