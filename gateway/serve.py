"""Runs the application on uvicorn, in this process or in several."""

import asyncio
import faulthandler
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from gateway.app import Gateway, create_app
from gateway.graphql.wire import SocketProtocol
from gateway.settings import Settings
from gateway.settings import load as load_settings
from gateway.supervisor import Beat, Supervisor

logger = logging.getLogger("uvicorn.error")  # with the lines of the server, in their format

MAX_SOCKET_MESSAGE = 1 << 20
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than balancers do, for who closes first must not be the gateway."""
PING_SECONDS = 12.0
"""How often a socket is asked whether its client is there, and how long the client has to answer."""
UNACKNOWLEDGED_SECONDS = 20.0
"""How long what was sent may go unacknowledged before a connection is taken to be cut. Event streams have a sign of
life every 12 seconds, so that a client that is gone is noticed there as well."""
GRACE_SECONDS = 5
"""When the gateway stops: how long what is running, and clients that are slow to take what was written, still have."""
STOP_SECONDS = 9.0
"""After how long a process that was told to stop is gone, whatever still holds it up."""


class ListeningFailed(Exception):
    """The address cannot be listened on; the message says why."""


def server_config(
    app: Starlette,
    settings: Settings,
    *,
    log_level: str = "info",
    ping_seconds: float = PING_SECONDS,
    grace_seconds: int = GRACE_SECONDS,
) -> uvicorn.Config:
    """How the gateway is served; also in tests, so that they show what is shipped."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws=SocketProtocol,
        ws_max_size=MAX_SOCKET_MESSAGE,
        ws_per_message_deflate=False,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        log_level=log_level,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=",".join(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace_seconds,
    )


def listeners(
    host: str, port: int, *, unacknowledged_seconds: float = UNACKNOWLEDGED_SECONDS
) -> Sequence[socket.socket]:
    """Sockets on all addresses of a host; connections are accepted once a server takes them.

    Connections inherit (on Linux) that they break when what was sent is not acknowledged in time: TCP_USER_TIMEOUT,
    RFC 5482 and tcp(7). Raises ``ListeningFailed``.
    """
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            made.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if sys.platform == "linux":
                milliseconds = int(unacknowledged_seconds * 1_000)
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            listener.bind(address)
    except OSError as error:
        for listener in made:
            listener.close()
        raise ListeningFailed(
            f"cannot listen on {host}:{port}: {(error.strerror or type(error).__name__).lower()}"
        ) from None
    return made


class GatewayServer(uvicorn.Server):
    """Tells open sockets and streams to go elsewhere before it waits for connections to end.

    ``beat`` tells a supervisor that this process lives; without one left, it stops.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway, *, beat: Beat | None = None) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._beat = beat

    async def on_tick(self, counter: int) -> bool:
        """Looks, ten times a second, whether to go on."""
        if self._beat is not None and counter % 10 == 0 and not self._beat() and not self.should_exit:
            _end_for_sure()
            self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop, upon a signal."""
        if not self.should_exit:
            _end_for_sure()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops gracefully: the time for clients and for what they have begun is one and the same."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self.config.timeout_graceful_shutdown or 0)
        for server in self.servers:
            server.close()
        await self._gateway.endpoint.close()
        self.config.timeout_graceful_shutdown = max(1, round(ends - loop.time()))
        await super().shutdown(sockets)


def _end_for_sure() -> None:
    """Has this process end in a while, should it still be there, and say where it stood.

    The timer is outside the interpreter, which cannot hold it up. A signal would not do: what is process 1 of a
    container takes none that it does not handle.
    """
    faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)


@dataclass(frozen=True)
class _Work:
    """What each of several processes does; it reads the settings anew and makes an application of its own."""

    load: Callable[[], Settings]
    sockets: Sequence[socket.socket]
    log_level: str

    def __call__(self, line: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the server heeds it; the supervisor is there to say so
        settings = self.load()
        app = create_app(settings)
        config = server_config(app, settings, log_level=self.log_level)
        GatewayServer(config, app.state.gateway, beat=Beat(line)).run(list(self.sockets))


def serve(
    app: Starlette, settings: Settings, *, log_level: str = "info", load: Callable[[], Settings] = load_settings
) -> None:
    """Serves until it is told to stop; blocks.

    Several processes make their applications themselves, by the settings that ``load`` reads there. Raises
    ``ListeningFailed`` and ``NoneStarted``.
    """
    config = server_config(app, settings, log_level=log_level)
    sockets = listeners(settings.host, settings.port)
    logger.info(
        "Listening on http://%s:%d", f"[{settings.host}]" if ":" in settings.host else settings.host, settings.port
    )
    if settings.workers > 1:
        for each in sockets:
            each.listen(config.backlog)
        Supervisor(_Work(load, sockets, log_level), settings.workers).run()
    else:
        GatewayServer(config, app.state.gateway).run(list(sockets))
