"""Somebody at the door of a gateway, who may send anything and says where they come from."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import httpx

from tests.serving import Running

LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) {
    session { id accessToken refreshToken csrfToken } userErrors { code message field }
  }
}"""
REFRESH = """mutation ($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    session { id accessToken refreshToken csrfToken } userErrors { code message field }
  }
}"""
CSRF_COOKIE = "__Host-tributary-csrf"

_HTTP = httpx.Client(timeout=60, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
_PLACES = count(1)


def new_place() -> str:
    """An address that nobody was at before (RFC 2544 keeps these for tests); the test server believes its clients."""
    number = next(_PLACES)
    return f"198.18.{number // 250}.{number % 250 + 1}"


def ask(
    gateway: Running,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    place: str | None = None,
    more: Mapping[str, str] | None = None,
    **headers: str,
) -> httpx.Response:
    """The response to an operation with these headers, and ``more``; underscores in their names are hyphens."""
    sent = {name.replace("_", "-"): value for name, value in {**headers, **(more or {})}.items()}
    if place is not None:
        sent["x-forwarded-for"] = place
    return _HTTP.post(gateway.graphql, json={"query": query, "variables": dict(variables or {})}, headers=sent)


def request(gateway: Running, method: str, path: str = "/graphql", **more: Any) -> httpx.Response:
    """The response to any request."""
    return _HTTP.request(method, f"{gateway.url}{path}", **more)


def data(response: httpx.Response) -> dict[str, Any]:
    """What was answered without errors."""
    answer: dict[str, Any] = response.json()
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]
    return found


def set_cookies(response: httpx.Response) -> dict[str, str]:
    """The cookies that an answer sets, by their names, without their attributes."""
    return dict(_pairs(response.headers.get_list("set-cookie")))


def cookie_header(cookies: Mapping[str, str]) -> str:
    """The header that a browser would send these in."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _pairs(set_cookie: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in set_cookie:
        name, _, value = each.partition(";")[0].partition("=")
        yield name, value
