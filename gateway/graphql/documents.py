"""From a request to one operation that may run: parsed, validated and bounded once, then cached."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
)

from gateway.graphql.following import Following, following
from gateway.graphql.limits import Limits
from gateway.graphql.masking import FormattedError, RequestError, document_errors
from gateway.graphql.request import GraphQLRequest
from gateway.graphql.validation import validation_errors
from schema.errors import ErrorCode

# A syntax tree takes some hundred times the room of its text, so the texts of all cached documents are bounded too.
_MAX_CACHED_CHARACTERS = 1_000_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, with all that its execution needs; ``key`` is the document's hash."""

    key: bytes
    document: DocumentNode
    name: str | None
    type: OperationType
    variables: dict[str, Any]
    extensions: dict[str, Any]
    hide_suggestions: bool
    following: Following | None = None


@dataclass(frozen=True, slots=True)
class _Valid:
    key: bytes
    node: DocumentNode
    types: dict[str | None, OperationType]
    following: dict[str | None, Following]


@dataclass(frozen=True, slots=True)
class _Invalid:
    errors: Sequence[FormattedError]


@dataclass(frozen=True, slots=True)
class _Entry:
    outcome: _Valid | _Invalid
    characters: int


class Documents:
    """The documents of one schema, by the SHA-256 of their text; the least recently used are forgotten first.

    Every transport gets its operations here, so a rule about documents that is held here holds everywhere. Failures
    are kept like successes: a client that repeats a wrong document does not make us validate it again.

    Because they are kept by hash, a client may send ``extensions.persistedQuery`` instead of a text that is still
    here: automatic persisted queries, as Apollo's clients and urql speak them.
    """

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._characters = 0

    def operation(self, request: GraphQLRequest) -> Operation:
        """The operation that ``request`` names; raises RequestError when there is none that may run."""
        document = self._document(request)
        name = request.operation_name
        types = document.types
        if name is None:
            if len(types) != 1:
                raise RequestError.of(
                    'The document has several operations: name the one to run in "operationName".'
                    if types
                    else "The document has no operation to run."
                )
            kind = next(iter(types.values()))
        elif name in types:
            kind = types[name]
        else:
            raise RequestError.of(f'The document has no operation named "{name[:100]}".')
        return Operation(
            key=document.key,
            document=document.node,
            name=name,
            type=kind,
            variables=dict(request.variables),
            extensions=dict(request.extensions),
            hide_suggestions=not self._limits.suggestions,
            following=document.following.get(name or next(iter(types))),
        )

    def _document(self, request: GraphQLRequest) -> _Valid:
        text, persisted = request.query, _persisted_key(request.extensions)
        if text:
            key = hashlib.sha256(text.encode()).digest()
            if persisted not in {None, key}:
                raise RequestError.of('The "sha256Hash" is not the SHA-256 of the "query".')
        elif persisted is not None:
            key = persisted
        else:
            raise RequestError.of('The parameter "query" is missing: send the text of a GraphQL document in it.')
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            outcome = entry.outcome
        elif text:
            outcome = self._check(key, text)
            self._keep(key, _Entry(outcome, len(text)))
        else:
            raise _not_found()
        if isinstance(outcome, _Invalid):
            raise RequestError(outcome.errors, well_formed=True)
        return outcome

    def _check(self, key: bytes, text: str) -> _Valid | _Invalid:
        try:
            node = parse(text, max_lexical_tokens=self._limits.max_tokens, max_comments=self._limits.max_tokens)
        except GraphQLError as error:
            return _Invalid(document_errors([error], ErrorCode.GRAPHQL_PARSE_FAILED))
        try:
            errors = validation_errors(self._schema, node, self._limits)
        except Exception as error:
            # A fault of ours, not the document's: masked, and not cached.
            raise RequestError.of_exception(error) from error
        if errors:
            return _Invalid(document_errors(errors, ErrorCode.GRAPHQL_VALIDATION_FAILED))
        operations = [one for one in node.definitions if isinstance(one, OperationDefinitionNode)]
        types: dict[str | None, OperationType] = {}
        follows: dict[str | None, Following] = {}
        for one in operations:
            name = one.name.value if one.name else None
            types[name] = one.operation
            if one.operation is OperationType.SUBSCRIPTION and (found := following(self._schema, node, one)):
                follows[name] = found
        return _Valid(key, node, types, follows)

    def _keep(self, key: bytes, entry: _Entry) -> None:
        if entry.characters > _MAX_CACHED_CHARACTERS // 8:
            return
        self._entries[key] = entry
        self._characters += entry.characters
        while len(self._entries) > self._limits.document_cache_size or self._characters > _MAX_CACHED_CHARACTERS:
            _, forgotten = self._entries.popitem(last=False)
            self._characters -= forgotten.characters


def _persisted_key(extensions: Mapping[str, object]) -> bytes | None:
    """The hash in ``extensions.persistedQuery``, if there is one; raises RequestError for what is no hash."""
    match extensions.get("persistedQuery"):
        case None:
            return None
        case {"version": 1, "sha256Hash": str() as digits} if _SHA256.fullmatch(digits):
            return bytes.fromhex(digits)
        case _:
            raise RequestError.of('"persistedQuery" must be {"version": 1, "sha256Hash": <64 lower-case digits>}.')


def _not_found() -> RequestError:
    # Clients know it by this message, and expect it with 200, whereupon they send the hash again with the text.
    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND.value
    return RequestError(
        [{"message": "PersistedQueryNotFound", "extensions": {"code": code}}], status=200, well_formed=True
    )
