"""Q6: many subscribers on sockets of their own, and events that go to all of them."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from benchmarks.load import WrongAnswer, post
from benchmarks.servers import Server

_AT_ONCE = 25
"""How many sockets are opened at the same time: no server is measured on that."""
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
"""First bytes of whole frames (RFC 6455, 5.2)."""
_QUIET_SECONDS, _PATIENCE_SECONDS = 0.5, 120.0


class FellShort(Exception):
    """Subscribers did not get every event; the message says how many messages are missing."""


def _frame(kind: int, content: bytes) -> bytes:
    """A client's frame; its mask is zero, which leaves the content as it is."""
    length = len(content)
    head = bytes([kind, 0x80 | length]) if length < 126 else bytes([kind, 0xFE]) + length.to_bytes(2)  # noqa: PLR2004
    return head + bytes(4) + content


class Subscriber(asyncio.Protocol):
    """Subscribes as soon as it is connected, then counts messages.

    ``last`` is the newest message, ``lost`` why it hears no more.
    """

    def __init__(self, query: str, token: str) -> None:
        self._token = token
        self._query = query
        self._received = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages = 0
        self.last = b""
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

    def data_received(self, data: bytes) -> None:
        """Takes the frames out of what came."""
        self._received += data
        if not self._upgraded and not self._upgrade():
            return
        received, start = self._received, 0
        while len(received) >= start + 2:
            length, head = received[start + 1], 2
            if length == 126:  # noqa: PLR2004 -- the length is in the next two bytes (RFC 6455, 5.2)
                length, head = int.from_bytes(received[start + 2 : start + 4]), 4
            end = start + head + length
            if len(received) < end:
                break
            self._take(received[start], received[start + head : end])
            start = end
        del received[:start]

    def _upgrade(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._received.startswith(b"HTTP/1.1 101 "):
            self._fail(f"no upgrade: {bytes(self._received[:200])!r}")
            return False
        del self._received[: end + 4]
        self._upgraded = True
        self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
        return True

    def _take(self, kind: int, content: bytearray) -> None:
        if kind == _TEXT:
            self._message(content)
        elif kind == _PING:
            # A server that gets no answer hangs up, which takes a slow round for a dead client.
            cast(asyncio.Transport, self._transport).write(_frame(_PONG, bytes(content)))
        else:
            self._fail(f"an unexpected frame: {kind:#x} {bytes(content)[:200]!r}")

    def _message(self, text: bytearray) -> None:
        if self.subscribed.done():
            self.messages += 1
            self.last = bytes(text)
        elif text == b'{"type":"connection_ack"}':
            self._send({"id": "1", "type": "subscribe", "payload": {"query": self._query}})
            self.subscribed.set_result(None)
        else:
            self._fail(f"not acknowledged: {bytes(text)[:200]!r}")

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


class _Publisher(asyncio.Protocol):
    """Counts the answers to what is published."""

    def __init__(self) -> None:
        self.answers = 0

    def data_received(self, data: bytes) -> None:
        self.answers += data.count(b"HTTP/1.1 200 ")


class Audience:
    """The subscribers of one server, and the one who makes events for them."""

    def __init__(self, server: Server, query: str, token: str) -> None:
        self._server = server
        self._query = query
        self._token = token
        self._subscribers: list[Subscriber] = []

    @property
    def messages(self) -> int:
        """How many messages all subscribers got so far."""
        return sum(subscriber.messages for subscriber in self._subscribers)

    @property
    def last(self) -> Any:
        """The newest message of one of them."""
        return orjson.loads(self._subscribers[0].last)

    async def gather(self, count: int, event: Mapping[str, Any]) -> None:
        """Opens ``count`` sockets and returns when every one of them has got an event and all is quiet again.

        Raises ``WrongAnswer`` or ``OSError`` when a socket cannot be opened, ``FellShort`` when events do not arrive.
        """
        loop = asyncio.get_running_loop()
        while len(self._subscribers) < count:
            made = [
                await loop.create_connection(
                    lambda: Subscriber(self._query, self._token), "127.0.0.1", self._server.port
                )
                for _ in range(min(_AT_ONCE, count - len(self._subscribers)))
            ]
            self._subscribers += [subscriber for _, subscriber in made]
            await asyncio.gather(*(subscriber.subscribed for _, subscriber in made))
        # The server has read a subscription when its socket gets events, and there is no other sign of that.
        deadline = loop.time() + _PATIENCE_SECONDS
        while self._heard() < count or not all(subscriber.messages for subscriber in self._subscribers):
            if loop.time() > deadline:
                raise FellShort(f"{sum(not each.messages for each in self._subscribers)} subscribers hear nothing")
            await self.publish(event, 1, rate=1 / _QUIET_SECONDS)
            await asyncio.sleep(_QUIET_SECONDS)
        await self._quiet()
        for subscriber in self._subscribers:
            subscriber.messages = 0

    async def publish(self, event: Mapping[str, Any], count: int, *, rate: float) -> None:
        """Makes ``count`` events, ``rate`` a second whether or not the server keeps up; returns when all are taken."""
        loop = asyncio.get_running_loop()
        transport, publisher = await loop.create_connection(_Publisher, "127.0.0.1", self._server.port)
        request, start = post("/publish", event), loop.time()
        try:
            for number in range(count):
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
                transport.write(request)
            await _progress(lambda: publisher.answers, count)
        finally:
            transport.close()

    async def delivered(self, expected: int) -> None:
        """Returns when there are ``expected`` messages; raises ``FellShort`` when they stop coming before."""
        await _progress(self._heard, expected)

    def _heard(self) -> int:
        """The messages so far; raises ``FellShort`` when a socket is gone."""
        lost = [subscriber.lost for subscriber in self._subscribers if subscriber.lost is not None]
        if lost:
            raise FellShort(f"{len(lost)} sockets were lost, the first because: {lost[0]}")
        return self.messages

    async def _quiet(self) -> None:
        before = -1
        while before != self.messages:
            before = self.messages
            await asyncio.sleep(_QUIET_SECONDS)

    def leave(self) -> None:
        """Hangs up on all sockets."""
        for subscriber in self._subscribers:
            subscriber.close()
        self._subscribers.clear()


async def _progress(count: Callable[[], int], expected: int) -> None:
    loop = asyncio.get_running_loop()
    seen, moved = 0, loop.time()
    while (now := count()) < expected:
        if now > seen:
            seen, moved = now, loop.time()
        elif loop.time() - moved > _PATIENCE_SECONDS:
            raise FellShort(f"{expected - now} of {expected} are missing")
        await asyncio.sleep(0.02)
