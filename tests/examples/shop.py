"""The shop on the other side: its webhooks, its REST API, and a gateway that has the platform for it."""

import asyncio
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from datasources.database.engine import Database
from datasources.database.events import EventPosition, head
from datasources.database.migrate import upgrade
from gateway.demo import branches_of
from schema.platform import Platform
from tests.serving import Running

SECRET = "the shop and we know it"
CONNECT = """mutation ($input: ConnectShopInput!) {
  connectShop(input: $input) { store userErrors { code field } }
}"""


# Reading the machine's certificates takes longer than most requests, and nothing here uses TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """The header with which the shop signs a body."""
    second = str(int(time.time() if at is None else at))
    return f"t={second},v1={hmac.new(secret.encode(), second.encode() + b'.' + body, sha256).hexdigest()}"


def order(number: str, placed_at: str, **more: Any) -> dict[str, Any]:
    """What the shop tells of an order."""
    product = {"sku": "MUG-1", "name": "Mug", "price": "9.50", "currency": "EUR"}
    return {"number": number, "total": "9.50", "currency": "EUR", "placed_at": placed_at, "product": product, **more}


def migrate(database_url: str, platforms: Sequence[Platform]) -> None:
    """What ``tributary db migrate`` does with these platforms."""

    async def run() -> None:
        database = Database(database_url)
        try:
            await upgrade(database, branches_of(platforms))
        finally:
            await database.close()

    asyncio.run(run())


@dataclass(frozen=True)
class Shop:
    """A shop with one store, which sends webhooks to a gateway."""

    gateway: Running
    store: str

    def send(self, body: Mapping[str, Any] | bytes, header: str | None = None) -> httpx.Response:
        """Posts a webhook, signed rightly unless a header is given."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {b"shop-signature": (signature(raw) if header is None else header).encode()}
        with httpx.Client(verify=_NO_TLS, timeout=60, trust_env=False) as client:
            return client.post(f"{self.gateway.url}/webhooks/shop", content=raw, headers=headers)

    def notice(self, id: str, data: Mapping[str, Any], type: str = "order.placed") -> dict[str, Any]:
        """A webhook's body."""
        return {"id": id, "store": self.store, "type": type, "data": data}

    def place(self, number: str, placed_at: str, **more: Any) -> None:
        """Tells of an order, and expects it to be taken."""
        answer = self.send(self.notice(f"notice-{self.store}-{number}", order(number, placed_at, **more)))
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})

    @classmethod
    def of(cls, gateway: Running, email: str, store: str, business_id: str) -> "Shop":
        """A store that this person has connected to a business."""
        answer = gateway.data(CONNECT, {"input": {"businessId": business_id, "store": store}}, as_=email)
        assert answer["connectShop"] == {"store": store, "userErrors": []}
        return cls(gateway, store)


def businesses(gateway: Running, email: str, first: int = 1) -> list[str]:
    """The ids of the first businesses that a person sees."""
    found = gateway.data("query ($n: Int) { businesses(first: $n) { nodes { id } } }", {"n": first}, as_=email)
    return [node["id"] for node in found["businesses"]["nodes"]]


async def _head(database_url: str) -> EventPosition:
    """The end of the log."""
    database = Database(database_url)
    try:
        return await head(database)
    finally:
        await database.close()


@contextmanager
def subscribed(gateway: Running, email: str, query: str, **variables: Any) -> Iterator[ClientConnection]:
    """A socket on which the person's subscription runs: it has begun to listen."""
    log = gateway.app.state.gateway.services.events
    settled = asyncio.run(_head(gateway.database_url))
    while log.position < settled:  # what happened before is not to be heard as happening now
        time.sleep(0.01)
    endpoint = gateway.app.state.gateway.endpoint
    before = endpoint.live
    with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {gateway.token(email)}"}}
        socket.send(json.dumps(hello))
        assert json.loads(socket.recv()) == {"type": "connection_ack"}
        operation = {"query": query, "variables": variables}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": operation}))
        while endpoint.live == before:
            time.sleep(0.01)
        yield socket
    while endpoint.live > before:  # whoever subscribes next counts from here
        time.sleep(0.01)


def next_data(socket: ClientConnection) -> dict[str, Any]:
    """The data of the next event."""
    message = json.loads(socket.recv())
    assert message["type"] == "next", message
    assert "errors" not in message["payload"], message
    found: dict[str, Any] = message["payload"]["data"]
    return found


@dataclass
class RestApi:
    """The shop's REST API: 100 posts by 10 users, unless a test has it fail. ``asked`` has every request in order."""

    url: str = ""
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    failing: tuple[int, Mapping[str, str], bytes] | None = None
    slow: threading.Event | None = None

    def answer(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body for a request."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        self.asked.append((parts.path, query))
        if self.slow is not None:
            self.slow.wait()
        if self.failing is not None:
            return self.failing
        if parts.path == "/posts":
            numbers = range(1, min(100, int(query["_limit"][0])) + 1)
            return 200, {}, json.dumps([self.post(number) for number in numbers]).encode()
        users = [self.user(int(number)) for number in query["id"] if int(number) <= 10]
        return 200, {}, json.dumps(users).encode()

    @staticmethod
    def post(number: int) -> dict[str, Any]:
        """A post; each of ten users wrote ten."""
        return {"id": number, "userId": (number - 1) // 10 + 1, "title": f"Post {number}", "body": "…"}

    @staticmethod
    def user(number: int) -> dict[str, Any]:
        """A user."""
        return {"id": number, "name": f"User {number}", "email": f"user{number}@example.com", "phone": "…"}


@contextmanager
def rest_api() -> Iterator[RestApi]:
    """Serves the API on a free port."""
    api = RestApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = api.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has not waited
                self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield api
        server.shutdown()
