"""Clients of ``orderChanged``: one over a WebSocket, one over server-sent events, both asked for the next event."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.gateway.transports.server import Events
from tests.serving import Running

ORDER_CHANGED = """subscription ($after: String, $businessId: ID, $orderId: ID) {
  orderChanged(after: $after, businessId: $businessId, orderId: $orderId) {
    cursor from to business { id } platform { key } order { id status }
  }
}"""

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should come at once; no test measures time."""

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Stream(Protocol):
    """A subscription that is open."""

    async def next(self) -> dict[str, Any]:
        """The next response, whether with data or with errors."""


class SocketStream:
    """A subscription over graphql-transport-ws."""

    def __init__(self, connection: ClientConnection, waiting: list[dict[str, Any]]) -> None:
        self._connection = connection
        self._waiting = waiting

    async def next(self) -> dict[str, Any]:
        """The next response; the errors that end an operation have the form of a response too."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = self._waiting.pop(0) if self._waiting else json.loads(await self._connection.recv())
        assert message["id"] == "1"
        if message["type"] == "error":
            return {"errors": message["payload"]}
        assert message["type"] == "next", message
        found: dict[str, Any] = message["payload"]
        return found


class EventStream:
    """A subscription over server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self._events = Events(response)
        self.last_id: str | None = None

    async def next(self) -> dict[str, Any]:
        """The next response."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await self._events.next()
        assert frame is not None, "the stream ended"
        fields = dict(line.partition(": ")[::2] for line in frame.split("\n"))
        self.last_id = fields.get("id", self.last_id)
        found: dict[str, Any] = json.loads(fields["data"])
        return found


@asynccontextmanager
async def over_socket(
    gateway: Running, email: str, variables: Mapping[str, object] | None = None, query: str = ORDER_CHANGED
) -> AsyncIterator[SocketStream]:
    """Subscribes over a WebSocket, and comes back when the subscription is open."""
    async with connect(
        gateway.socket,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        proxy=None,
        max_queue=None,
        compression=None,
        max_size=None,
    ) as connection:
        token = gateway.token(email)
        await connection.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        payload = {"query": query, "variables": dict(variables or {})}
        await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        # A question after the subscription is answered after it: it has been taken up by then.
        await connection.send(json.dumps({"type": "ping"}))
        waiting: list[dict[str, Any]] = []
        while (message := json.loads(await connection.recv()))["type"] != "pong":
            waiting.append(message)
        yield SocketStream(connection, waiting)


@asynccontextmanager
async def over_events(
    gateway: Running, email: str, variables: Mapping[str, object] | None = None, query: str = ORDER_CHANGED
) -> AsyncIterator[EventStream]:
    """Subscribes over server-sent events, and comes back when the stream is open."""
    headers = {"authorization": f"Bearer {gateway.token(email)}", "accept": "text/event-stream"}
    body = {"query": query, "variables": dict(variables or {})}
    async with (
        httpx.AsyncClient(verify=_NO_TLS, timeout=60, trust_env=False) as client,
        client.stream("POST", gateway.graphql, json=body, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield EventStream(response)


Subscribe = Callable[..., AbstractAsyncContextManager[Stream]]
TRANSPORTS: dict[str, Subscribe] = {"socket": over_socket, "events": over_events}
