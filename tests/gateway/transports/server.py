"""The endpoint on a real port: uvicorn in a thread of the test's process."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse

from auth.caller import Caller
from auth.principal import Principal
from gateway.graphql import GraphQLEndpoint, Limits
from tests.gateway.transports import sample

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a test waits for what should come at once; no test measures time."""

_SCHEMA = sample.schema()
# Reading the machine's certificates for each client takes longer than most tests, and nothing here uses TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Server(uvicorn.Server):
    """Tells clients before it stops their connections, as the gateway does."""

    def __init__(self, config: uvicorn.Config, endpoint: GraphQLEndpoint) -> None:
        super().__init__(config)
        self.endpoint = endpoint
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.endpoint.close()
        await super().shutdown(sockets)


class Gateway:
    """A running endpoint, and what a test asks of it."""

    def __init__(self, limits: Limits, options: Mapping[str, Any]) -> None:
        self.probe = sample.Probe()
        self.doorman = sample.Doorman(self.probe)
        self.endpoint = GraphQLEndpoint(
            _SCHEMA,
            authentication=self.doorman,
            make_context=self._make_context,
            limits=limits,
            allowed_origins=frozenset({"https://friend.example"}),
            page=lambda _: HTMLResponse("<title>GraphiQL</title>"),
            **options,
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/graphql"
        app = Starlette(routes=self.endpoint.routes)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, http="httptools", lifespan="off", timeout_graceful_shutdown=10
        )
        self._server = _Server(config, self.endpoint)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))

    def _make_context(self, principal: Principal, caller: Caller) -> sample.Context:
        return sample.Context(principal, self.probe, next(self.probe.contexts), caller)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Shut the server down as a deployment would, and wait for it."""
        self._server.should_exit = True
        self._thread.join()

    def shut(self) -> None:
        """Begin to shut down, without waiting."""
        self._server.should_exit = True

    async def on_loop(self, work: Coroutine[object, object, T]) -> T:
        """Run ``work`` where the server runs."""
        assert self._server.loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._server.loop))

    async def tasks(self) -> int:
        """How many tasks the server has, besides the one that counts."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return await self.on_loop(count())

    async def settled(self, tasks: int) -> None:
        """Wait until the server has no more than ``tasks`` tasks, and no subscription."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.tasks() > tasks or self.endpoint.live:  # noqa: ASYNC110 - they end in another thread
                await asyncio.sleep(0.01)

    async def post(self, query: str, variables: object = None, **headers: str) -> httpx.Response:
        """Send one operation as JSON."""
        async with http_client() as client:
            return await client.post(
                self.url,
                json={"query": query, "variables": variables},
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )

    async def post_body(self, body: bytes, **headers: str) -> httpx.Response:
        """Send any bytes as ``application/json``, unless ``headers`` say otherwise."""
        sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        async with http_client() as client:
            return await client.post(self.url, content=body, headers=sent)

    async def get(self, params: Mapping[str, str] | str = "", **headers: str) -> httpx.Response:
        """Send a GET."""
        async with http_client() as client:
            return await client.get(
                f"{self.url}?{httpx.QueryParams(params)}" if not isinstance(params, str) else f"{self.url}?{params}",
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )

    @asynccontextmanager
    async def events(self, query: str, variables: object = None, **headers: str) -> AsyncIterator["Events"]:
        """Send one operation that is answered with an event stream."""
        sent = {"accept": "text/event-stream"} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            http_client() as client,
            client.stream("POST", self.url, json={"query": query, "variables": variables}, headers=sent) as response,
        ):
            yield Events(response)


class Events:
    """The frames of an event stream, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_bytes()
        self._buffer = b""

    async def frame(self) -> str | None:
        """The next frame with comments left in, without its blank line; ``None`` at the end."""
        while b"\n\n" not in self._buffer:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                assert self._buffer == b"", "the stream ended within a frame"
                return None
            self._buffer += chunk
        frame, _, self._buffer = self._buffer.partition(b"\n\n")
        return frame.decode()

    async def next(self) -> str | None:
        """The next frame that is no heartbeat."""
        while (frame := await self.frame()) is not None and frame.startswith(":"):
            pass
        return frame

    async def rest(self) -> list[str]:
        """All frames to the end, without heartbeats."""
        frames = []
        while (frame := await self.next()) is not None:
            frames.append(frame)
        return frames


def http_client(**options: Any) -> httpx.AsyncClient:
    """A client of plain HTTP."""
    return httpx.AsyncClient(verify=_NO_TLS, timeout=PATIENCE_SECONDS, trust_env=False, **options)


@contextmanager
def gateway(limits: Limits | None = None, **options: Any) -> Iterator[Gateway]:
    """Run an endpoint while the context lasts."""
    with Gateway(limits or Limits(), options) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; fails when that is plainly not going to happen."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in another thread
            await asyncio.sleep(0.005)
