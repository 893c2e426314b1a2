"""Sessions of pages in a browser: the tokens in cookies that no script can read.

The cookies have the prefix ``__Host-`` (RFC 6265bis): Secure, for this host alone, on every path. What a page may read
is the third one, the CSRF token: an HMAC of the session's id, which each POST must repeat in the header
``X-CSRF-Token`` (OWASP's signed double submit). A page of another site can neither read the cookie nor send the header.
"""

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from auth.caller import Caller, Reply

ACCESS = "__Host-tributary-access"
REFRESH = "__Host-tributary-refresh"
CSRF = "__Host-tributary-csrf"
CSRF_HEADER = "x-csrf-token"

SameSite = Literal["strict", "lax", "none"]


class Cookies:
    """Reads, sets and clears the cookies of a session. ``key``: 32 bytes, for the CSRF tokens."""

    def __init__(self, key: bytes, *, same_site: SameSite = "strict") -> None:
        self._key = key
        self._attributes = f"Path=/; Secure; SameSite={same_site.capitalize()}"

    def csrf_token(self, session_id: str) -> str:
        """What a page must send with each POST of this session."""
        return hmac.new(self._key, session_id.encode(), sha256).hexdigest()

    def csrf_holds(self, caller: Caller, session_id: str) -> bool:
        """Whether a request may change something in the name of this session."""
        given = caller.headers.get(CSRF_HEADER, "")
        return hmac.compare_digest(given.encode(), self.csrf_token(session_id).encode())

    def put(
        self, reply: Reply, session_id: str, *, access: tuple[str, datetime], refresh: tuple[str, datetime]
    ) -> None:
        """Sets the three cookies; each token with the moment at which it ends."""
        reply.cookies += [
            self._cookie(ACCESS, *access, hidden=True),
            self._cookie(REFRESH, *refresh, hidden=True),
            self._cookie(CSRF, self.csrf_token(session_id), refresh[1], hidden=False),
        ]

    def clear(self, reply: Reply) -> None:
        """Takes the three cookies back."""
        past = datetime.fromtimestamp(0, UTC)
        reply.cookies += [self._cookie(name, "", past, hidden=name != CSRF) for name in (ACCESS, REFRESH, CSRF)]

    def _cookie(self, name: str, value: str, ends: datetime, *, hidden: bool) -> str:
        seconds = max(0, int((ends - datetime.now(UTC)).total_seconds()))
        return f"{name}={value}; Max-Age={seconds}; {self._attributes}{'; HttpOnly' if hidden else ''}"


def cookie(caller: Caller, name: str) -> str | None:
    """The value of a cookie of the request; the first, as browsers send the one that fits best first."""
    for pair in caller.headers.get("cookie", "").split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value or None
    return None
