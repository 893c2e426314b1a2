"""What clients see of errors, and what they never see."""

import logging

import pytest

from gateway.graphql import Limits
from tests.gateway.transports.sample import SECRET
from tests.gateway.transports.server import Gateway, gateway

pytestmark = pytest.mark.anyio

GRAPHQL = "application/graphql-response+json"


@pytest.mark.parametrize("field", ["boom", "notNull", "wrongInt", "cancelledInside", "opaque"])
async def test_a_fault_of_ours_is_an_id_that_the_log_has_too(
    server: Gateway, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = await server.post(f"{{ {field} }}", accept=GRAPHQL)
    assert response.status_code in {200, 500}
    (error,) = response.json()["errors"]
    correlation_id = error["extensions"]["correlationId"]
    assert error["extensions"] == {"code": "INTERNAL", "correlationId": correlation_id}
    assert error["message"] == f"Internal error. Quote this id when you ask for help: {correlation_id}"
    for secret in ("hunter2", "secret.key", "Error", "Traceback", ".py"):
        assert secret not in response.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert correlation_id in record.getMessage()
    assert record.exc_info


async def test_the_same_fault_in_each_row_is_logged_once(server: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    response = await server.post("{ booms { fuse } boom }")
    errors = response.json()["errors"]
    assert len(errors) == 4
    assert len({error["extensions"]["correlationId"] for error in errors}) == 1
    assert sorted(error["path"] for error in errors if len(error["path"]) > 1) == [
        ["booms", row, "fuse"] for row in range(3)
    ]
    logged = [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR]
    assert [str(info[1]) for info in logged if info] == [SECRET, SECRET]


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        ('{ day(of: "x") }', None, 'Value cannot represent a Date: "x".'),
        (
            "query($d: Date!) { day(of: $d) }",
            {"d": "x"},
            "Variable '$d' has invalid value: Value cannot represent a Date: \"x\".",
        ),
        (
            "query($e: Even!) { half(even: $e) }",
            {"e": "x"},
            "Variable '$e' has invalid value: Expected value of type 'Even'; found: 'x'.",
        ),
        ('{ half(even: "x") }', None, "Expected value of type 'Even'; found: \"x\"."),
        (
            "query($e: Even!) { half(even: $e) }",
            {"e": 3},
            "Variable '$e' has invalid value: Only even numbers are served here.",
        ),
        ("{ half(even: 3) }", None, "Only even numbers are served here."),
        ("{ patch(patch: {title: null}) }", None, "This can be left out, but it cannot be null."),
        (
            "query($p: Patch!) { patch(patch: $p) }",
            {"p": {"title": None}},
            "This can be left out, but it cannot be null.",
        ),
        ("{ pick(pick: {}) }", None, "OneOf Input Object 'Pick' must specify exactly one key."),
        (
            "query($p: Pick!) { pick(pick: $p) }",
            {"p": {"name": "a", "number": 1}},
            "OneOf Input Object 'Pick' must specify exactly one key.",
        ),
        (
            "fragment F on Query { pick(pick: {name: $n}) } query($n: String) { ...F }",
            {"n": "a"},
            "Variable 'n' must be non-nullable to be used for OneOf Input Object 'Pick'.",
        ),
    ],
)
async def test_a_mistake_of_the_caller_is_explained_in_its_own_terms(
    server: Gateway, query: str, variables: object, message: str
) -> None:
    response = await server.post(query, variables, accept=GRAPHQL)
    (error,) = response.json()["errors"]
    assert error["message"] == message
    assert error["extensions"]["code"] in {"BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED"}


async def test_a_fragment_may_use_the_variables_of_its_operation_in_a_one_of_input(server: Gateway) -> None:
    query = "fragment F on Query { pick(pick: {name: $n}) } query($n: String!) { ...F }"
    assert (await server.post(query, {"n": "a"})).json() == {"data": {"pick": "name"}}


async def test_a_caller_cannot_make_us_echo_a_book(server: Gateway) -> None:
    response = await server.post("query($d: Date!) { day(of: $d) }", {"d": "x" * 100_000})
    assert len(response.content) < 5_000


async def test_suggestions_are_off_unless_they_are_wanted(server: Gateway) -> None:
    asked = ("{ helo }", "{ pick(pick: {nam: 1}) }", "{ hello(nam: 1) }", "query($p: Pik) { hello }")
    for query in asked:
        assert "Did you mean" not in (await server.post(query)).text
    variables = await server.post("query($p: Pick!) { pick(pick: $p) }", {"p": {"nam": "x"}})
    assert "Did you mean" not in variables.text
    with gateway(Limits(suggestions=True)) as helpful:
        for query in asked:
            assert "Did you mean" in (await helpful.post(query)).text
        variables = await helpful.post("query($p: Pick!) { pick(pick: $p) }", {"p": {"nam": "x"}})
        assert "Did you mean" in variables.text
