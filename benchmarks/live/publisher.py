"""Has a server make events: at a rate whether or not it keeps up, or as fast as it takes them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self

from benchmarks.load import WrongAnswer, post

CONNECTIONS = 4
"""Over which events are published by turns."""
_STATUS = b"HTTP/1.1 "
_GOOD = _STATUS + b"200 "


class _Connection(asyncio.Protocol):
    """Counts the answers to what is published."""

    def __init__(self) -> None:
        self.answers = 0
        self.refused: bytes | None = None
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        seen = self._rest + data
        good = seen.count(_GOOD)
        self.answers += good
        if seen.count(_STATUS, 0, len(seen) - len(_GOOD) + len(_STATUS)) > good:
            self.refused = seen[-400:]
        self._rest = seen[1 - len(_GOOD) :]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        self.refused = self.refused or b"the server closed the connection"


class Publisher:
    """Publishes one event over and over; enter it to connect."""

    def __init__(self, port: int, event: Mapping[str, Any]) -> None:
        self._port = port
        self._request = post("/publish", event)
        self._connections: list[tuple[asyncio.Transport, _Connection]] = []
        self.published = 0

    async def __aenter__(self) -> Self:
        """Connects; raises ``OSError``."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            self._connections.append(await loop.create_connection(_Connection, "127.0.0.1", self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hangs up."""
        for transport, _connection in self._connections:
            transport.abort()

    @property
    def answers(self) -> int:
        """How many events the server says it has made; raises ``WrongAnswer`` when it refuses one."""
        for _, connection in self._connections:
            if connection.refused is not None:
                raise WrongAnswer(f"an event was not published: {connection.refused!r}")
        return sum(connection.answers for _, connection in self._connections)

    def publish(self) -> None:
        """Asks for one more."""
        transport, _ = self._connections[self.published % len(self._connections)]
        transport.write(self._request)
        self.published += 1

    async def at_rate(self, count: int, rate: float) -> None:
        """Asks for ``count``, each when it is due, ``rate`` a second."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(count):
            wait = start + number / rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.publish()

    async def at_most(
        self, seconds: float, events: float, waiting: Callable[[], float], most: Callable[[], float]
    ) -> None:
        """Asks for another whenever fewer than ``most`` are ``waiting`` to be delivered: for so long, or so many."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until and self.published < events:
            while waiting() < most() and self.published < events:
                self.publish()
            await asyncio.sleep(0.001)

    async def answered(self, seconds: float) -> bool:
        """Whether everything asked for is made within so long; returns as soon as it is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.answers < self.published:
            if loop.time() > until:
                return False
            await asyncio.sleep(0.005)
        return True
