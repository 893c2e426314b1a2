"""Responses on their way out: encoded once, however many they go to and by whichever transport."""

from collections.abc import Sequence
from dataclasses import dataclass

_TEXT = 0x81
_SHORT, _MIDDLE = 126, 1 << 16


@dataclass(frozen=True, slots=True)
class Payload:
    """One encoded GraphQL response, and the cursor of the event that it tells of."""

    body: bytes
    event_id: str | None = None


class Batch:
    """Responses of one subscription that go out together."""

    __slots__ = ("_frames", "_stream", "payloads", "size")

    def __init__(self, payloads: Sequence[Payload]) -> None:
        self.payloads = payloads
        self.size = sum(len(payload.body) for payload in payloads)
        """Bytes of all bodies."""
        self._frames: dict[bytes, bytes] = {}
        self._stream: bytes | None = None

    def frames(self, head: bytes) -> bytes:
        """The WebSocket frames of ``next`` messages that begin with ``head``, see ``next_head``."""
        found = self._frames.get(head)
        if found is None:
            parts = [text_frame(b"%b%b}" % (head, payload.body)) for payload in self.payloads]
            found = self._frames[head] = b"".join(parts)
        return found

    def stream(self) -> bytes:
        """The frames of server-sent events."""
        if self._stream is None:
            self._stream = b"".join(map(event_frame, self.payloads))
        return self._stream


def text_frame(content: bytes) -> bytes:
    """A whole text frame of a server: final, not masked, not compressed (RFC 6455, section 5.2)."""
    length = len(content)
    if length < _SHORT:
        return bytes((_TEXT, length)) + content
    if length < _MIDDLE:
        return b"%c\x7e%b%b" % (_TEXT, length.to_bytes(2), content)
    return b"%c\x7f%b%b" % (_TEXT, length.to_bytes(8), content)


def event_frame(payload: Payload) -> bytes:
    """The frame of one response; it ends in a bare LF LF, which is all that some clients split on."""
    if payload.event_id is None or not payload.event_id.isprintable():
        return b"event: next\ndata: %b\n\n" % payload.body
    return b"id: %b\nevent: next\ndata: %b\n\n" % (payload.event_id.encode(), payload.body)
