"""Runs the application on uvicorn."""

import socket

import uvicorn
from starlette.applications import Starlette

from gateway.app import Gateway
from gateway.graphql.wire import SocketProtocol
from gateway.settings import Settings

GRACE_SECONDS = 10
MAX_SOCKET_MESSAGE = 1 << 20


class _Server(uvicorn.Server):
    """Tells open sockets and streams to go elsewhere before it waits for connections to end."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops gracefully."""
        await self._gateway.endpoint.close()
        await super().shutdown(sockets)


def serve(app: Starlette, settings: Settings, *, log_level: str = "info") -> None:
    """Serves until it is told to stop; blocks."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws=SocketProtocol,
        ws_max_size=MAX_SOCKET_MESSAGE,
        ws_per_message_deflate=False,
        log_level=log_level,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=",".join(settings.trusted_proxies),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    _Server(config, app.state.gateway).run()
