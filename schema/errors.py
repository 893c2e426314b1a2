"""The one tree of errors that a client can see.

Raise one of these for anything the caller should be told. Each carries its ``extensions.code``, whether
repeating the same request can help, and extra extensions. Whatever else is raised is a fault of ours: it is
logged with a correlation id and reaches the client as ``INTERNAL`` with that id and nothing more.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from types import UnionType
from typing import Any

from auth.errors import AccessDenied, AccessError, IssuerUnreachable, NotAMember, PersonRequired, SignInRequired
from datasources.database.engine import UnstorableText
from datasources.database.scope import NoOrganization
from datasources.paging import ForeignPosition


class ErrorCode(Enum):
    """The values of ``extensions.code``; clients may rely on them."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    BAD_REQUEST = "BAD_REQUEST"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    OPERATION_TOO_COSTLY = "OPERATION_TOO_COSTLY"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_REQUIRED = "PERSISTED_QUERY_REQUIRED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"


class GatewayError(Exception):
    """An error whose message is written for the caller: what happened, and what to do."""

    code: ErrorCode = ErrorCode.INTERNAL
    retryable: bool = False

    def __init__(self, message: str, *, extensions: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.extensions: dict[str, object] = {
            "code": self.code.value,
            "retryable": self.retryable,
            **(extensions or {}),
        }


class BadRequest(GatewayError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    code = ErrorCode.BAD_REQUEST


class NotFound(GatewayError):
    """Nothing with that id, or nothing that this caller may know of: the two are never told apart."""

    code = ErrorCode.NOT_FOUND


class Unauthenticated(GatewayError):
    """Nobody is signed in, or the token no longer holds."""

    code = ErrorCode.UNAUTHENTICATED


class Forbidden(GatewayError):
    """Signed in, but without the right."""

    code = ErrorCode.FORBIDDEN


class UpstreamFailed(GatewayError):
    """A service behind the gateway failed; ``retry_after`` is in seconds."""

    code = ErrorCode.UPSTREAM_FAILED
    retryable = True

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message, extensions={} if retry_after is None else {"retryAfter": retry_after})


class UpstreamTimeout(UpstreamFailed):
    """A service behind the gateway did not answer in time."""

    code = ErrorCode.UPSTREAM_TIMEOUT


class FellTooFarBehind(GatewayError):
    """The client took events too slowly; ``cursor`` is where it may resume."""

    code = ErrorCode.RATE_LIMITED
    retryable = True

    def __init__(self, cursor: str) -> None:
        super().__init__(
            "You take events more slowly than they happen. Subscribe again with `after`: the last cursor you saw.",
            extensions={"resumeAfter": cursor},
        )


class CursorTooOld(BadRequest):
    """Events after the cursor are not all kept any more; ``oldest`` is the oldest cursor that still works."""

    def __init__(self, oldest: str) -> None:
        super().__init__(
            "Some events after this cursor are not kept any more. Go on from `extensions.oldestCursor`, the oldest "
            "that works, and read anew what you need of the time before.",
            extensions={"oldestCursor": oldest},
        )


class CursorOfAnotherLog(BadRequest):
    """The cursor is of the log as it was before it was restored from a back-up."""

    def __init__(self) -> None:
        super().__init__(
            "This cursor is from before the event log was restored from a back-up, and does not fit it any more. Begin "
            "without one, and read anew what you need."
        )


def _denied(error: AccessDenied) -> GatewayError:
    return Forbidden(str(error), extensions=error.details)


_FROM_BELOW: tuple[tuple[type[Exception] | UnionType, Callable[[Any], GatewayError]], ...] = (
    (AccessDenied, _denied),
    (NotAMember | PersonRequired, lambda error: Forbidden(str(error))),
    (IssuerUnreachable, lambda error: UpstreamFailed(str(error), retry_after=30)),
    (AccessError, lambda error: Unauthenticated(str(error))),
    (NoOrganization, lambda _: Unauthenticated(str(SignInRequired()))),
    (ForeignPosition, lambda _: BadRequest("That is not a cursor of this list. Send a cursor exactly as you got it.")),
    (UnstorableText, lambda _: BadRequest("A text cannot contain the character U+0000.")),
)
"""What the layers below raise, and what a client is told of it; the first that fits."""


def client_error(error: BaseException) -> GatewayError | None:
    """What a client may be told of ``error``; ``None`` when it is a fault of ours and must be masked."""
    if isinstance(error, GatewayError):
        return error
    return next((tell(error) for kind, tell in _FROM_BELOW if isinstance(error, kind)), None)
