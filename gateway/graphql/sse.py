r"""Server-sent events: the distinct connections mode of GraphQL over SSE.

A frame ends in a bare ``\n\n``, which is all that some clients split on. Events that have a cursor carry it as
``id:``: what a client sends as ``after`` to resume.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from starlette.types import Receive, Send

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

    def __init__(self, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._written_at = 0.0
        self._pump: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self, payloads: AsyncGenerator[Payload, None], expires_at: datetime | None = None) -> None:
        """Send all ``payloads``, and end when they do, the client leaves, ``stop`` is called or ``expires_at`` comes.

        However it ends, ``payloads`` is closed when this returns. Raises ClientGone when the client stopped reading.
        """
        async with aclosing(payloads):
            await self._send(_START)
            await self._write(HEARTBEAT)
            self._pump = pump = asyncio.create_task(self._write_all(payloads))
            if self._stopped:
                pump.cancel()
            gone = asyncio.create_task(self._client_gone())
            expired = False
            try:
                await self._watch(pump, gone, expires_at)
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

    async def _watch(self, pump: asyncio.Task[None], gone: asyncio.Task[None], expires_at: datetime | None) -> None:
        """Keep the stream from being silent until something ends it."""
        now = asyncio.get_running_loop().time
        expires = now() + (expires_at - datetime.now(UTC)).total_seconds() if expires_at else float("inf")
        while not pump.done() and not gone.done() and now() < expires:
            beat = self._written_at + self._limits.heartbeat_seconds
            if now() >= beat:
                await self._write(HEARTBEAT)
                continue
            await asyncio.wait((pump, gone), timeout=min(beat, expires) - now(), return_when=asyncio.FIRST_COMPLETED)

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
