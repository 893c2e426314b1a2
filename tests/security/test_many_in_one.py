"""Many attempts in one request count as many: over aliases, over one socket, and a list of operations is not taken.

A proxy in front sees one request, so only the gateway can count what is in it.
"""

import json

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from gateway.demo import PASSWORD
from tests.security.client import LOGIN, ask, data, new_place, request
from tests.serving import ADA, GRACE, Running

FREE = 5
"""Sign-ins to one account from one place that are looked at without a wait."""


def aliased(email: str, passwords: list[str]) -> str:
    """One mutation with a sign-in for each password."""
    fields = (
        f"a{number}: login(input: {{email: {json.dumps(email)}, password: {json.dumps(password)}}}) "
        "{ session { id } userErrors { code } }"
        for number, password in enumerate(passwords)
    )
    return "mutation { " + " ".join(fields) + " }"


def test_a_password_is_not_guessed_over_aliases_of_one_request(gateway: Running) -> None:
    guesses = [f"guess number {number}" for number in range(30)] + [PASSWORD]
    answers = data(ask(gateway, aliased(ADA, guesses), place=new_place())).values()
    codes = [answer["userErrors"][0]["code"] for answer in answers]
    assert codes == ["INVALID"] * FREE + ["RATE_LIMITED"] * (len(guesses) - FREE)
    assert all(answer["session"] is None for answer in answers)


def test_a_right_password_among_few_still_signs_in(gateway: Running) -> None:
    """So that the refusal above has a reason of its own."""
    answers = data(ask(gateway, aliased(GRACE, ["a wrong guess", PASSWORD]), place=new_place()))
    assert [answer["session"] is not None for answer in answers.values()] == [False, True]


def test_a_password_is_not_guessed_over_operations_of_one_socket_at_once(gateway: Running) -> None:
    """They run at the same time: none may be looked at before it is counted."""
    number = 40
    headers = {"x-forwarded-for": new_place()}
    subprotocol = [Subprotocol("graphql-transport-ws")]
    with connect(gateway.socket, subprotocols=subprotocol, additional_headers=headers, proxy=None) as client:
        client.send(json.dumps({"type": "connection_init"}))
        assert json.loads(client.recv(timeout=60))["type"] == "connection_ack"
        for each in range(number):
            variables = {"input": {"email": "noor@example.com", "password": f"guess number {each}"}}
            payload = {"query": LOGIN, "variables": variables}
            client.send(json.dumps({"type": "subscribe", "id": str(each), "payload": payload}))
        codes: list[str] = []
        while len(codes) < number:
            message = json.loads(client.recv(timeout=60))
            if message["type"] == "next":
                codes.append(message["payload"]["data"]["login"]["userErrors"][0]["code"])
    assert sorted(codes) == ["INVALID"] * FREE + ["RATE_LIMITED"] * (number - FREE)


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
def test_a_list_of_operations_is_refused_whole(gateway: Running, accept: str) -> None:
    body = [{"query": aliased(ADA, [PASSWORD])}] * 3
    answer = request(gateway, "POST", json=body, headers={"accept": accept})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "data" not in answer.json()


def test_the_same_field_twice_without_aliases_is_one_attempt(gateway: Running) -> None:
    """GraphQL merges equal fields, so that they are no way to ask twice."""
    field = 'login(input: {email: "victor@example.com", password: "no"}) { userErrors { code } }'
    answer = data(ask(gateway, "mutation { " + f"{field} " * 20 + "}", place=new_place()))
    assert answer == {"login": {"userErrors": [{"code": "INVALID"}]}}
