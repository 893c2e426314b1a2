"""One client's socket: what it may say and when, and what becomes of it."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from graphql import OperationType
from starlette.types import Message, Receive

from auth.caller import Caller
from auth.errors import AccessError
from auth.principal import Principal
from gateway.graphql.authentication import seconds_left
from gateway.graphql.documents import Operation
from gateway.graphql.engine import Engine
from gateway.graphql.fanout import Follower
from gateway.graphql.masking import Masking, RequestError
from gateway.graphql.messages import (
    CONNECTION_ACK,
    Complete,
    ConnectionInit,
    InvalidMessage,
    Ping,
    Pong,
    Subscribe,
    complete_message,
    error_message,
    next_head,
    next_message,
    pong_message,
    read_message,
)
from gateway.graphql.payload import Batch
from gateway.graphql.wire import Wire
from schema.errors import ErrorCode

GOING_AWAY = 1001
_POLICY_VIOLATION = 1008
_TOO_BIG = 1009
_INTERNAL_ERROR = 1011
_TRY_AGAIN_LATER = 1013
_BAD_MESSAGE = 4400
_UNAUTHORIZED = 4401
FORBIDDEN = 4403
SUBPROTOCOL_NOT_ACCEPTABLE = 4406
_INIT_TIMEOUT = 4408
_SUBSCRIBER_EXISTS = 4409
_TOO_MANY_INITS = 4429

_CLOSING_SECONDS = 5.0
"""How long a client has to take what was written before its socket was closed."""
_LONGEST_TIMER = 30 * 86_400.0
"""Seconds; what ends later than that is looked at when its rights change."""


def _nothing() -> None:
    pass


class _Close(Exception):
    """The client broke the protocol; the socket is closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _SocketReader:
    """What one operation's followed events are written with."""

    __slots__ = ("_head", "_id", "_socket")

    def __init__(self, socket: "ClientSocket", id: str) -> None:
        self._socket = socket
        self._id = id
        self._head = next_head(id)

    def take(self, batch: Batch) -> bool:
        return self._socket.wire.write(batch, self._head) or self._socket.too_slow()

    async def room(self) -> None:
        await self._socket.wire.room()

    def end(self, refusal: RequestError) -> None:
        self._socket.ended(self._id, refusal)


class ClientSocket:
    """One client's socket: a reader, and one task for each operation that has something to do of its own."""

    __slots__ = (
        "_allowance",
        "_caller",
        "_closed",
        "_engine",
        "_filled_at",
        "_init_deadline",
        "_initialised",
        "_loop",
        "_operations",
        "_principal",
        "_receive",
        "_recheck",
        "_stale",
        "_stop_watching",
        "_tasks",
        "_timer",
        "wire",
    )

    def __init__(self, engine: Engine, headers: dict[str, str], address: str, receive: Receive, wire: Wire) -> None:
        self.wire = wire
        self._engine = engine
        self._caller = Caller(headers, address, "SOCKET")
        self._receive = receive
        self._closed = False
        self._initialised = False
        self._principal: Principal | None = None
        self._stop_watching: Callable[[], None] = _nothing
        self._loop = asyncio.get_running_loop()
        self._init_deadline: float | None = self._loop.time() + engine.limits.ws_init_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._recheck: asyncio.Task[None] | None = None
        self._stale = False
        self._allowance, self._filled_at = float(engine.limits.ws_burst), self._loop.time()
        self._operations: dict[str, asyncio.Task[None] | Follower] = {}
        # Also those that the client has completed and that still clean up, and mutations that go on without it: whether
        # the client's leaving ends them.
        self._tasks: dict[asyncio.Task[None], bool] = {}

    async def serve(self) -> None:
        """Read messages until either side closes, then end what still runs."""
        try:
            # What came before the client learned that its socket is closed is not heeded any more.
            while (text := await self._next_text()) is not None and not self._closed:
                await self._handle(text)
        except _Close as close:
            self.close(close.code, close.reason)
        finally:
            self._closed = True
            self._stop_watching()
            if self._timer is not None:
                self._timer.cancel()
            if self._recheck is not None:
                self._recheck.cancel()
            await self._end_operations()

    def close(self, code: int, reason: str) -> None:
        """Close the socket; nothing is sent on it afterwards."""
        if not self._closed:
            self._closed = True
            self._suspend()
            self.wire.hang_up(code, reason, seconds=_CLOSING_SECONDS)

    def too_slow(self) -> bool:
        """Closes the socket because its client does not take what happens; ``False``, for there is no room."""
        self._loop.call_soon(self._let_go)
        return False

    def ended(self, id: str, refusal: RequestError) -> None:
        """Tells the client that a subscription does not go on, and where it may resume."""
        if self._operations.pop(id, None) is not None:
            self._send(error_message(id, refusal.errors))

    def _let_go(self) -> None:
        for follower in self._followers():
            follower.fall_behind()
        self.close(_TRY_AGAIN_LATER, "Too slow: subscribe again with `after`")

    def _followers(self) -> list[Follower]:
        return [each for each in self._operations.values() if isinstance(each, Follower)]

    def _suspend(self) -> None:
        for follower in self._followers():
            follower.suspend()

    async def _next_text(self) -> str | None:
        """The next message, or ``None`` when the socket is closed."""
        if self._init_deadline is None:
            message: Message = await self._receive()
        else:
            try:
                async with asyncio.timeout_at(self._init_deadline):
                    message = await self._receive()
            except TimeoutError:
                raise _Close(_INIT_TIMEOUT, "Connection initialisation timeout") from None
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        if text is None:
            raise _Close(_BAD_MESSAGE, "Messages must be text")
        if len(text) > self._engine.limits.max_body_bytes:
            raise _Close(_TOO_BIG, "Message too big")
        self._count()
        return text

    def _count(self) -> None:
        """One more message; raises ``_Close`` when there are too many."""
        limits, now = self._engine.limits, self._loop.time()
        earned = (now - self._filled_at) * limits.ws_messages_per_second
        self._allowance = min(self._allowance + earned, float(limits.ws_burst)) - 1
        self._filled_at = now
        if self._allowance < 0:
            raise _Close(_POLICY_VIOLATION, "Too many messages")

    async def _handle(self, text: str) -> None:
        try:
            message = read_message(text, self._engine.limits.max_json_depth)
        except InvalidMessage as error:
            raise _Close(_BAD_MESSAGE, str(error)) from None
        match message:
            case ConnectionInit():
                await self._initialise(message)
            case Ping():
                await self.wire.room()
                self._send(pong_message(message.payload))
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
            raise _Close(FORBIDDEN, "Forbidden") from None
        except Exception as error:
            Masking().internal(error)
            raise _Close(_INTERNAL_ERROR, "Internal error") from error
        self._init_deadline = None
        self._stop_watching = self._engine.authentication.watch(self._principal, self._look_again)
        self._look_again_when_it_ends(self._principal)
        self._send(CONNECTION_ACK)

    def _look_again_when_it_ends(self, principal: Principal) -> None:
        left = seconds_left(principal)
        if left < _LONGEST_TIMER:
            self._timer = self._loop.call_later(max(0.0, left), self._look_again)

    def _look_again(self) -> None:
        """What proved who this is has ended, or its rights have changed: until it is known which, nothing is told."""
        self._suspend()
        if self._recheck is None or self._recheck.done():
            self._recheck = asyncio.create_task(self._renew())
        else:
            self._stale = True

    async def _renew(self) -> None:
        """Goes on with the rights of this moment, or closes the socket: with 4403, upon which clients come back."""
        while self._principal is not None:
            self._stale = False
            try:
                renewed = await self._engine.authentication.renew(self._principal)
            except Exception as error:  # noqa: BLE001 -- masked and logged; the client comes back, and misses nothing
                Masking().internal(error)
                self.close(_INTERNAL_ERROR, "Internal error")
                return
            if renewed is None:
                self.close(FORBIDDEN, "Forbidden")
                return
            self._principal = renewed
            if not self._stale:
                break
        if self._timer is not None:
            self._timer.cancel()
        if self._principal is not None and not self._closed:
            self._look_again_when_it_ends(self._principal)
            self._resume(self._principal)

    def _resume(self, principal: Principal) -> None:
        for follower in self._followers():
            try:
                follower.start(principal)
            except RequestError as refusal:
                follower.end(refusal)

    async def _subscribe(self, message: Subscribe) -> None:
        await self.wire.room()  # who does not read the answers is not asked for more
        while self._recheck is not None and not self._recheck.done():
            await asyncio.wait((self._recheck,))
        if self._closed:
            return
        if self._principal is None:
            raise _Close(_UNAUTHORIZED, "Unauthorized")
        if message.id in self._operations:
            raise _Close(_SUBSCRIBER_EXISTS, f"Subscriber for {message.id[:20]} already exists")
        try:
            self._require_room()
            operation = self._engine.prepare(message.request, self._caller)
            if operation.following is not None:
                reader = _SocketReader(self, message.id)
                follower = self._engine.follow(operation, self._principal, reader, self._caller)
                self._operations[message.id] = follower
                return
        except RequestError as refusal:
            self._send(error_message(message.id, refusal.errors))
            return
        task = asyncio.create_task(self._operate(message.id, operation, self._principal))
        self._operations[message.id] = task
        self._tasks[task] = operation.type is not OperationType.MUTATION
        task.add_done_callback(self._tasks.pop)

    def _require_room(self) -> None:
        most = self._engine.limits.ws_max_operations
        if len(self._tasks) + len(self._followers()) >= most:
            raise RequestError.of(
                f"This socket runs {most} operations already; complete one of them first.",
                code=ErrorCode.RATE_LIMITED,
            )

    def _complete(self, id: str) -> None:
        """Forget the operation, so that its id is free; a mutation that has begun is carried through, unheard."""
        found = self._operations.pop(id, None)
        if isinstance(found, Follower):
            found.suspend()
        elif found is not None and self._tasks.get(found):
            found.cancel()

    async def _operate(self, id: str, operation: Operation, principal: Principal) -> None:
        try:
            if operation.type is OperationType.SUBSCRIPTION:
                async with aclosing(self._engine.subscribe(operation, principal, self._caller)) as payloads:
                    async for payload in payloads:
                        await self._send_of(id, next_message(id, payload))
            else:
                payload = await self._engine.execute(operation, principal, self._caller)
                await self._send_of(id, next_message(id, payload))
            last = complete_message(id)
        except RequestError as refusal:
            last = error_message(id, refusal.errors)
        finally:
            # Free the id before the client learns that it is.
            heard = self._operations.get(id) is asyncio.current_task()
            if heard:
                del self._operations[id]
        if heard:
            self._send(last)

    async def _send_of(self, id: str, text: str) -> None:
        """Send for the current task, unless the client has completed its operation."""
        await self.wire.room()
        if self._operations.get(id) is asyncio.current_task():
            self._send(text)

    def _send(self, text: str) -> None:
        if not self._closed:
            self.wire.write_text(text)

    async def _end_operations(self) -> None:
        self._suspend()
        self._operations.clear()
        for task, ends in tuple(self._tasks.items()):
            if ends:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
