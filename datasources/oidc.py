"""What an outside identity provider says of itself: its discovery document, its keys, and who a token is of.

OpenID Connect Discovery 1.0, JSON Web Key Sets (RFC 7517 section 5) and the UserInfo endpoint (OpenID Connect Core 1.0
section 5.3). Nothing is kept here: ``auth.oidc_keys`` decides how long an answer is good for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, NamedTuple

import httpx
import orjson

MAX_BYTES = 256 * 1024
SECONDS = 5.0
"""How long one answer may take, its last byte included."""

_WELL_KNOWN = "/.well-known/openid-configuration"
_NO_PROXY = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
_UNREADABLE = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError)


class IssuerUnavailable(Exception):
    """The issuer gave no answer in time, or none that can be used; the message is for the log, and names no token."""


class IssuerRefused(IssuerUnavailable):
    """The issuer answered that this may not be asked, or is not there (a status of 4xx but 429)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")


class Discovery(NamedTuple):
    """The parts of a discovery document that the gateway needs."""

    jwks_uri: str
    userinfo_endpoint: str | None


class IssuerClient:
    """Asks issuers over HTTPS, and over HTTP only those on this machine.

    It follows no redirect, takes JSON only, 256 KiB of it at most, and waits five seconds for all of it.
    """

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        """Made when it is first used: it reads the machine's certificates, which takes a while."""
        return httpx.AsyncClient(
            timeout=SECONDS,
            follow_redirects=False,
            mounts=_NO_PROXY,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def discover(self, issuer: str) -> Discovery:
        """Where the keys of ``issuer`` are; raises ``IssuerUnavailable``.

        The document must name its issuer byte for byte, so that one issuer cannot speak for another.
        """
        found = await self._object(issuer.removesuffix("/") + _WELL_KNOWN, issuer)
        jwks_uri, userinfo = found.get("jwks_uri"), found.get("userinfo_endpoint")
        if found.get("issuer") != issuer:
            raise IssuerUnavailable("the discovery document is of another issuer")
        if not isinstance(jwks_uri, str):
            raise IssuerUnavailable("the discovery document names no keys")
        return Discovery(jwks_uri, userinfo if isinstance(userinfo, str) else None)

    async def keys(self, issuer: str, jwks_uri: str) -> Sequence[object]:
        """The keys as they are published, whatever they are; raises ``IssuerUnavailable``."""
        keys = (await self._object(jwks_uri, issuer)).get("keys")
        if not isinstance(keys, list):
            raise IssuerUnavailable("the key set has no list of keys")
        return keys

    async def userinfo(self, issuer: str, endpoint: str, token: str) -> Mapping[str, Any]:
        """What the issuer says of the person whose access token this is.

        Raises ``IssuerRefused`` where the token is not meant for that, ``IssuerUnavailable`` otherwise.
        """
        return await self._object(endpoint, issuer, token)

    async def close(self) -> None:
        """Closes every connection."""
        if "_http" in vars(self):
            await self._http.aclose()

    async def _object(self, url: str, issuer: str, token: str | None = None) -> dict[str, Any]:
        if not may_ask(url, issuer):
            raise IssuerUnavailable("an address of the issuer is not https")
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        try:
            async with asyncio.timeout(SECONDS), self._http.stream("GET", url, headers=headers) as answer:
                _judge(answer)
                body = await _bounded(answer)
            found = orjson.loads(body)
        except _UNREADABLE as error:
            raise IssuerUnavailable(f"no answer that can be read ({type(error).__name__})") from None
        if not isinstance(found, dict):
            raise IssuerUnavailable("the answer is no JSON object")
        return found


def may_ask(url: str, issuer: str) -> bool:
    """Whether a request may go to ``url``: over HTTPS, or over HTTP where both it and the issuer are this machine."""
    try:
        asked, of = httpx.URL(url), httpx.URL(issuer)
    except (httpx.InvalidURL, TypeError, ValueError):
        return False
    if asked.userinfo or not asked.host:
        return False
    return asked.scheme == "https" or (asked.scheme == "http" and _is_local(asked.host) and _is_local(of.host))


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _judge(answer: httpx.Response) -> None:
    if answer.is_client_error and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        raise IssuerRefused(answer.status_code)
    if answer.status_code != HTTPStatus.OK:
        raise IssuerUnavailable(f"status {answer.status_code}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise IssuerUnavailable("the answer is not JSON")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise IssuerUnavailable("the answer is compressed, though that was not offered")


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise IssuerUnavailable(f"the answer has more than {MAX_BYTES} bytes")
    return bytes(body)
