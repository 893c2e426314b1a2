"""Load over kept-alive connections, light enough that the server is what is measured."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any, cast

import orjson

CONCURRENCY = 16
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class WrongAnswer(Exception):
    """A server answered with something else than data; the message has the beginning of it."""


def post(path: str, body: Mapping[str, Any], *, token: str | None = None) -> bytes:
    """A request as it goes over the wire."""
    content = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n"
    )
    if token is not None:
        head += f"authorization: Bearer {token}\r\n"
    return head.encode() + b"\r\n" + content


class _Connection(asyncio.Protocol):
    """Sends its next request when the last one is answered; keeps the last body."""

    def __init__(self, requests: Iterator[bytes], done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._wanted = 0
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        else:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._wanted:
            end = self._received.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._received, 0, end + 2)
            self._wanted = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) < self._wanted:
            return
        head, _, body = bytes(self._received).partition(_HEAD_END)
        if not head.startswith(b"HTTP/1.1 200 ") or not body.startswith(b'{"data":'):
            self._fail(WrongAnswer(f"{head[:40]!r} {body[:400]!r}"))
            return
        self.body = body
        self._received.clear()
        self._wanted = 0
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)
        if self._transport is not None:
            self._transport.abort()


async def send(port: int, requests: Sequence[bytes], count: int, *, concurrency: int = CONCURRENCY) -> bytes:
    """Sends ``requests`` over and over until ``count`` are answered; returns the body of one of the last answers.

    Raises ``WrongAnswer`` for any answer that is not data, ``OSError`` when the server goes away.
    """
    loop = asyncio.get_running_loop()
    waiting = islice(cycle(requests), count)
    connections: list[_Connection] = []
    finished: list[asyncio.Future[None]] = []
    for _ in range(min(concurrency, count)):
        done: asyncio.Future[None] = loop.create_future()
        connection = _Connection(waiting, done)
        finished.append(done)
        connections.append(connection)
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*finished)
    return next(connection.body for connection in reversed(connections) if connection.body)
