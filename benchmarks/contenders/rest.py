"""The floor's question to the REST upstream: two calls, however many posts, over connections that are kept."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class UpstreamFailed(Exception):
    """The upstream answered with something else than 200, or hung up."""


class _Connection(asyncio.Protocol):
    """One GET at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._wanted = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get(self, request: bytes) -> "asyncio.Future[bytes]":
        """The body of the answer."""
        if self._transport is None:
            raise UpstreamFailed("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

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
        self._received.clear()
        self._wanted = 0
        if self._answer is not None and not self._answer.done():
            if head.startswith(b"HTTP/1.1 200 "):
                self._answer.set_result(body)
            else:
                self._answer.set_exception(UpstreamFailed(head.partition(b"\r\n")[0].decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or UpstreamFailed("the upstream closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Posts:
    """Q5: posts with their users."""

    def __init__(self, upstream_url: str) -> None:
        address = urlsplit(upstream_url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._idle: list[_Connection] = []

    async def posts(self, _organization: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Asks for the posts, then for the users behind them."""
        found = await self._get(f"/posts?_limit={arguments['first']}")
        ids = dict.fromkeys(post["userId"] for post in found)
        answered = await self._get("/users?" + "&".join(f"id={id}" for id in ids))
        users = {user["id"]: {"id": user["id"], "name": user["name"], "email": user["email"]} for user in answered}
        return {
            "shopPosts": [
                {
                    "id": post["id"],
                    "userId": post["userId"],
                    "title": post["title"],
                    "user": users.get(post["userId"]),
                }
                for post in found
            ]
        }

    async def _get(self, path: str) -> Any:
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        body = await connection.get(f"GET {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\n\r\n".encode())
        self._idle.append(connection)
        return orjson.loads(body)

    async def close(self) -> None:
        """Closes its connections."""
        for connection in self._idle:
            connection.close()
