"""Passwords that were found in breaches, from the range API of Have I Been Pwned.

https://haveibeenpwned.com/API/v3#PwnedPasswords: of the SHA-1 of a password the first five hex digits are sent, and the
endings of all hashes that begin so come back, each with how often it was found, so that the service learns neither the
password nor whether it is known (k-anonymity). With ``Add-Padding`` the answers are of one size for whoever watches the
line; the endings that were added have a count of 0.
"""

import asyncio
from hashlib import sha1

import httpx

PWNED_PASSWORDS_URL = "https://api.pwnedpasswords.com"
TIME_LIMIT_SECONDS = 2.0
MAX_ANSWER_BYTES = 1 << 20
_PREFIX = 5
_OK = 200


class BreachCheckFailed(Exception):
    """The service did not answer, not in time, or with something else; the message has nothing of a password."""


class BreachedPasswords:
    """A client of the range API at ``url``; asks nothing before the first password."""

    def __init__(self, url: str = PWNED_PASSWORDS_URL, *, time_limit: float = TIME_LIMIT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._time_limit = time_limit
        self._client: httpx.AsyncClient | None = None

    async def count(self, password: str) -> int:
        """How often a password was found in breaches; raises ``BreachCheckFailed``."""
        digest = sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        text = await self._range(digest[:_PREFIX])
        for line in text.splitlines():
            ending, _, count = line.strip().partition(":")
            if ending.upper() == digest[_PREFIX:]:
                return int(count) if count.isascii() and count.isdigit() else 0
        return 0

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _range(self, prefix: str) -> str:
        if self._client is None:
            headers = {"Add-Padding": "true", "User-Agent": "tributary"}
            self._client = httpx.AsyncClient(headers=headers, timeout=self._time_limit, follow_redirects=False)
        body = bytearray()
        try:
            async with asyncio.timeout(self._time_limit):
                async with self._client.stream("GET", f"{self._url}/range/{prefix}") as answer:
                    if answer.status_code != _OK:
                        raise BreachCheckFailed(f"it answered {answer.status_code}")
                    async for chunk in answer.aiter_bytes():
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            raise BreachCheckFailed("its answer is too long")
        except (httpx.HTTPError, TimeoutError) as error:
            raise BreachCheckFailed(f"no answer ({type(error).__name__})") from None
        return body.decode("ascii", errors="replace")
