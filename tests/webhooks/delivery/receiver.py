"""A receiver of webhooks on this machine: it keeps what comes, and answers each path as it is told."""

import asyncio
import contextlib
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Arrived:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the delivery."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> str:
        """The id of the event that it tells of."""
        found: str = json.loads(self.body)["event"]
        return found

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, as the reference implementation verifies it; raises ``WebhookVerificationError``."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return found


@dataclass
class Receiver:
    """Listens at ``url``. Each path is somebody of their own, who answers 204 unless told otherwise."""

    port: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What the next answers of a path begin with: a status line without its version, and headers after ``\\r\\n``."""
    always: dict[str, str] = field(default_factory=dict)
    """What all others begin with."""
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    """Paths that answer once this is set."""
    waiting: list[str] = field(default_factory=list)
    """The paths of requests that have no answer yet."""
    tail: bytes = b""
    """What follows the head of each answer."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> list[Arrived]:
        """What came to a path, in order."""
        return [each for each in self.arrived if each.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            path = head[0].split()[1]
            body = await reader.readexactly(int(headers["content-length"]))
            self.arrived.append(Arrived(path, headers, body))
            self.waiting.append(path)
            if path in self.slow:
                await self.slow[path].wait()
            self.waiting.remove(path)
            begins = self.answers[path].pop(0) if self.answers[path] else self.always.get(path, "204 No Content")
            writer.write(f"HTTP/1.1 {begins}\r\nconnection: close\r\nset-cookie: a=b\r\n\r\n".encode() + self.tail)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listens on a free port of loopback until the block ends."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        for each in receiver.slow.values():
            each.set()
        server.close()
