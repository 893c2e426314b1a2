"""GraphQL over WebSocket: the graphql-transport-ws subprotocol."""

import asyncio
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from gateway.graphql.client_socket import FORBIDDEN, GOING_AWAY, SUBPROTOCOL_NOT_ACCEPTABLE, ClientSocket
from gateway.graphql.engine import Engine
from gateway.graphql.headers import address_of, headers_of
from gateway.graphql.messages import SUBPROTOCOL
from gateway.graphql.wire import wire_of

_TELLING_SECONDS = 1.0
"""How long a server that stops waits for its farewell to be written."""
_SHUTTING_DOWN = "Server is shutting down"


class WebSocketTransport:
    """The ASGI application behind the WebSocket route."""

    def __init__(self, engine: Engine, allowed_origins: frozenset[str]) -> None:
        self._engine = engine
        self._allowed_origins = allowed_origins
        self._sockets: set[ClientSocket] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end."""
        headers = headers_of(scope)
        await receive()
        if not _same_origin(headers) and headers["origin"] not in self._allowed_origins:
            # Before the handshake this is an HTTP 403. Browsers let any page open a socket, with the visitor's cookies.
            await send({"type": "websocket.close", "code": FORBIDDEN, "reason": "Forbidden"})
            return
        spoken = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if spoken else None})
        wire = wire_of(scope, send, self._engine.limits.max_waiting_bytes)
        socket = ClientSocket(self._engine, headers, address_of(scope), receive, wire)
        if not spoken:
            socket.close(SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
        elif self._closing:
            socket.close(GOING_AWAY, _SHUTTING_DOWN)
        self._sockets.add(socket)
        try:
            await socket.serve()
        finally:
            self._sockets.discard(socket)
            await wire.end()

    async def close(self) -> None:
        """Tell all clients to connect elsewhere, and refuse new ones."""
        self._closing = True
        sockets = tuple(self._sockets)
        for socket in sockets:
            socket.close(GOING_AWAY, _SHUTTING_DOWN)
        if sockets:
            told = [asyncio.create_task(socket.wire.end()) for socket in sockets]
            await asyncio.wait(told, timeout=_TELLING_SECONDS)


def _same_origin(headers: dict[str, str]) -> bool:
    """Whether the page that opened the socket is of this host; what is no browser names no page."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False
