"""The schema is open to read, and reading it is no way to tire the gateway, to see data, or to learn what is hidden."""

import pytest
from graphql import build_client_schema, get_introspection_query

from tests.security.client import ask, data
from tests.serving import Running

_TYPES = "{ __schema { types { ...F } } } fragment F on __Type { fields { type { ...G } } }"
_AGAIN = "fragment G on __Type { fields { type { fields { type { fields { name } } } } } }"
CIRCLES = [
    "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
    "{ __schema { types { interfaces { possibleTypes { interfaces { possibleTypes { name } } } } } } }",
    f"{_TYPES} {_AGAIN}",
    '{ __type(name: "Query") { inputFields { type { inputFields { type { inputFields { type { name } } } } } } } }',
]


@pytest.mark.parametrize("query", CIRCLES)
def test_going_round_in_circles_is_refused_before_it_runs(door: Running, query: str) -> None:
    answer = ask(door, query, accept="application/graphql-response+json")
    assert answer.status_code == 400
    (error, *_) = answer.json()["errors"]
    assert (error["extensions"]["code"], error["message"]) == (
        "GRAPHQL_VALIDATION_FAILED",
        "Maximum introspection depth exceeded",
    )


def test_the_whole_schema_is_read_as_tools_read_it(door: Running) -> None:
    """So that the refusals above have a reason of their own: GraphiQL and code generators need this."""
    answer = data(ask(door, get_introspection_query()))
    assert "Order" in build_client_schema(answer).type_map  # type: ignore[arg-type]


def test_a_field_that_is_not_there_is_not_helped_along(door: Running) -> None:
    (error,) = ask(door, "{ viewr { id } }").json()["errors"]
    assert "viewer" not in error["message"]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
