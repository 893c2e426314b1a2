"""Documents are parsed and validated once, and forgotten when there are too many."""

from typing import Any

import graphql
import pytest

from gateway.graphql import Limits
from gateway.graphql import documents as documents_module
from gateway.graphql.documents import Documents
from gateway.graphql.masking import RequestError
from gateway.graphql.request import GraphQLRequest
from tests.gateway.transports import sample

SCHEMA = sample.schema()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were parsed, in order."""
    texts: list[str] = []

    def counted(text: str, **options: Any) -> object:
        texts.append(text)
        return graphql.parse(text, **options)

    monkeypatch.setattr(documents_module, "parse", counted)
    return texts


def ask(documents: Documents, query: str) -> str:
    try:
        return documents.operation(GraphQLRequest(query, None, {}, {})).type.value
    except RequestError as refusal:
        return str(refusal)


def test_a_document_is_checked_once_whether_it_is_right_or_wrong(parsed: list[str]) -> None:
    documents = Documents(SCHEMA, Limits())
    for query in ("{ hello }", "{ nope }", "{ "):
        first = ask(documents, query)
        assert [ask(documents, query) for _ in range(3)] == [first] * 3
    assert parsed == ["{ hello }", "{ nope }", "{ "]


def test_what_was_used_least_recently_is_forgotten_first(parsed: list[str]) -> None:
    documents = Documents(SCHEMA, Limits(document_cache_size=2))
    for query in ("{ a: hello }", "{ b: hello }", "{ a: hello }", "{ c: hello }", "{ a: hello }", "{ b: hello }"):
        assert ask(documents, query) == "query"
    assert parsed == ["{ a: hello }", "{ b: hello }", "{ c: hello }", "{ b: hello }"]


def test_the_texts_that_are_kept_are_bounded_together(parsed: list[str]) -> None:
    documents = Documents(SCHEMA, Limits())
    large = [f'{{ hello(name: "{letter * 100_000}") }}' for letter in "abcdefghijkl"]
    for query in (*large, large[-1], large[0]):
        assert ask(documents, query) == "query"
    assert len(parsed) == len(large) + 1
    assert parsed[-1] == large[0]
    huge = f'{{ hello(name: "{"x" * 500_000}") }}'
    assert [ask(documents, huge), ask(documents, huge)] == ["query", "query"]
    assert parsed[-2:] == [huge, huge]


def test_a_fault_of_ours_is_not_kept(parsed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents(SCHEMA, Limits())

    def fail(*_: object) -> None:
        raise RuntimeError(sample.SECRET)

    with monkeypatch.context() as broken:
        broken.setattr(documents_module, "validation_errors", fail)
        assert ask(documents, "{ hello }").startswith("Internal error. Quote this id")
    assert ask(documents, "{ hello }") == "query"
