"""Server-sent events: the distinct connections mode of GraphQL over SSE.

Events that have a cursor carry it as ``id:``, which a browser sends back as ``Last-Event-ID`` when it comes again. So
does a sign of life of what follows the log: who has heard of nothing yet, or not for long, resumes without a gap as
well, and from where it has come to.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.types import Receive, Send

from auth.principal import ANONYMOUS, Principal
from gateway.graphql.authentication import Authentication, seconds_left
from gateway.graphql.body import ClientGone
from gateway.graphql.fanout import Follower
from gateway.graphql.limits import Limits
from gateway.graphql.masking import Header, RequestError
from gateway.graphql.opened import Reader
from gateway.graphql.payload import Batch, Payload, event_frame
from gateway.graphql.responses import encode_errors
from schema.errors import ErrorCode

HEARTBEAT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-encoding"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
_GZIP: Header = (b"content-encoding", b"gzip")
_ENDED = "The access token has ended. Sign in again."


def errors_frame(refusal: RequestError) -> bytes:
    """The frame that tells of an operation that cannot begin, or not go on."""
    return event_frame(Payload(encode_errors(refusal.errors)))


class EventStream:
    """One HTTP response that carries the events of one operation. It is the ``Reader`` of a follower.

    With ``gzip`` each write is compressed and flushed, in a window of 4 KiB: some 30 KiB of memory for a stream that
    sends a fifth of the bytes.
    """

    def __init__(
        self, receive: Receive, send: Send, limits: Limits, authentication: Authentication, *, gzip: bool = False
    ) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._authentication = authentication
        self._compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + 12, 4) if gzip else None
        self._waiting: list[bytes] = []
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()
        self._wake = asyncio.Event()
        self._done = False
        self._stopped = False
        self._follower: Follower | None = None
        self._rights_changed = False

    def take(self, batch: Batch) -> bool:
        """Has a batch sent; says whether there is room for more."""
        room = self._size <= self._limits.max_waiting_bytes
        self._put(batch.stream())
        return room

    async def room(self) -> None:
        """Returns once what waits has been sent."""
        await self._room.wait()

    def end(self, refusal: RequestError) -> None:
        """Tells the client that nothing more comes, and why."""
        self._put(errors_frame(refusal))
        self._complete()

    def stop(self) -> None:
        """End the stream without ``complete``, so that the client connects again, to another server."""
        self._stopped = True
        self._wake.set()

    async def follow(self, begin: Callable[[Reader], Follower], principal: Principal) -> None:
        """Send what a follower gets, until the client leaves, ``stop`` is called or the principal's rights end.

        Raises RequestError when it cannot begin, ClientGone when the client stopped reading.
        """
        self._follower = begin(self)
        try:
            await self._watched(principal)
        finally:
            self._follower.suspend()

    async def pump(self, payloads: AsyncGenerator[Payload, None], principal: Principal = ANONYMOUS) -> None:
        """Send all ``payloads``; end when they do, or as in ``follow``.

        However it ends, ``payloads`` is closed when this returns. Raises ClientGone when the client stopped reading.
        """
        async with aclosing(payloads):
            pump = asyncio.create_task(self._take_all(payloads), name="event-stream")
            try:
                await self._watched(principal)
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
        if not pump.cancelled() and (failure := pump.exception()) is not None:
            raise failure

    async def _take_all(self, payloads: AsyncGenerator[Payload, None]) -> None:
        try:
            async for payload in payloads:
                await self.room()
                self.take(Batch((payload,)))
        except RequestError as refusal:
            self.end(refusal)
        except BaseException:
            self.stop()
            raise
        self._complete()

    def _heartbeat(self) -> bytes:
        """A sign of life. An ``id:`` without data moves what a browser remembers, and is no event to anybody."""
        # While something waits to be written, where the follower has come to is ahead of the client.
        cursor = None if self._follower is None or self._waiting else self._follower.cursor
        return HEARTBEAT if cursor is None else b":\nid: %b\n\n" % cursor.encode()

    def _put(self, frame: bytes) -> None:
        if not self._done:
            self._waiting.append(frame)
            self._size += len(frame)
            self._room.clear()
            self._wake.set()

    def _complete(self) -> None:
        self._put(COMPLETE)
        self._done = True

    def _look_again(self) -> None:
        """Rights have changed: until it is known how, nothing is told."""
        self._rights_changed = True
        if self._follower is not None:
            self._follower.suspend()
        self._wake.set()

    async def _watched(self, principal: Principal) -> None:
        stop_watching = self._authentication.watch(principal, self._look_again)
        gone = asyncio.create_task(self._client_gone(), name="event-stream-client")
        gone.add_done_callback(lambda _: self._wake.set())
        try:
            headers = (*_HEADERS, _GZIP) if self._compressor is not None else _HEADERS
            await self._send({"type": "http.response.start", "status": 200, "headers": list(headers)})
            await self._write(self._heartbeat())
            await self._write_all(principal, gone)
            if not gone.done():
                rest = b"" if self._compressor is None else self._compressor.flush()
                await self._send({"type": "http.response.body", "body": rest, "more_body": False})
        finally:
            stop_watching()
            gone.cancel()
            self._room.set()

    async def _write_all(self, principal: Principal, gone: asyncio.Task[None]) -> None:
        """Write what comes, and a heartbeat where nothing does, until something ends the stream."""
        loop = asyncio.get_running_loop()
        written_at = loop.time()
        while not gone.done():
            self._wake.clear()
            left = seconds_left(principal)
            if not self._done and (self._rights_changed or left <= 0):
                self._rights_changed = False
                renewed = await self._renewed(principal)
                if renewed is None:
                    self.end(RequestError.of(_ENDED, code=ErrorCode.UNAUTHENTICATED))
                else:
                    principal = renewed
                continue
            if self._waiting:
                frames, self._waiting, self._size = b"".join(self._waiting), [], 0
                await self._write(frames)
                written_at = loop.time()
                if not self._waiting:
                    self._room.set()
            elif self._done or self._stopped:
                return
            elif (silent_for := loop.time() - written_at) >= self._limits.heartbeat_seconds:
                await self._write(self._heartbeat())
                written_at = loop.time()
            else:
                await self._woken(min(self._limits.heartbeat_seconds - silent_for, left))

    async def _woken(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _renewed(self, principal: Principal) -> Principal | None:
        """The rights of this moment, with which a follower goes on; ``None`` when there are none."""
        if self._follower is not None:
            self._follower.suspend()
        renewed = await self._authentication.renew(principal)
        if renewed is not None and self._follower is not None and not self._rights_changed and not self._done:
            try:
                self._follower.start(renewed)
            except RequestError as refusal:
                self.end(refusal)
        return renewed

    async def _write(self, frames: bytes) -> None:
        """Send some frames; raises ClientGone when nobody reads."""
        if self._compressor is not None:
            frames = self._compressor.compress(frames) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        try:
            async with asyncio.timeout(self._limits.stalled_seconds):
                await self._send({"type": "http.response.body", "body": frames, "more_body": True})
        except OSError as error:  # a TimeoutError is one too
            raise ClientGone from error

    async def _client_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
