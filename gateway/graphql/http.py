"""GraphQL over HTTP: GET for queries, POST for all, JSON or an event stream in return."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.caller import Caller, Reply
from auth.principal import ANONYMOUS, Principal
from gateway.graphql.body import Body, ClientGone
from gateway.graphql.documents import Operation
from gateway.graphql.engine import Engine
from gateway.graphql.fanout import Follower
from gateway.graphql.headers import address_of, headers_of, media_type
from gateway.graphql.masking import Header, RequestError
from gateway.graphql.multipart import PREFLIGHT_HEADERS, multipart_request
from gateway.graphql.negotiation import EVENTS, GRAPHQL, HTML, JSON, names_event_stream, preferred, takes_gzip
from gateway.graphql.opened import Reader
from gateway.graphql.payload import Payload
from gateway.graphql.request import GraphQLRequest, parse_json, request_from_json, request_from_query_string
from gateway.graphql.responses import encode_errors
from gateway.graphql.sse import EventStream
from schema.errors import ErrorCode

Page: TypeAlias = Callable[[Request], Response]

_CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL)}
# How long an operation may run before somebody looks whether its client is still there.
_GRACE_SECONDS = 0.1
_MIB = 1 << 20


class HTTPTransport:
    """The ASGI application behind the HTTP route."""

    def __init__(self, engine: Engine, page: Page | None) -> None:
        self._engine = engine
        self._limits = engine.limits
        self._page = page
        self._streams: set[EventStream] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not exchange.client_gone:
                raise

    def close(self) -> None:
        """End all event streams, and refuse new ones."""
        self._closing = True
        for stream in tuple(self._streams):
            stream.stop()

    async def _answer(self, exchange: "_Exchange") -> None:
        try:
            if exchange.method == "GET":
                if self._page is not None and exchange.is_navigation():
                    response = self._page(Request(exchange.scope, exchange.receive))
                    await response(exchange.scope, exchange.receive, exchange.send)
                    return
                query_string: bytes = exchange.scope["query_string"]
                if len(query_string) > self._limits.max_body_bytes:
                    raise RequestError.of("The query string is too long.", status=414)
                exchange.require_media()
                await self._run(exchange, request_from_query_string(query_string, self._limits.max_json_depth))
            elif exchange.method == "POST":
                exchange.require_media()
                await self._post(exchange)
            else:
                raise _not_allowed("Send GraphQL with GET or POST.", b"GET, POST")
        except RequestError as refusal:
            await self._refuse(exchange, refusal)

    async def _post(self, exchange: "_Exchange") -> None:
        headers, limits = exchange.headers, self._limits
        media, charset = media_type(headers.get("content-type", ""))
        if media not in {JSON, "multipart/form-data"}:
            raise RequestError.of("Send the request as application/json.", status=415)
        if charset not in {None, "utf-8", "utf8"} or headers.get("content-encoding", "identity") != "identity":
            raise RequestError.of("Send the body in UTF-8, without a content encoding.", status=415)
        if media == JSON:
            body = Body(exchange.receive, headers, max_bytes=limits.max_body_bytes, seconds=limits.body_seconds)
            await self._run(exchange, request_from_json(parse_json(await body.read(), limits.max_json_depth)))
            return
        # A page of another site may post a form with the visitor's cookies, but may not add a header to it.
        if not any(name in headers for name in PREFLIGHT_HEADERS):
            raise RequestError.of("A multipart request needs the header GraphQL-Require-Preflight: 1.")
        upload = Body(
            exchange.receive,
            headers,
            max_bytes=limits.max_body_bytes + limits.max_upload_bytes,
            seconds=limits.body_seconds * (1 + limits.max_upload_bytes / _MIB),
        )
        async with multipart_request(headers, upload.chunks(), limits) as request:
            await self._run(exchange, request)

    async def _run(self, exchange: "_Exchange", request: GraphQLRequest) -> None:
        operation = self._engine.prepare(request, exchange.caller(streamed=True))
        is_subscription = operation.type is OperationType.SUBSCRIPTION
        if operation.type is OperationType.MUTATION and exchange.method == "GET":
            raise _not_allowed("A mutation needs POST.", b"POST")
        if is_subscription and not names_event_stream(exchange.headers.get("accept")):
            raise RequestError.of(
                "A subscription is answered with events: send Accept: text/event-stream, or use a WebSocket.",
                status=406,
            )
        streamed = is_subscription or exchange.media == EVENTS
        caller = exchange.caller(streamed=streamed)
        principal = await self._engine.authenticate(caller)
        if operation.following is not None:
            await self._follow(exchange, operation, principal, caller)
        elif is_subscription:
            await self._stream(exchange, self._engine.subscribe(operation, principal, caller), principal)
        elif streamed:
            await self._stream(exchange, self._one(operation, principal, caller), principal)
        else:
            payload = await self._execute(exchange, operation, principal, caller)
            await exchange.respond(200, payload.body, exchange.cookies())

    async def _execute(
        self, exchange: "_Exchange", operation: Operation, principal: Principal, caller: Caller
    ) -> Payload:
        """Run the operation; a query stops when its client leaves, a mutation that has begun is carried through."""
        if operation.type is OperationType.MUTATION:
            return await self._engine.execute(operation, principal, caller)
        exchange.cancel_when_client_leaves()
        try:
            return await self._engine.execute(operation, principal, caller)
        finally:
            exchange.stop_watching()

    async def _one(self, operation: Operation, principal: Principal, caller: Caller) -> AsyncGenerator[Payload, None]:
        """The only event of a query or a mutation; as in ``_execute``, leaving stops the one and not the other."""
        if operation.type is not OperationType.MUTATION:
            yield await self._engine.execute(operation, principal, caller)
            return
        running = asyncio.create_task(self._engine.execute(operation, principal, caller))
        try:
            yield await asyncio.shield(running)
        finally:
            await asyncio.wait((running,))

    async def _follow(self, exchange: "_Exchange", operation: Operation, principal: Principal, caller: Caller) -> None:
        # An empty one is what a browser sends whose stream broke before anything had an id.
        last_event_id = exchange.headers.get("last-event-id") or None

        def begin(reader: Reader) -> Follower:
            return self._engine.follow(operation, principal, reader, caller, last_event_id=last_event_id)

        with self._opened(exchange) as stream:
            await stream.follow(begin, principal)

    async def _stream(
        self, exchange: "_Exchange", payloads: AsyncGenerator[Payload, None], principal: Principal | None
    ) -> None:
        with self._opened(exchange) as stream:
            await stream.pump(payloads, principal or ANONYMOUS)

    @contextmanager
    def _opened(self, exchange: "_Exchange") -> Iterator[EventStream]:
        if self._closing:
            raise RequestError.of("The server is shutting down; connect again.", status=503, code=ErrorCode.INTERNAL)
        gzip = takes_gzip(exchange.headers.get("accept-encoding"))
        stream = EventStream(exchange.receive, exchange.send, self._limits, self._engine.authentication, gzip=gzip)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    async def _refuse(self, exchange: "_Exchange", refusal: RequestError) -> None:
        if refusal.well_formed and exchange.media == EVENTS:
            await self._stream(exchange, _refused(refusal), None)
            return
        status = 200 if refusal.well_formed and exchange.media == JSON else refusal.status
        await exchange.respond(status, encode_errors(refusal.errors), refusal.headers)


async def _refused(refusal: RequestError) -> AsyncGenerator[Payload, None]:
    yield Payload(encode_errors(refusal.errors))


def _not_allowed(message: str, methods: bytes) -> RequestError:
    return RequestError.of(message, status=405, headers=((b"allow", methods),))


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.headers = headers_of(scope)
        self._reply = Reply()
        self.media = preferred(self.headers.get("accept"))
        self.client_gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    def caller(self, *, streamed: bool) -> Caller:
        """Who sent this, for authentication; a stream has sent its headers before anything runs."""
        method: Literal["GET", "POST"] = "GET" if self.method == "GET" else "POST"
        return Caller(self.headers, address_of(self.scope), method, None if streamed else self._reply)

    def cookies(self) -> list[Header]:
        """What the operation set."""
        return [(b"set-cookie", cookie.encode("latin-1")) for cookie in self._reply.cookies]

    def is_navigation(self) -> bool:
        """Whether a browser asks for a page to show; the page itself reads a ``query`` in its address."""
        return preferred(self.headers.get("accept"), (JSON, GRAPHQL, EVENTS, HTML)) == HTML

    def require_media(self) -> None:
        """Raise RequestError (406) when the client takes none of our media types."""
        if self.media is None:
            raise RequestError.of(f"This answers with {GRAPHQL}, {JSON} or text/event-stream.", status=406)

    async def respond(self, status: int, body: bytes, headers: Sequence[Header] = ()) -> None:
        """Send the whole answer as JSON."""
        media = GRAPHQL if self.media == GRAPHQL else JSON
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", _CONTENT_TYPES[media]),
                    (b"content-length", b"%d" % len(body)),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                    *headers,
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": body})

    def cancel_when_client_leaves(self) -> None:
        """Cancel the current task when the client leaves. Most operations are done before this costs anything."""
        running = asyncio.current_task()
        if running is not None:
            self._timer = asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._start_watching, running)

    def stop_watching(self) -> None:
        """End what ``cancel_when_client_leaves`` began."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _start_watching(self, running: asyncio.Task[object]) -> None:
        self._watch = asyncio.create_task(self._cancel_when_gone(running))

    async def _cancel_when_gone(self, running: asyncio.Task[object]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.client_gone = True
        running.cancel()
