"""A client of the graphql-transport-ws subprotocol that does just what a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.gateway.transports.server import PATIENCE_SECONDS, Gateway


class GraphQLSocket:
    """One socket; messages are JSON unless they are sent as they are."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        """Send ``message`` as JSON; text and bytes go as they are."""
        raw = message if isinstance(message, (str, bytes)) else json.dumps(message)
        await self.connection.send(raw)

    async def receive(self) -> Any:
        """The next message of the server."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await self.connection.recv()
        assert isinstance(text, str), "the server sent a binary frame"
        return json.loads(text)

    async def initialise(self, payload: object = None) -> None:
        """Begin as each client must."""
        await self.send(
            {"type": "connection_init"} if payload is None else {"type": "connection_init", "payload": payload}
        )
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, id: str, query: str, **payload: object) -> None:
        """Begin an operation."""
        await self.send({"id": id, "type": "subscribe", "payload": {"query": query, **payload}})

    async def alive(self) -> bool:
        """Whether the server still answers, with nothing else to say before."""
        await self.send({"type": "ping", "payload": {"alive": True}})
        return bool(await self.receive() == {"type": "pong", "payload": {"alive": True}})

    async def closed(self) -> tuple[int, str]:
        """The code and the reason with which the server closes, whatever it sends before."""
        frame = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await self.connection.recv()
        except ConnectionClosed as error:
            frame = error.rcvd
        assert frame is not None, "the connection was cut without a close frame"
        return frame.code, frame.reason


@asynccontextmanager
async def socket_to(
    server: Gateway, *, subprotocols: tuple[str, ...] = ("graphql-transport-ws",), **options: Any
) -> AsyncIterator[GraphQLSocket]:
    """Open a socket to the endpoint; nothing is sent on it yet."""
    async with connect(
        f"ws://127.0.0.1:{server.port}/graphql",
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        proxy=None,
        max_queue=None,
        **options,
    ) as connection:
        yield GraphQLSocket(connection)


@asynccontextmanager
async def ready_socket(server: Gateway, payload: object = None) -> AsyncIterator[GraphQLSocket]:
    """Open a socket on which operations can begin."""
    async with socket_to(server) as client:
        await client.initialise(payload)
        yield client
