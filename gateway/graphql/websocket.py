"""GraphQL over WebSocket: the graphql-transport-ws subprotocol."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from urllib.parse import urlsplit

from graphql import OperationType
from starlette.types import Message, Receive, Scope, Send

from auth.caller import Caller
from auth.errors import AccessError
from auth.principal import Principal
from gateway.graphql.authentication import seconds_left
from gateway.graphql.body import ClientGone
from gateway.graphql.documents import Operation
from gateway.graphql.engine import Engine
from gateway.graphql.headers import address_of, headers_of
from gateway.graphql.masking import Masking, RequestError
from gateway.graphql.messages import (
    CONNECTION_ACK,
    SUBPROTOCOL,
    Complete,
    ConnectionInit,
    InvalidMessage,
    Ping,
    Pong,
    Subscribe,
    complete_message,
    error_message,
    next_message,
    pong_message,
    read_message,
)
from schema.errors import ErrorCode

_GOING_AWAY = 1001
_TOO_BIG = 1009
_INTERNAL_ERROR = 1011
_BAD_MESSAGE = 4400
_UNAUTHORIZED = 4401
_FORBIDDEN = 4403
_SUBPROTOCOL_NOT_ACCEPTABLE = 4406
_INIT_TIMEOUT = 4408
_SUBSCRIBER_EXISTS = 4409
_TOO_MANY_INITS = 4429

_LONGEST_TIMER = 30 * 86_400.0
"""Seconds; what ends later than that is looked at when its rights change."""


def _nothing() -> None:
    pass


class WebSocketTransport:
    """The ASGI application behind the WebSocket route."""

    def __init__(self, engine: Engine, allowed_origins: frozenset[str]) -> None:
        self._engine = engine
        self._allowed_origins = allowed_origins
        self._sockets: set[_Socket] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end."""
        headers = headers_of(scope)
        await receive()
        if not _same_origin(headers) and headers["origin"] not in self._allowed_origins:
            # Before the handshake this is an HTTP 403. Browsers let any page open a socket, with the visitor's cookies.
            await send({"type": "websocket.close", "code": _FORBIDDEN, "reason": "Forbidden"})
            return
        spoken = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if spoken else None})
        socket = _Socket(self._engine, headers, address_of(scope), receive, send)
        if not spoken:
            await socket.close(_SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
        elif self._closing:
            await socket.close(_GOING_AWAY, "Server is shutting down")
        else:
            self._sockets.add(socket)
            try:
                await socket.serve()
            finally:
                self._sockets.discard(socket)

    async def close(self) -> None:
        """Tell all clients to connect elsewhere, and refuse new ones."""
        self._closing = True
        await asyncio.gather(*(socket.close(_GOING_AWAY, "Server is shutting down") for socket in self._sockets))


def _same_origin(headers: dict[str, str]) -> bool:
    """Whether the page that opened the socket is of this host; what is no browser names no page."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


class _Close(Exception):
    """The client broke the protocol; the socket is closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Socket:
    """One client's socket: a reader, and one task for each operation, so that none holds up another."""

    def __init__(self, engine: Engine, headers: dict[str, str], address: str, receive: Receive, send: Send) -> None:
        self._engine = engine
        self._caller = Caller(headers, address, "SOCKET")
        self._receive = receive
        self._send = send
        self._closed = False
        self._initialised = False
        self._principal: Principal | None = None
        self._stop_watching: Callable[[], None] = _nothing
        self._init_deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._recheck: asyncio.Task[None] | None = None
        self._stale = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        # Also those that the client has completed and that still clean up, and mutations that go on without it.
        self._tasks: set[asyncio.Task[None]] = set()
        self._queries: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read messages until either side closes, then end what still runs."""
        self._init_deadline = asyncio.get_running_loop().time() + self._engine.limits.ws_init_seconds
        try:
            while (text := await self._next_text()) is not None:
                await self._handle(text)
        except _Close as close:
            await self.close(close.code, close.reason)
        except ClientGone:
            return
        finally:
            self._stop_watching()
            if self._timer is not None:
                self._timer.cancel()
            if self._recheck is not None:
                self._recheck.cancel()
            await self._end_operations()

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; nothing is sent on it afterwards."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _next_text(self) -> str | None:
        """The next message, or ``None`` when the socket is closed."""
        try:
            async with asyncio.timeout_at(self._init_deadline):
                message: Message = await self._receive()
        except TimeoutError:
            raise _Close(_INIT_TIMEOUT, "Connection initialisation timeout") from None
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        if text is None:
            raise _Close(_BAD_MESSAGE, "Messages must be text")
        if len(text) > self._engine.limits.max_body_bytes:
            raise _Close(_TOO_BIG, "Message too big")
        return text

    async def _handle(self, text: str) -> None:
        try:
            message = read_message(text, self._engine.limits.max_json_depth)
        except InvalidMessage as error:
            raise _Close(_BAD_MESSAGE, str(error)) from None
        match message:
            case ConnectionInit():
                await self._initialise(message)
            case Ping():
                await self._send_text(pong_message(message.payload))
            case Pong():
                pass
            case Subscribe():
                await self._subscribe(message)
            case Complete():
                self._complete(message.id)

    async def _initialise(self, message: ConnectionInit) -> None:
        if self._initialised:
            raise _Close(_TOO_MANY_INITS, "Too many initialisation requests")
        self._initialised = True
        given = {name.lower(): value for name, value in message.payload.items() if isinstance(value, str)}
        self._caller = replace(self._caller, headers={**self._caller.headers, **given})
        try:
            self._principal = await self._engine.authentication.authenticate(self._caller)
        except AccessError:
            raise _Close(_FORBIDDEN, "Forbidden") from None
        except Exception as error:
            Masking().internal(error)
            raise _Close(_INTERNAL_ERROR, "Internal error") from error
        self._init_deadline = None
        self._stop_watching = self._engine.authentication.watch(self._principal, self._look_again)
        self._look_again_when_it_ends(self._principal)
        await self._send_text(CONNECTION_ACK)

    def _look_again_when_it_ends(self, principal: Principal) -> None:
        left = seconds_left(principal)
        if left < _LONGEST_TIMER:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._look_again)

    def _look_again(self) -> None:
        """What proved who this is has ended, or its rights have changed."""
        if self._recheck is None or self._recheck.done():
            self._recheck = asyncio.create_task(self._renew())
        else:
            self._stale = True

    async def _renew(self) -> None:
        """Goes on with the rights of this moment, or closes the socket: with 4403, upon which clients come back."""
        while self._principal is not None:
            self._stale = False
            renewed = await self._engine.authentication.renew(self._principal)
            if renewed is None:
                await self.close(_FORBIDDEN, "Forbidden")
                return
            self._principal = renewed
            if not self._stale:
                break
        if self._timer is not None:
            self._timer.cancel()
        if self._principal is not None:
            self._look_again_when_it_ends(self._principal)

    async def _subscribe(self, message: Subscribe) -> None:
        if self._principal is None:
            raise _Close(_UNAUTHORIZED, "Unauthorized")
        if message.id in self._operations:
            raise _Close(_SUBSCRIBER_EXISTS, f"Subscriber for {message.id[:20]} already exists")
        most = self._engine.limits.ws_max_operations
        try:
            if len(self._tasks) >= most:
                raise RequestError.of(
                    f"This socket runs {most} operations already; complete one of them first.",
                    code=ErrorCode.RATE_LIMITED,
                )
            operation = self._engine.prepare(message.request, self._caller)
        except RequestError as refusal:
            await self._send_text(error_message(message.id, refusal.errors))
            return
        task = asyncio.create_task(self._operate(message.id, operation, self._principal))
        self._operations[message.id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if operation.type is not OperationType.MUTATION:
            self._queries.add(task)
            task.add_done_callback(self._queries.discard)

    def _complete(self, id: str) -> None:
        """Forget the operation, so that its id is free; a mutation that has begun is carried through, unheard."""
        task = self._operations.pop(id, None)
        if task is not None and task in self._queries:
            task.cancel()

    async def _operate(self, id: str, operation: Operation, principal: Principal) -> None:
        try:
            if operation.type is OperationType.SUBSCRIPTION:
                async with aclosing(self._engine.subscribe(operation, principal, self._caller)) as payloads:
                    async for payload in payloads:
                        await self._send_of(id, next_message(id, payload))
            else:
                await self._send_of(
                    id, next_message(id, await self._engine.execute(operation, principal, self._caller))
                )
            last = complete_message(id)
        except RequestError as refusal:
            last = error_message(id, refusal.errors)
        except ClientGone:
            return  # the reader notices too
        finally:
            # Free the id before the client learns that it is.
            heard = self._operations.get(id) is asyncio.current_task()
            if heard:
                del self._operations[id]
        if heard:
            await self._send_text(last)

    async def _send_of(self, id: str, text: str) -> None:
        """Send for the current task, unless the client has completed its operation."""
        if self._operations.get(id) is asyncio.current_task():
            await self._send_text(text)

    async def _send_text(self, text: str) -> None:
        """Send a text frame; raises ClientGone when nobody can get it."""
        if self._closed:
            raise ClientGone
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError) as error:
            # The first when the connection is lost, the second when the server itself has begun to close it.
            self._closed = True
            raise ClientGone from error

    async def _end_operations(self) -> None:
        self._operations.clear()
        for task in self._queries:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
