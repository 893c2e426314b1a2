"""What clients see of errors: all that is meant for them, and of our own faults only an id to quote."""

import logging
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Self, TypeAlias, cast

from graphql import GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from schema.errors import ErrorCode, GatewayError, client_error

FormattedError: TypeAlias = dict[str, object]
Header: TypeAlias = tuple[bytes, bytes]

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 1_000
# How graphql-core wraps whatever a scalar's parser raised, and how Strawberry's own scalars append Python's text.
_SCALAR_RAISED = re.compile(r"Expected value of type '[^']*', but encountered error '.*'; found: .*", re.DOTALL)
_PARSER_TEXT = re.compile(r", but encountered error '.*'; found: ", re.DOTALL)
_STRAWBERRY_TEXT = re.compile(r'(Value cannot represent an? \w+: ".*?"\.) (?!Expected a string\.).*', re.DOTALL)
_MAYBE_NULL = re.compile(r"Expected value of type '.*', found null\. (?:Field|Argument).*", re.DOTALL)
# The only GraphQL errors of graphql-core's own that a caller can cause once execution has begun. Its others tell of
# results that do not fit the schema, with the values in them.
_CALLERS_FAULT = re.compile(r"Argument '|Variable '|Selections are nested too deeply|Schema is not configured to")


class RequestError(Exception):
    """A request that is answered with errors alone, because it cannot or must not run.

    ``status`` is for HTTP. ``well_formed`` says that it was a proper request with a wrong document or wrong
    variables: such a one is answered with 200 where the client accepts only ``application/json``, and within the
    stream where it accepts only events.
    """

    def __init__(
        self,
        errors: Sequence[FormattedError],
        *,
        status: int = 400,
        well_formed: bool = False,
        headers: Sequence[Header] = (),
    ) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors
        self.status = status
        self.well_formed = well_formed
        self.headers = headers

    @classmethod
    def of(
        cls, message: str, *, status: int = 400, code: ErrorCode = ErrorCode.BAD_REQUEST, headers: Sequence[Header] = ()
    ) -> Self:
        """A refusal with one message of ours."""
        return cls([{"message": message, "extensions": {"code": code.value}}], status=status, headers=headers)

    @classmethod
    def of_exception(cls, error: BaseException) -> Self:
        """A refusal for whatever was raised outside a field: told when it may be told, else masked and logged."""
        known = client_error(error)
        if known is None:
            return cls([Masking().internal(error)], status=500)
        code = known.code
        if code is ErrorCode.UNAUTHENTICATED:
            return cls([_told(known)], status=401, headers=((b"www-authenticate", b"Bearer"),))
        return cls([_told(known)], status=_STATUS.get(code, 400))

    def resumable(self, cursor: str) -> Self:
        """The same, of what follows the log: a fault of ours names where to go on from."""
        if self.status != _STATUS[ErrorCode.INTERNAL]:
            return self
        errors = [
            {**error, "extensions": {**cast("FormattedError", error["extensions"]), "resumeAfter": cursor}}
            for error in self.errors
        ]
        return type(self)(errors, status=self.status, headers=self.headers)


_STATUS = {
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.QUOTA_EXCEEDED: 429,
    ErrorCode.UPSTREAM_FAILED: 502,
    ErrorCode.UPSTREAM_TIMEOUT: 504,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.INTERNAL: 500,
}


class Masking:
    """Formats the errors of one answer; all faults of ours in it share one correlation id."""

    def __init__(self) -> None:
        self._correlation_id: str | None = None
        self._logged: set[tuple[object, ...]] = set()

    def field_error(self, error: GraphQLError) -> FormattedError:
        """Format an error that a field raised while the operation ran."""
        cause = _innermost(error)
        known = client_error(cause)
        if known is not None:
            return _located(error, _told(known))
        if isinstance(cause, StrawberryInputCoercionError) or (
            isinstance(cause, GraphQLError) and _CALLERS_FAULT.match(cause.message)
        ):
            return _caused_by_caller(error, ErrorCode.BAD_REQUEST)
        return _located(error, self.internal(cause, error.path))

    def internal(self, error: BaseException, path: Sequence[str | int] | None = None) -> FormattedError:
        """Log a fault of ours and make what the client sees of it.

        The same fault in each row of a list is logged once.
        """
        if self._correlation_id is None:
            self._correlation_id = secrets.token_hex(8)
        correlation_id = self._correlation_id
        field = ".".join(key for key in path or () if isinstance(key, str))
        fault = (type(error), str(error), field)
        if fault not in self._logged:
            self._logged.add(fault)
            logger.error(
                "Internal error %s%s",
                correlation_id,
                f" at {field}" if field else "",
                exc_info=(type(error), error, error.__traceback__),
                extra={"correlation_id": correlation_id},
            )
        return {
            "message": f"Internal error. Quote this id when you ask for help: {correlation_id}",
            "extensions": {"code": ErrorCode.INTERNAL.value, "correlationId": correlation_id},
        }


def document_errors(errors: Iterable[GraphQLError], code: ErrorCode) -> list[FormattedError]:
    """Format what parsing, validating or coercing variables found; ``code`` is for those without one of their own."""
    return [_caused_by_caller(error, code) for error in errors]


def _told(error: GatewayError) -> FormattedError:
    return {"message": error.message, "extensions": error.extensions}


def _caused_by_caller(error: GraphQLError, code: ErrorCode) -> FormattedError:
    cause = _innermost(error)
    known = client_error(cause)
    message = error.message
    if known is not None:
        # A scalar's parser raised an error of ours: keep graphql-core's words on where, and ours on what.
        message = _SCALAR_RAISED.sub(lambda _: known.message, message)
        return _located(error, {"message": message[:_MAX_MESSAGE], "extensions": known.extensions})
    message = _PARSER_TEXT.sub("; found: ", message)
    message = _STRAWBERRY_TEXT.sub(r"\1", message)
    message = _MAYBE_NULL.sub("This can be left out, but it cannot be null.", message)
    return _located(error, {"message": message[:_MAX_MESSAGE], "extensions": {"code": code.value}})


def _located(error: GraphQLError, formatted: FormattedError) -> FormattedError:
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path:
        formatted["path"] = error.path
    return formatted


def _innermost(error: GraphQLError) -> BaseException:
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
