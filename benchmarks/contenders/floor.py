"""The floor: what somebody who knows each question beforehand writes by hand, and as fast as Python allows.

Starlette on uvicorn with uvloop and httptools, raw SQL on asyncpg or sqlite3, orjson. It does what a correct server
has to do, and nothing else: it verifies the token (once, then it is remembered until it ends), reads the body, asks the
database as the organization of the token, and writes the JSON that the gateway would answer with.
"""

import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.contenders import postgresql, sqlite
from benchmarks.contenders.published import order_changed
from benchmarks.contenders.rest import Posts

Json = dict[str, Any]
Arguments = Mapping[str, Any]


class Reads(Protocol):
    """The questions, asked of one kind of database; each answers with what becomes ``data``."""

    async def business(self, organization: str, arguments: Arguments) -> Json:
        """Q1."""

    async def businesses_with_campaigns(self, organization: str, arguments: Arguments) -> Json:
        """Q2."""

    async def businesses_with_orders(self, organization: str, arguments: Arguments) -> Json:
        """Q3."""

    async def orders(self, organization: str, arguments: Arguments) -> Json:
        """Q4."""

    async def open(self) -> None:
        """Makes it ready, in the loop that will ask."""

    async def close(self) -> None:
        """Closes its connections."""


class Tokens:
    """Verifies the gateway's access tokens, each one once."""

    def __init__(self, key_file: Path, issuer: str) -> None:
        self._key: Any = load_pem_private_key(key_file.read_bytes(), password=None).public_key()
        self._issuer = issuer
        self._known: dict[str, tuple[str, float]] = {}

    def organization(self, header: str | None) -> str:
        """The organization of ``Authorization: Bearer …``; raises ``jwt.InvalidTokenError``."""
        known = self._known.get(header or "")
        if known is None or known[1] < time.time():
            known = self._known[header or ""] = self._verified(header or "")
        return known[0]

    def _verified(self, header: str) -> tuple[str, float]:
        token = header.removeprefix("Bearer ")
        claims = jwt.decode(token, self._key, algorithms=["EdDSA"], audience="tributary", issuer=self._issuer)
        return claims["org"], claims["exp"]


def answer(data: object) -> Response:
    """``{"data": …}``; moments are UTC and end in Z."""
    return Response(orjson.dumps({"data": data}, option=orjson.OPT_UTC_Z), media_type="application/json")


class FanOut:
    """Q6: writes each event, as one ready frame, to every subscriber."""

    def __init__(self) -> None:
        self._subscribers: dict[WebSocket, str] = {}

    async def publish(self, request: Request) -> Response:
        """Takes an event and sends it to all subscribers."""
        event = order_changed(orjson.loads(await request.body()))
        changed = {"id": event.id, "at": event.at, "from": event.before, "to": event.after}
        payload = orjson.dumps({"data": {"orderChanged": changed}}).decode()
        frames: dict[str, str] = {}
        for socket, identity in list(self._subscribers.items()):
            frame = frames.get(identity)
            if frame is None:
                frame = frames[identity] = f'{{"id":"{identity}","type":"next","payload":{payload}}}'
            await socket.send_text(frame)
        return answer(event.id)

    async def settle(self, _: Request) -> Response:
        """Frees what is not needed, before memory is looked at."""
        gc.collect()
        return answer(None)

    async def subscribe(self, socket: WebSocket) -> None:
        """As much of graphql-transport-ws as a subscriber needs."""
        await socket.accept(subprotocol="graphql-transport-ws")
        try:
            while True:
                message = orjson.loads(await socket.receive_text())
                if message["type"] == "connection_init":
                    await socket.send_text('{"type":"connection_ack"}')
                elif message["type"] == "subscribe":
                    self._subscribers[socket] = message["id"]
        except WebSocketDisconnect:
            self._subscribers.pop(socket, None)


Ask = Callable[[str, Arguments], Awaitable[Json]]


def create_app(reads: Reads, posts: Posts, tokens: Tokens) -> Starlette:
    """An endpoint for each question."""

    def endpoint(ask: Ask) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                organization = tokens.organization(request.headers.get("authorization"))
            except jwt.InvalidTokenError:
                return Response(status_code=401)
            return answer(await ask(organization, orjson.loads(await request.body())))

        return handle

    asked: Mapping[str, Ask] = {
        "/business": reads.business,
        "/businesses-with-campaigns": reads.businesses_with_campaigns,
        "/businesses-with-orders": reads.businesses_with_orders,
        "/orders": reads.orders,
        "/posts": posts.posts,
    }
    fan_out = FanOut()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await reads.open()
        yield
        await reads.close()
        await posts.close()

    routes = [Route(path, endpoint(ask), methods=["POST"]) for path, ask in asked.items()]
    routes += [Route(f"/{each.__name__}", each, methods=["POST"]) for each in (fan_out.publish, fan_out.settle)]
    return Starlette(routes=[*routes, WebSocketRoute("/graphql", fan_out.subscribe)], lifespan=lifespan)


def main() -> None:
    """Serves until it is told to stop."""
    environment = os.environ
    url = environment["DATABASE_URL"]
    reads: Reads = sqlite.Reads(url) if url.startswith("sqlite") else postgresql.Reads(url)
    tokens = Tokens(Path(environment["SIGNING_KEY_FILE"]), environment["PUBLIC_URL"])
    app = create_app(reads, Posts(environment.get("UPSTREAM_URL", "")), tokens)
    uvicorn.run(
        app,
        port=int(environment["PORT"]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="error",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
