"""The parameters of a GraphQL request, read from JSON or from a query string."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson

from gateway.graphql.masking import RequestError

_PARAMETERS = ("query", "operationName", "variables", "extensions")
_MAX_QUERY_FIELDS = 50


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """What a client asks for, its types checked; not yet parsed as GraphQL."""

    query: str | None
    operation_name: str | None
    variables: Mapping[str, object]
    extensions: Mapping[str, object]


def parse_json(text: bytes | str, max_depth: int, *, what: str = "The body") -> object:
    """Decode JSON of at most ``max_depth`` nested objects and lists.

    Raises RequestError for anything else; ``what`` names the text in its message.
    """
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = "" if error.lineno == 1 and error.colno == 1 else f" (line {error.lineno}, column {error.colno})"
        raise RequestError.of(f"{what} is not valid JSON in UTF-8{place}.") from None
    if _may_be_deeper(text, max_depth) and _is_deeper(value, max_depth):
        raise RequestError.of(f"{what} nests objects and lists more than {max_depth} levels deep.")
    return value


def _may_be_deeper(text: bytes | str, max_depth: int) -> bool:
    if isinstance(text, str):
        return text.count("{") + text.count("[") > max_depth
    return text.count(b"{") + text.count(b"[") > max_depth


def _is_deeper(value: object, max_depth: int) -> bool:
    level = [value]
    for _ in range(max_depth + 1):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def request_from_json(body: object) -> GraphQLRequest:
    """Check the decoded body of a POST; raises RequestError."""
    if isinstance(body, list):
        raise RequestError.of("Batching is off: send each operation as a request of its own.")
    if not isinstance(body, dict):
        raise RequestError.of('The body must be a JSON object such as {"query": "{ __typename }"}.')
    name = _text(body, "operationName")
    if name == "":
        raise RequestError.of('The parameter "operationName" is empty; leave it out or name an operation.')
    return GraphQLRequest(_text(body, "query"), name, _object(body, "variables"), _object(body, "extensions"))


def request_from_query_string(query_string: bytes, max_depth: int) -> GraphQLRequest:
    """Check the parameters of a GET; raises RequestError. An empty ``operationName`` counts as absent."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
        )
    except ValueError:
        raise RequestError.of("The query string is not valid: it must be percent-encoded UTF-8.") from None
    given: dict[str, object] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            continue
        if name in given:
            raise RequestError.of(f'The parameter "{name}" is given more than once.')
        given[name] = value
    for name in ("variables", "extensions"):
        text = given.get(name)
        if isinstance(text, str):
            given[name] = parse_json(text, max_depth, what=f'The parameter "{name}"') if text else None
    if given.get("operationName") == "":
        del given["operationName"]
    return request_from_json(given)


def _text(body: Mapping[str, object], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError.of(f'The parameter "{name}" must be a string.')
    return value


def _object(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError.of(f'The parameter "{name}" must be an object.')
    return value
