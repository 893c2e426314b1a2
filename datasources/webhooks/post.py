"""Posting to an address that a stranger has chosen: to the very machine that was looked at, and with nothing to learn.

The host is looked up here, all of its addresses are judged, and the connection goes to one of those (see
``addresses``): a name that leads elsewhere a moment later changes nothing. The certificate is verified for the name,
because the name is what TLS is told (``sni_hostname``). The transport is used by itself: no proxies of the
environment, no cookies, no redirects, and no connection that is shared with another host at the same address.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address
from threading import Thread
from typing import NamedTuple

import httpx

from datasources.webhooks.addresses import Address, UnfitUrl, check_addresses, check_url, host_of

SECONDS = 15.0
"""How long the answer may take, everything before it included."""
CONNECT_SECONDS = 5.0
"""How long one address may take to let us in, if there are others."""
FINISH_SECONDS = 1.0
"""How long the rest of an answer may take after its head."""
MAX_ANSWER_BYTES = 64 << 10
MOST_ADDRESSES = 3
"""How many addresses of a name are tried."""

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a name, the best first; raises ``OSError`` or ``UnicodeError``."""


class Answer(NamedTuple):
    """The status of an answer, and its ``Retry-After`` as it came."""

    status: int
    retry_after: str | None


class NotPosted(Exception):
    """There was no answer; the message says why, in words of ours alone, for whoever runs the receiver."""


class Poster:
    """Posts bodies. ``networks``: private ones that may be posted to; ``tls``: what certificates are verified with."""

    def __init__(
        self, networks: Sequence[str] = (), *, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._networks = networks
        self._resolve = resolve or look_up
        self._given_tls = tls

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        """Made when it is first used: it reads the machine's certificates, which takes a while."""
        return httpx.AsyncHTTPTransport(
            verify=self._given_tls or ssl.create_default_context(),
            trust_env=False,
            # The pool tells connections apart by address and port, not by the name that was verified.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Posts ``body``; raises ``NotPosted``."""
        try:
            async with asyncio.timeout(SECONDS):
                response = await self._post(url, headers, body)
        except TimeoutError:
            raise NotPosted(f"it did not answer within {SECONDS:.0f} seconds") from None
        except UnfitUrl as error:
            raise NotPosted(f"nothing is sent there. {error}") from None
        await _let_it_finish(response)
        return Answer(response.status_code, response.headers.get("retry-after"))

    async def close(self) -> None:
        """Closes every connection."""
        if "_transport" in vars(self):
            await self._transport.aclose()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """The head of the answer."""
        parsed = check_url(url, self._networks)
        *others, last = await self._addresses(parsed)
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._post_to(address, parsed, headers, body, patience=CONNECT_SECONDS)
        try:
            return await self._post_to(last, parsed, headers, body, patience=SECONDS)
        except httpx.ConnectError as error:
            raise NotPosted(_connecting_failed(error)) from None

    async def _addresses(self, url: httpx.URL) -> Sequence[Address]:
        """Where to connect to; every address of the name must be fit, not only those that are used."""
        host = host_of(url)
        try:
            found: Sequence[Address] = [ip_address(host)]
        except ValueError:
            try:
                found = await self._resolve(host, url.port or 0)
            except (OSError, UnicodeError):
                found = ()
        if not found:
            raise NotPosted("its name cannot be found")
        check_addresses(found, self._networks, encrypted=url.scheme == "https")
        return found[:MOST_ADDRESSES]

    async def _post_to(
        self, address: Address, url: httpx.URL, headers: Mapping[str, str], body: bytes, *, patience: float
    ) -> httpx.Response:
        request = httpx.Request(
            "POST",
            url.copy_with(host=str(address)),
            headers={**headers, "host": url.netloc.decode("ascii")},
            content=body,
            extensions={"sni_hostname": host_of(url), "timeout": {"connect": patience}},
        )
        try:
            return await self._transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except httpx.RemoteProtocolError:
            raise NotPosted("what it answered is not HTTP, or broke off") from None
        except httpx.TransportError:
            raise NotPosted("the connection broke before it answered") from None


async def look_up(host: str, port: int) -> Sequence[Address]:
    """What the machine's resolver says; raises ``OSError`` or ``UnicodeError``.

    On a thread of its own: a name server that lets us wait keeps no thread of a pool, nor the process from ending.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def settle(addresses: Sequence[Address] | None, error: Exception | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses or ())

    def run() -> None:
        addresses, error = None, None
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [ip_address(answer[4][0]) for answer in answers]
        except (OSError, ValueError) as problem:
            error = problem if isinstance(problem, OSError | UnicodeError) else OSError(str(problem))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, addresses, error)

    Thread(target=run, name="webhook-name", daemon=True).start()
    return await found


async def _let_it_finish(response: httpx.Response) -> None:
    """Reads what there is of a body, up to a limit, and forgets it: the status alone counts, and it is here already."""
    size = 0
    try:
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                    if size > MAX_ANSWER_BYTES:
                        break
    finally:
        await response.aclose()


def _connecting_failed(error: httpx.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate does not hold for its name"
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection to it could be made"
        cause = cause.__cause__ or cause.__context__
    return "no connection to it could be made"
