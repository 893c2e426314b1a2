"""Who sent a webhook: HMAC-SHA-256 over the second in which it was signed, a full stop, and the body as it was sent.

The header reads ``Shop-Signature: t=1793871000,v1=5257a8…``. Several ``v1`` may stand in it, for the time in which the
shop changes its secret.
"""

import hmac
from hashlib import sha256

HEADER = "shop-signature"
MAX_HEADER = 1_000


def sign(secret: str, body: bytes, at: int) -> str:
    """The header for a body that is signed ``at`` (seconds since 1970)."""
    return f"t={at},v1={_digest(secret, str(at), body)}"


def holds(header: str, secret: str, body: bytes, *, now: float, tolerance: int) -> bool:
    """Whether the header was made with ``secret`` for this body, at most ``tolerance`` seconds from ``now``."""
    if len(header) > MAX_HEADER:
        return False
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:  # noqa: PLR2004
        return False
    wanted = _digest(secret, times[0], body).encode()
    # Every digest is compared, and each in constant time: how long it takes says nothing of how near a guess was.
    fits = [hmac.compare_digest(wanted, value.encode()) for name, _, value in parts if name == "v1"]
    return any(fits) and abs(now - int(times[0])) <= tolerance


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, sha256).hexdigest()
