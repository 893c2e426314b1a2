"""The bodies of answers, encoded once."""

from collections.abc import Sequence

import orjson
from graphql import ExecutionResult

from gateway.graphql.masking import FormattedError, Masking, RequestError

# Dates without a zone are UTC; dataclasses in an answer are a mistake, not data.
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_PASSTHROUGH_DATACLASS


def encode_result(result: ExecutionResult) -> bytes:
    """The JSON of an executed operation, its errors masked.

    Raises RequestError (500) when a leaf in it has no JSON form.
    """
    body: dict[str, object] = {}
    if result.errors:
        masking = Masking()
        body["errors"] = [masking.field_error(error) for error in result.errors]
    body["data"] = result.data
    try:
        return orjson.dumps(body, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise RequestError.of_exception(error) from error


def encode_errors(errors: Sequence[FormattedError]) -> bytes:
    """The JSON of an answer that has errors and no data."""
    return orjson.dumps({"errors": errors}, option=_OPTIONS)


def trimmed(body: bytes) -> bytes:
    """The same bytes, in no more memory than they take: for what is kept.

    Bytes of orjson stay in the buffer that they were written into, 4 KiB for the smallest (orjson 3.13): it notes their
    length before it asks CPython to shrink them, which then finds nothing to do.
    """
    return bytes(memoryview(body))
