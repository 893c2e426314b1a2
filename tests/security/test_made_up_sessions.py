"""A session is made by the gateway alone: what a request brings along is never taken for one, nor becomes another."""

import secrets

import jwt
import pytest

from gateway.demo import PASSWORD
from tests.security.client import CSRF_COOKIE, LOGIN, REFRESH, ask, cookie_header, data, new_place, set_cookies
from tests.serving import ADA, GRACE, Running

ACCESS, REFRESH_COOKIE = "__Host-tributary-access", "__Host-tributary-refresh"
VIEWER = "{ viewer { email } }"


def signed_in(door: Running, email: str, more: dict[str, str] | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """The session and the cookies that a sign-in brings."""
    variables = {"input": {"email": email, "password": PASSWORD, "cookie": True}}
    answer = ask(door, LOGIN, variables, place=new_place(), more=more)
    session: dict[str, str] = data(answer)["login"]["session"]
    return session, set_cookies(answer)


def test_who_signs_in_gets_a_session_that_no_cookie_of_the_request_has_chosen(door: Running) -> None:
    """Somebody who can plant their cookies in a browser must not be in whatever session begins there (fixation)."""
    planted_session, planted = signed_in(door, GRACE)
    sent = {"cookie": cookie_header(planted), "x_csrf_token": planted[CSRF_COOKIE]}
    session, cookies = signed_in(door, ADA, sent)
    assert session["id"] != planted_session["id"]
    assert all(cookies[name] != planted[name] for name in (ACCESS, REFRESH_COOKIE, CSRF_COOKIE))
    assert data(ask(door, VIEWER, more=sent)) == {"viewer": {"email": GRACE}}
    mine = {"cookie": cookie_header(cookies), "x_csrf_token": cookies[CSRF_COOKIE]}
    assert data(ask(door, VIEWER, more=mine)) == {"viewer": {"email": ADA}}


def test_cookies_of_two_sessions_do_not_go_together(door: Running) -> None:
    _, grace = signed_in(door, GRACE)
    _, ada = signed_in(door, ADA)
    mixed = {ACCESS: ada[ACCESS], REFRESH_COOKIE: grace[REFRESH_COOKIE], CSRF_COOKIE: grace[CSRF_COOKIE]}
    answer = ask(door, VIEWER, cookie=cookie_header(mixed), x_csrf_token=grace[CSRF_COOKIE]).json()
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    answer = ask(door, REFRESH, {"input": {}}, cookie=cookie_header(mixed), x_csrf_token=ada[CSRF_COOKIE])
    assert data(answer)["refreshSession"]["session"] is None


MADE_UP = [
    "trr_" + secrets.token_urlsafe(32),
    "trr_" + "0" * 43,
    "trr_" + "%" * 43,
    "trr_" + "é" * 43,
    "trr_' OR '1'='1' --" + "x" * 28,
    "trr_\u0000" + "x" * 42,
    "",
    "x" * 100_000,
]


@pytest.mark.parametrize("token", MADE_UP, ids=range(len(MADE_UP)))
def test_a_refresh_token_that_nobody_was_given_brings_nothing(door: Running, token: str) -> None:
    answer = data(ask(door, REFRESH, {"input": {"refreshToken": token}}))["refreshSession"]
    assert answer["session"] is None
    assert [error["code"] for error in answer["userErrors"]] == ["INVALID"]


def test_what_names_a_session_is_random_and_long(door: Running) -> None:
    """256 bits in the refresh token; the access token is signed, and its session has an id of its own."""
    tokens = [data(ask(door, LOGIN, {"input": {"email": ADA, "password": PASSWORD}}))["login"] for _ in range(3)]
    sessions = [each["session"] for each in tokens]
    refresh = {each["refreshToken"] for each in sessions}
    assert len(refresh) == len({each["id"] for each in sessions}) == len(sessions)
    assert {len(each.removeprefix("trr_")) for each in refresh} == {43}


def test_a_token_tells_nothing_of_a_person_but_an_id(door: Running) -> None:
    claims = jwt.decode(door.token(ADA), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "org", "sid", "iat", "exp"}
    assert ADA not in str(claims)
