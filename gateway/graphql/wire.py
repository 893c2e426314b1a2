"""Writing to WebSockets: straight to the connection where the server lets us, through ASGI where it does not.

ASGI sends one message at a time, each through a coroutine of its own: most of what it costs to tell many subscribers of
one event. ``SocketProtocol`` is uvicorn's protocol with three additions: the application may write ready frames, a
client that breaks the protocol learns why before its connection is closed, and none has anything kept that it does not
read, or a connection that nobody looks after.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from gateway.graphql.payload import Batch, text_frame

EXTENSION = "tributary.wire"
_ABORT_SECONDS = 1.0
_LISTEN_ON_SECONDS = 5.0
_INVALID_TEXT = 1007


class Wire(Protocol):
    """One socket that has been accepted. What is written is sent in order; nothing is written after ``hang_up``."""

    def write(self, batch: Batch, head: bytes) -> bool:
        """Sends ``next`` messages that begin with ``head``; says whether what waits is little enough for more."""
        ...

    def write_text(self, text: str) -> None:
        """Sends one message."""
        ...

    async def room(self) -> None:
        """Returns once little waits to be sent, or the socket is closed."""
        ...

    def hang_up(self, code: int, reason: str, *, seconds: float) -> None:
        """Closes the socket, at the latest after ``seconds`` in which what waits can still be sent."""
        ...

    async def end(self) -> None:
        """Lets go of what it needs once the socket is closed, or is about to be."""
        ...


MakeWire = Callable[[int], Wire]
"""Makes the wire of a socket, on which at most so many bytes wait."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """A server whose ASGI scope of sockets has a ``MakeWire`` among its extensions."""

    def handle_connect(self, event: Request) -> None:
        """Begins the application."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self._wire

    def data_received(self, data: bytes) -> None:
        """Reads; what comes after the client has broken the protocol is thrown away."""
        if self.conn.parser_exc is None:
            super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # More headers, or longer ones, than that of HTTP refuses. Nobody else is told of it: the connection would
            # stay for ever, and break the stopping of the server.
            self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_ping(self) -> None:
        """Answers, unless the client leaves answers unread: one pong may stand for several pings (RFC 6455, 5.5.3)."""
        pongs = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pongs)

    def send_receive_event_to_app(self) -> None:
        """Hands on a message; refuses text that is none."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(_INVALID_TEXT, "Messages must be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Frame) -> None:
        """Has done with a client that closes; what it leaves unread is not waited for."""
        ours = self.close_sent
        super().handle_close(event)
        if not ours:
            self.close_sent = True  # as the answer: a second one, when the server stops, would break its stopping
            self.stop_keepalive()
            if self.transport.get_write_buffer_size():
                self.loop.call_later(_ABORT_SECONDS, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """Tells the client what it did, and reads on until it has learned of it.

        A connection that is closed while something is unread is reset, and the reset overtakes the reason.
        """
        sent = self.conn.close_sent
        if self.close_sent or sent is None:
            self.transport.close()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_LISTEN_ON_SECONDS, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def keepalive_timeout(self) -> None:
        """Nobody answers: what waits to be sent is not waited for."""
        closing = self.close_sent or self.transport.is_closing()  # then it has its own time for that
        super().keepalive_timeout()
        if not closing:
            self.loop.call_later(_ABORT_SECONDS, self.transport.abort)

    def _wire(self, most_waiting: int) -> Wire:
        # The handshake is over. On a socket that stays for hours its headers would be a tenth of what that costs; the
        # parser holds the request, too.
        self.request.headers.clear()
        self.response.headers.clear()
        del self.request, self.response
        return _FrameWire(self, most_waiting)


class _FrameWire:
    __slots__ = ("_most_waiting", "_protocol")

    def __init__(self, protocol: SocketProtocol, most_waiting: int) -> None:
        self._protocol = protocol
        self._most_waiting = most_waiting

    def write(self, batch: Batch, head: bytes) -> bool:
        protocol = self._protocol
        transport = protocol.transport
        if protocol.close_sent or transport.is_closing():
            return True
        # What the connection has not taken since the last time; what is being written now may take its turn.
        room = transport.get_write_buffer_size() <= self._most_waiting
        transport.write(batch.frames(head))
        return room

    def write_text(self, text: str) -> None:
        protocol = self._protocol
        if not protocol.close_sent and not protocol.transport.is_closing():
            protocol.transport.write(text_frame(text.encode()))

    async def room(self) -> None:
        while not self._protocol.writable.is_set():  # whoever is woken first may take all the room
            await self._protocol.writable.wait()

    def hang_up(self, code: int, reason: str, *, seconds: float) -> None:
        protocol = self._protocol
        transport = protocol.transport
        if protocol.close_sent or transport.is_closing():
            return
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        protocol.conn.send_close(code, reason)
        transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        if protocol.read_paused:
            protocol.read_paused = False
            transport.resume_reading()
        protocol.close_timer = protocol.loop.call_later(seconds, transport.abort)

    async def end(self) -> None:
        pass  # the server has it all


class _AsgiWire:
    """One task writes what is put into its queue."""

    def __init__(self, send: Send, most_waiting: int) -> None:
        self._send = send
        self._most_waiting = most_waiting
        self._waiting = 0
        self._hung_up = False
        self._queue: asyncio.Queue[str | tuple[int, str]] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._task = asyncio.create_task(self._run(), name="socket-writer")

    def write(self, batch: Batch, head: bytes) -> bool:
        room = self._waiting <= self._most_waiting
        for payload in batch.payloads:
            self.write_text(f"{head.decode()}{payload.body.decode()}}}")
        return room

    def write_text(self, text: str) -> None:
        if not self._task.done():
            self._waiting += len(text)
            self._queue.put_nowait(text)
            self._room.clear()

    async def room(self) -> None:
        while not self._room.is_set():
            await self._room.wait()

    def hang_up(self, code: int, reason: str, *, seconds: float) -> None:
        self._hung_up = True
        self._queue.put_nowait((code, reason))
        asyncio.get_running_loop().call_later(seconds, self._task.cancel)

    async def _run(self) -> None:
        try:
            while isinstance(message := await self._queue.get(), str):
                await self._send({"type": "websocket.send", "text": message})
                self._waiting -= len(message)
                if self._queue.empty():
                    self._room.set()
            code, reason = message
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            return  # the first when the connection is lost, the second when the server has begun to close it
        finally:
            self._room.set()

    async def end(self) -> None:
        if not self._hung_up:
            self._task.cancel()
        await asyncio.wait((self._task,))


def wire_of(scope: Scope, send: Send, most_waiting: int) -> Wire:
    """The wire of an accepted socket."""
    make: MakeWire | None = scope.get("extensions", {}).get(EXTENSION)
    return _AsgiWire(send, most_waiting) if make is None else make(most_waiting)
