"""GraphQL over HTTP as a client meets it: methods, media types, status codes."""

import orjson
import pytest

from tests.gateway.transports.server import Gateway, gateway, http_client

pytestmark = pytest.mark.anyio

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"


async def test_a_query_is_answered_in_the_media_type_that_the_client_likes_best(server: Gateway) -> None:
    for accept, answered in {
        "": JSON,
        "*/*": JSON,
        "application/*": JSON,
        JSON: JSON,
        GRAPHQL: GRAPHQL,
        f"{GRAPHQL}, {JSON};q=0.9": GRAPHQL,
        f"{JSON};q=0.5, {GRAPHQL};q=0.4, */*;q=0.1": JSON,
        f"{JSON};q=0, */*": GRAPHQL,
        f"{GRAPHQL}; charset=utf-8": GRAPHQL,
        # what urql sends with each request
        f"{GRAPHQL}, application/graphql+json, {JSON}, text/event-stream, multipart/mixed": GRAPHQL,
        f"{JSON}, text/event-stream": JSON,
        "nonsense, */*;q=x, application/json": JSON,
    }.items():
        response = await server.post("{ hello }", accept=accept)
        assert (response.status_code, response.json()) == (200, {"data": {"hello": "hello world"}}), accept
        assert response.headers["content-type"] == f"{answered}; charset=utf-8", accept
        assert response.headers["cache-control"] == "no-store"


async def test_a_client_that_takes_none_of_our_media_types_gets_406(server: Gateway) -> None:
    response = await server.post("{ hello }", accept="image/png, text/html;q=0.2")
    assert response.status_code == 406
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_an_accept_header_of_any_length_is_read(server: Gateway) -> None:
    many = ", ".join(f"image/x{n}" for n in range(500))
    assert (await server.post("{ hello }", accept=f"{many}, {JSON}")).status_code == 200


async def test_get_runs_a_query(server: Gateway) -> None:
    response = await server.get(
        {
            "query": "query A { hello } query B($n: String!) { hello(name: $n) }",
            "operationName": "B",
            "variables": '{"n": "é"}',
            "extensions": "{}",
            "unknown": "is ignored",
        }
    )
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "hello é"}})


async def test_an_empty_parameter_of_a_get_counts_as_absent(server: Gateway) -> None:
    response = await server.get({"query": "{ hello }", "operationName": "", "variables": "", "extensions": ""})
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "hello world"}})


@pytest.mark.parametrize(
    ("query_string", "complaint"),
    [
        ("", "missing"),
        ("query=", "missing"),
        ("query=%7B__typename%7D&query=%7B__typename%7D", "more than once"),
        ("query=%7B__typename%7D&operationName=A&operationName=B", "more than once"),
        ("query=%7B__typename%7D&variables=%7B", "not valid JSON"),
        ("query=%7B__typename%7D&variables=%5B%5D", "must be an object"),
        ("query=%7B__typename%7D&extensions=1", "must be an object"),
        ("query=%ff", "percent-encoded UTF-8"),
        ("&".join(f"x{n}=" for n in range(60)), "not valid"),
    ],
)
async def test_a_get_with_wrong_parameters_is_told_which(server: Gateway, query_string: str, complaint: str) -> None:
    response = await server.get(query_string)
    assert response.status_code == 400
    assert complaint in response.json()["errors"][0]["message"]


async def test_a_mutation_needs_post(server: Gateway) -> None:
    for accept in (JSON, GRAPHQL, "text/event-stream"):
        response = await server.get({"query": 'mutation { add(title: "x") }'}, accept=accept)
        assert (response.status_code, response.headers["allow"]) == (405, "POST"), accept
        assert "errors" in response.json()
    assert (await server.post('mutation { add(title: "x") }')).json() == {"data": {"add": "x"}}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_refused(server: Gateway, method: str) -> None:
    async with http_client() as client:
        response = await client.request(method, server.url)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_a_browser_that_navigates_gets_the_page(server: Gateway) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    for address in ("", "query=%7Bhello%7D"):
        response = await server.get(address, accept=browser)
        assert (response.status_code, response.text) == (200, "<title>GraphiQL</title>")
    # a script of a page, and everybody else
    assert (await server.get("query=%7Bhello%7D", accept="*/*")).json() == {"data": {"hello": "hello world"}}
    assert (await server.post("{ hello }", accept=browser)).json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: String!) { hello(name: $n) }", {"n": 1}, "BAD_REQUEST"),
        ("query($n: String!) { hello(name: $n) }", {}, "BAD_REQUEST"),
    ],
)
async def test_a_request_error_is_400_or_for_plain_json_200_and_has_no_data(
    server: Gateway, query: str, variables: object, code: str
) -> None:
    for accept, status in ((GRAPHQL, 400), (JSON, 200), ("*/*", 200)):
        response = await server.post(query, variables, accept=accept)
        body = response.json()
        assert (response.status_code, list(body)) == (status, ["errors"])
        assert [error["extensions"]["code"] for error in body["errors"]] == [code]
        assert body["errors"][0]["locations"]


async def test_errors_of_fields_leave_the_rest_of_the_answer_whole(server: Gateway) -> None:
    response = await server.post("{ hello missing viewer }", accept=GRAPHQL)
    assert response.status_code == 200
    assert response.json() == {
        "errors": [
            {
                "message": "There is no such book.",
                "path": ["missing"],
                "locations": [{"line": 1, "column": 9}],
                "extensions": {"code": "NOT_FOUND", "retryable": False},
            },
            {
                "message": "Sign in first: send a bearer token in the Authorization header.",
                "path": ["viewer"],
                "locations": [{"line": 1, "column": 17}],
                "extensions": {"code": "UNAUTHENTICATED", "retryable": False},
            },
        ],
        "data": {"hello": "hello world", "missing": None, "viewer": None},
    }


async def test_which_operation_runs_is_never_guessed(server: Gateway) -> None:
    two = "query A { hello } query B { later }"
    for body, complaint in (
        ({"query": two}, "several operations"),
        ({"query": two, "operationName": None}, "several operations"),
        ({"query": two, "operationName": "C"}, 'no operation named "C"'),
        ({"query": "{ hello }", "operationName": "A"}, 'no operation named "A"'),
        ({"query": two, "operationName": ""}, "empty"),
        ({"query": "fragment F on Query { hello }"}, "never used"),
    ):
        response = await server.post_body(orjson.dumps(body), accept=GRAPHQL)
        assert response.status_code == 400, body
        assert complaint in response.json()["errors"][0]["message"]
    twice = await server.post("query A { hello } query A { later }", accept=GRAPHQL)
    assert (twice.status_code, twice.json()["errors"][0]["extensions"]["code"]) == (400, "GRAPHQL_VALIDATION_FAILED")
    named = await server.post_body(orjson.dumps({"query": two, "operationName": "B"}))
    assert named.json() == {"data": {"later": 1}}


async def test_who_asks_is_told_to_resolvers(server: Gateway) -> None:
    response = await server.post("{ viewer }", authorization="Bearer ada", x_organization_id="acme")
    assert response.json() == {"data": {"viewer": "ada"}}
    assert server.probe.headers[-1]["x-organization-id"] == "acme"


async def test_a_bad_token_is_401_also_for_plain_json(server: Gateway) -> None:
    for accept in (JSON, GRAPHQL, "text/event-stream"):
        response = await server.post("{ hello }", accept=accept, authorization="Bearer wrong")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_fault_while_authenticating_is_500_and_masked(server: Gateway) -> None:
    response = await server.post("{ hello }", authorization="Bearer fault")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"


async def test_each_operation_has_a_context_of_its_own(server: Gateway) -> None:
    seen = [(await server.post("{ a: context b: context }")).json()["data"] for _ in range(3)]
    assert all(data["a"] == data["b"] for data in seen)
    assert len({data["a"] for data in seen}) == 3


async def test_dates_without_a_zone_are_utc(server: Gateway) -> None:
    at = (await server.post("{ at }")).json()["data"]["at"]
    assert at == {"aware": "2026-01-02T03:04:05Z", "naive": "2026-01-02T00:00:00Z"}


async def test_the_path_is_the_applications_choice() -> None:
    with gateway(path="/api") as server:
        server.url = server.url.replace("/graphql", "/api")
        assert (await server.post("{ hello }")).status_code == 200
