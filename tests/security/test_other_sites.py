"""A page of another site can do nothing in the name of who is signed in here, although browsers send cookies along."""

import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from gateway.demo import PASSWORD
from tests.security.client import CSRF_COOKIE, LOGIN, ask, cookie_header, data, new_place, request, set_cookies
from tests.security.conftest import EXTENSION, LISTED_SITE, OTHER_SITE
from tests.serving import GRACE, Running

VIEWER = "{ viewer { email } }"
RENAME = 'mutation { updateOrganization(input: {name: "Taken over"}) { userErrors { code } } }'
ORGANIZATION = "{ organization { name } }"


@pytest.fixture(scope="module")
def cookies(door: Running) -> dict[str, str]:
    """What Grace's browser holds once she has signed in with cookies."""
    variables = {"input": {"email": GRACE, "password": PASSWORD, "cookie": True}}
    return set_cookies(ask(door, LOGIN, variables, place=new_place()))


def test_cookies_with_their_header_sign_in(door: Running, cookies: dict[str, str]) -> None:
    """So that the refusals below have a reason of their own."""
    answer = ask(door, VIEWER, cookie=cookie_header(cookies), x_csrf_token=cookies[CSRF_COOKIE])
    assert data(answer) == {"viewer": {"email": GRACE}}


@pytest.mark.parametrize("token", [None, "", "0" * 64, "the value of another session"])
def test_a_post_with_cookies_alone_changes_nothing(door: Running, cookies: dict[str, str], token: str | None) -> None:
    sent = {} if token is None else {"x_csrf_token": token}
    before = door.data(ORGANIZATION, as_=GRACE)
    answer = ask(door, RENAME, cookie=cookie_header(cookies), more=sent).json()
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert door.data(ORGANIZATION, as_=GRACE) == before


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "text/plain; charset=utf-8", ""])
def test_a_form_of_another_site_is_not_read_not_even_to_sign_its_victim_in(door: Running, kind: str) -> None:
    """To sign somebody in as oneself makes them fill one's own account with what is theirs (login CSRF)."""
    body = json.dumps({"query": LOGIN, "variables": {"input": {"email": GRACE, "password": PASSWORD, "cookie": True}}})
    headers = {"content-type": kind, "origin": OTHER_SITE}
    answer = request(door, "POST", content=body.encode(), headers=headers)
    assert answer.status_code == 415
    assert set_cookies(answer) == {}


def test_a_form_with_files_needs_a_header_that_forms_cannot_have(door: Running, cookies: dict[str, str]) -> None:
    parts = {"operations": json.dumps({"query": LOGIN}), "map": "{}"}
    sent = {"origin": OTHER_SITE, "cookie": cookie_header(cookies)}
    answer = request(door, "POST", data=parts, files={"0": b"x"}, headers=sent)
    assert answer.status_code == 400
    assert "GraphQL-Require-Preflight" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_nothing_but_a_post_changes_anything(door: Running, cookies: dict[str, str], method: str) -> None:
    sent = {"cookie": cookie_header(cookies), "x-csrf-token": cookies[CSRF_COOKIE]}
    answer = request(door, method, params={"query": RENAME}, headers=sent)
    assert answer.status_code == 405


def test_a_page_of_another_site_opens_no_socket_with_its_visitors_cookies(
    door: Running, cookies: dict[str, str]
) -> None:
    subprotocols = [Subprotocol("graphql-transport-ws")]
    with pytest.raises(InvalidStatus) as refused:
        connect(
            door.socket,
            subprotocols=subprotocols,
            origin=Origin(OTHER_SITE),
            additional_headers={"cookie": cookie_header(cookies)},
            proxy=None,
        )
    assert refused.value.response.status_code == 403
    for origin in (LISTED_SITE, EXTENSION, door.url):
        with connect(door.socket, subprotocols=subprotocols, origin=Origin(origin), proxy=None) as client:
            client.send(json.dumps({"type": "connection_init"}))
            assert json.loads(client.recv(timeout=60))["type"] == "connection_ack"


def preflight(door: Running, origin: str) -> httpx.Response:
    """What a browser hears before it sends JSON from a page of another origin."""
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-csrf-token",
    }
    return request(door, "OPTIONS", headers=headers)


@pytest.mark.parametrize("origin", [OTHER_SITE, "null", f"{LISTED_SITE}.evil.example.com", "http://app.example.com"])
def test_a_page_of_a_site_that_is_not_listed_reads_no_answer(door: Running, origin: str) -> None:
    assert preflight(door, origin).status_code == 400
    for answer in (preflight(door, origin), ask(door, VIEWER, origin=origin)):
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", [LISTED_SITE, EXTENSION])
def test_a_page_that_is_listed_reads_answers_with_its_visitors_session(door: Running, origin: str) -> None:
    for answer in (preflight(door, origin), ask(door, VIEWER, origin=origin)):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "origin" in answer.headers["vary"].lower()
