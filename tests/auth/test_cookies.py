"""Sessions in cookies: no script reads a token, and no page of another site uses one."""

from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from auth.cookies import ACCESS, CSRF, REFRESH
from gateway.demo import PASSWORD
from tests.auth.visitor import OVER, Visitor
from tests.gateway.transports.graphql_socket import GraphQLSocket
from tests.serving import ADA, Running, running

pytestmark = pytest.mark.anyio

SIGN_OUT = "mutation { logout(input: {}) { userErrors { code } } }"


@pytest.fixture
def browser(gateway: Running) -> Visitor:
    """Keeps cookies, and no tokens."""
    return Visitor(gateway)


def sign_in(browser: Visitor) -> dict[str, Any]:
    """Signs Ada in with cookies."""
    return browser.signed_in("login", email=ADA, password=PASSWORD, cookie=True)


def morsels(browser: Visitor) -> dict[str, dict[str, str]]:
    """The attributes of the cookies in the last answer, by the cookies' names."""
    found = {}
    for text in browser.set_cookies:
        for name, morsel in SimpleCookie(text).items():
            found[name] = {key: str(value) for key, value in morsel.items() if value}
    return found


def test_the_tokens_are_in_cookies_that_no_script_reads_and_nowhere_else(browser: Visitor) -> None:
    answer = browser.post(
        "mutation ($input: LoginInput!) { login(input: $input) { session { accessToken refreshToken csrfToken } } }",
        {"input": {"email": ADA, "password": PASSWORD, "cookie": True}},
    )
    session = answer.json()["data"]["login"]["session"]
    assert (session["accessToken"], session["refreshToken"]) == ("", None)
    assert session["csrfToken"] == browser.cookies[CSRF]
    for name in (ACCESS, REFRESH):
        assert browser.cookies[name] not in answer.text
    found = morsels(browser)
    assert set(found) == {ACCESS, REFRESH, CSRF}
    for name, attributes in found.items():
        assert name.startswith("__Host-")
        assert (attributes["path"], attributes["secure"], attributes["samesite"]) == ("/", "True", "Strict")
        assert "domain" not in attributes
        assert ("httponly" in attributes) is (name != CSRF)
    assert 1_790 < int(found[ACCESS]["max-age"]) <= 1_800
    assert 604_790 < int(found[REFRESH]["max-age"]) <= 604_800


def test_without_being_asked_for_there_are_no_cookies(browser: Visitor) -> None:
    session = browser.signed_in("login", email=ADA, password=PASSWORD)
    assert (browser.set_cookies, session["csrfToken"]) == ([], None)


def test_a_page_that_knows_the_csrf_token_is_the_person(browser: Visitor) -> None:
    session = sign_in(browser)
    assert browser.whoami(x_csrf_token=session["csrfToken"]) == ADA


@pytest.mark.parametrize("header", [None, "", "0" * 64])
def test_a_post_without_the_csrf_token_is_nobodys_and_does_nothing(browser: Visitor, header: str | None) -> None:
    session = sign_in(browser)
    headers = {} if header is None else {"x_csrf_token": header}
    answer = browser.ask(SIGN_OUT, **headers)
    assert answer["data"] == {"logout": None}
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "X-CSRF-Token" in answer["errors"][0]["message"]
    assert browser.whoami(x_csrf_token=session["csrfToken"]) == ADA


def test_the_csrf_token_of_another_session_does_not_do(browser: Visitor) -> None:
    others = sign_in(Visitor(browser.gateway))["csrfToken"]
    sign_in(browser)
    assert browser.whoami(x_csrf_token=others) is None


def test_reading_needs_no_csrf_token(browser: Visitor) -> None:
    """A page of another site may cause a GET, but it cannot read the answer, and nothing is changed by one."""
    sign_in(browser)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    answer = httpx.get(browser.gateway.graphql, params={"query": "{ viewer { email } }"}, headers={"cookie": cookie})
    assert answer.json() == {"data": {"viewer": {"email": ADA}}}
    answer = httpx.get(browser.gateway.graphql, params={"query": SIGN_OUT}, headers={"cookie": cookie})
    assert answer.status_code == 405


def test_refreshing_takes_the_cookie_and_its_csrf_token(browser: Visitor) -> None:
    first = sign_in(browser)
    before = dict(browser.cookies)
    headers = {"x_csrf_token": first["csrfToken"]}
    again = browser.run("refreshSession", headers)
    assert again["userErrors"] == []
    assert (again["session"]["id"], again["session"]["accessToken"]) == (first["id"], "")
    assert browser.cookies[REFRESH] != before[REFRESH]
    assert browser.whoami(**headers) == ADA
    # The one before was used up.
    browser.cookies = before
    assert browser.run("refreshSession", headers) == OVER
    assert browser.cookies == {}


def test_refreshing_without_the_csrf_token_uses_nothing_up(browser: Visitor) -> None:
    session = sign_in(browser)
    for headers in ({}, {"x_csrf_token": "0" * 64}):
        refused = browser.run("refreshSession", headers)
        assert refused["session"] is None
        assert "X-CSRF-Token" in refused["userErrors"][0]["message"]
        assert browser.set_cookies == []
    assert browser.run("refreshSession", {"x_csrf_token": session["csrfToken"]})["userErrors"] == []


def test_a_refresh_token_is_good_only_where_it_was_handed_out(browser: Visitor) -> None:
    """One out of a cookie can have come to a script only by theft, and one out of an answer into no cookie of ours."""
    session = sign_in(browser)
    taken = browser.cookies[REFRESH]
    assert Visitor(browser.gateway).run("refreshSession", refreshToken=taken) == OVER
    bearer = Visitor(browser.gateway)
    token = bearer.signed_in("login", email=ADA, password=PASSWORD)["refreshToken"]
    browser.cookies[REFRESH] = token
    assert browser.run("refreshSession", {"x_csrf_token": session["csrfToken"]}) == OVER
    bearer.signed_in("refreshSession", refreshToken=token)


def test_signing_out_takes_the_cookies_back(browser: Visitor) -> None:
    session = sign_in(browser)
    before = dict(browser.cookies)
    headers = {"x_csrf_token": session["csrfToken"]}
    assert browser.run("logout", headers) == {"userErrors": []}
    assert browser.cookies == {}
    browser.cookies = before
    assert browser.whoami(**headers) is None
    assert browser.run("refreshSession", headers) == OVER


def test_an_old_cookie_is_nobody_and_hinders_no_sign_in(browser: Visitor) -> None:
    session = sign_in(browser)
    kept = dict(browser.cookies)
    browser.run("logout", {"x_csrf_token": session["csrfToken"]})
    browser.cookies = kept
    answer = browser.post("{ viewer { email } }")
    assert answer.status_code == 200
    assert "ended" in answer.json()["errors"][0]["message"]
    again = sign_in(browser)
    assert browser.whoami(x_csrf_token=again["csrfToken"]) == ADA


def test_an_event_stream_has_sent_its_headers_and_sets_no_cookie(browser: Visitor) -> None:
    query = "mutation ($input: LoginInput!) { login(input: $input) { session { id } userErrors { code field } } }"
    given = {"input": {"email": ADA, "password": PASSWORD, "cookie": True}}
    answer = browser.post(query, given, accept="text/event-stream")
    assert '"session":null' in answer.text
    assert '"field":["cookie"]' in answer.text
    assert browser.set_cookies == []


async def test_a_socket_takes_the_session_of_its_cookie_and_sets_none(browser: Visitor) -> None:
    session = sign_in(browser)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    async with connect(
        browser.gateway.socket,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        proxy=None,
        additional_headers={"cookie": cookie},
    ) as connection:
        socket = GraphQLSocket(connection)
        await socket.initialise()
        await socket.subscribe("1", "{ viewer { email } }")
        assert (await socket.receive())["payload"] == {"data": {"viewer": {"email": ADA}}}
        assert (await socket.receive())["type"] == "complete"
        query = "mutation { refreshSession(input: {}) { session { id } userErrors { code field } } }"
        await socket.subscribe("2", query)
        refused = (await socket.receive())["payload"]["data"]["refreshSession"]
        assert refused == {"session": None, "userErrors": [{"code": "INVALID", "field": ["refreshToken"]}]}
    assert browser.run("refreshSession", {"x_csrf_token": session["csrfToken"]})["userErrors"] == []


def test_same_site_is_the_operators_choice(gateway: Running, tmp_path: Path) -> None:
    with running(gateway.database_url, tmp_path, cookie_same_site="none") as other:
        browser = Visitor(other)
        sign_in(browser)
        assert {each["samesite"] for each in morsels(browser).values()} == {"None"}
