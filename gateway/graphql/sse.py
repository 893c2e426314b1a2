r"""Server-sent events: the distinct connections mode of GraphQL over SSE.

A frame ends in a bare ``\n\n``, which is all that some clients split on. Events that have a cursor carry it as
``id:``: what a client sends as ``after`` to resume.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Receive, Send

from auth.principal import ANONYMOUS, Principal
from gateway.graphql.authentication import Authentication, seconds_left
from gateway.graphql.body import ClientGone
from gateway.graphql.engine import Payload
from gateway.graphql.limits import Limits
from gateway.graphql.masking import RequestError
from gateway.graphql.responses import encode_errors
from schema.errors import ErrorCode

HEARTBEAT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
    ],
}


def next_frame(payload: Payload) -> bytes:
    """The frame of one response."""
    if payload.event_id is None or not payload.event_id.isprintable():
        return b"event: next\ndata: %b\n\n" % payload.body
    return b"id: %b\nevent: next\ndata: %b\n\n" % (payload.event_id.encode(), payload.body)


def errors_frame(refusal: RequestError) -> bytes:
    """The frame that tells of an operation that cannot begin, or not go on."""
    return next_frame(Payload(encode_errors(refusal.errors)))


class EventStream:
    """One HTTP response that carries the events of one operation."""

    def __init__(self, receive: Receive, send: Send, limits: Limits, authentication: Authentication) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._authentication = authentication
        self._rights_changed = asyncio.Event()
        self._written_at = 0.0
        self._pump: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self, payloads: AsyncGenerator[Payload, None], principal: Principal = ANONYMOUS) -> None:
        """Send all ``payloads``; end when they do, the client leaves, ``stop`` is called or the principal's rights end.

        However it ends, ``payloads`` is closed when this returns. Raises ClientGone when the client stopped reading.
        """
        stop_watching = self._authentication.watch(principal, self._rights_changed.set)
        try:
            await self._run(payloads, principal)
        finally:
            stop_watching()

    async def _run(self, payloads: AsyncGenerator[Payload, None], principal: Principal) -> None:
        async with aclosing(payloads):
            await self._send(_START)
            await self._write(HEARTBEAT)
            self._pump = pump = asyncio.create_task(self._write_all(payloads))
            if self._stopped:
                pump.cancel()
            gone = asyncio.create_task(self._client_gone())
            expired = False
            try:
                await self._watch(pump, gone, principal)
                expired = not pump.done() and not gone.done()
            finally:
                pump.cancel()
                gone.cancel()
                await asyncio.gather(pump, gone, return_exceptions=True)
        if expired:
            ended = RequestError.of("The access token has ended. Sign in again.", code=ErrorCode.UNAUTHENTICATED)
            await self._write(errors_frame(ended) + COMPLETE)
        failure = None if pump.cancelled() else pump.exception()
        if failure is None:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            raise failure

    def stop(self) -> None:
        """End the stream without ``complete``, so that the client connects again, to another server."""
        self._stopped = True
        if self._pump is not None:
            self._pump.cancel()

    async def _write_all(self, payloads: AsyncGenerator[Payload, None]) -> None:
        try:
            async for payload in payloads:
                await self._write(next_frame(payload))
        except RequestError as refusal:
            await self._write(errors_frame(refusal))
        await self._write(COMPLETE)

    async def _watch(self, pump: asyncio.Task[None], gone: asyncio.Task[None], principal: Principal) -> None:
        """Keep the stream from being silent until something ends it."""
        changed = asyncio.create_task(self._rights_changed.wait())
        try:
            while not pump.done() and not gone.done():
                now = asyncio.get_running_loop().time()
                beat = self._written_at + self._limits.heartbeat_seconds
                if now >= beat:
                    await self._write(HEARTBEAT)
                    continue
                left = seconds_left(principal)
                if changed.done() or left <= 0:
                    self._rights_changed.clear()
                    changed.cancel()
                    changed = asyncio.create_task(self._rights_changed.wait())
                    renewed = await self._authentication.renew(principal)
                    if renewed is None:
                        return
                    principal = renewed
                    continue
                await asyncio.wait(
                    (pump, gone, changed), timeout=min(beat - now, left), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            changed.cancel()

    async def _write(self, frame: bytes) -> None:
        """Send one frame; raises ClientGone when nobody reads."""
        self._written_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._limits.stalled_seconds):
                await self._send({"type": "http.response.body", "body": frame, "more_body": True})
        except OSError as error:  # a TimeoutError is one too
            raise ClientGone from error

    async def _client_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
