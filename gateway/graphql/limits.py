"""What one caller may ask of the endpoint."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for every transport; sizes are in bytes, times in seconds."""

    max_body_bytes: int = 1 << 20
    """A JSON body, a query string, the fields of a form, or one WebSocket message."""
    max_upload_bytes: int = 10 << 20
    """All files of one request together."""
    max_uploads: int = 10
    """Files of one request."""
    max_tokens: int = 5_000
    """Lexical tokens of a document, and as many comments."""
    max_depth: int = 30
    """Nested fields in an operation, through its fragments."""
    max_json_depth: int = 64
    """Nested objects and lists in a body."""
    document_cache_size: int = 1_000
    """Documents kept parsed and validated."""
    body_seconds: float = 20.0
    """How long a body may take to arrive."""
    heartbeat_seconds: float = 12.0
    """How long an event stream may be silent before a comment is sent."""
    stalled_seconds: float = 20.0
    """How long a client may leave an event stream unread before it is dropped."""
    max_waiting_bytes: int = 1 << 20
    """What may wait to be sent on a socket or a stream before its client is let go as too slow; beside one batch."""
    ws_init_seconds: float = 3.0
    """How long a socket may be open before ``connection_init`` arrives."""
    ws_max_operations: int = 500
    """Operations that run at the same time on one socket."""
    ws_messages_per_second: float = 50.0
    """Messages that a client may send on one socket in the long run."""
    ws_burst: int = 1_000
    """Messages that it may send at once."""
    suggestions: bool = False
    """Whether errors name similar fields and types ("Did you mean …"); tells strangers about the schema."""
