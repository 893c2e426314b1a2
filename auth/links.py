"""Links that carry their own permission: signed, and good for a while."""

import hmac
import time
from hashlib import sha256
from urllib.parse import urlencode


class Links:
    """Makes and checks links below ``base_url``.

    A signature is HMAC-SHA-256 over the path and the second in which the link ends, under ``key``: 32 bytes that serve
    this purpose alone.
    """

    def __init__(self, key: bytes, *, base_url: str, lifetime_seconds: int = 3600) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._lifetime = lifetime_seconds

    def to(self, path: str) -> str:
        """An absolute link to ``path``.

        Links made in the same quarter of their life are equal, so that caches keep them.
        """
        step = max(1, self._lifetime // 4)
        expires = (int(time.time()) // step + 1) * step + self._lifetime
        return f"{self._base_url}{path}?{urlencode({'expires': expires, 'signature': self._signature(path, expires)})}"

    def holds(self, path: str, expires: str | None, signature: str | None) -> bool:
        """Whether a link with these parameters was made here and has not ended."""
        if expires is None or signature is None or not expires.isascii() or not expires.isdigit() or len(expires) > 12:  # noqa: PLR2004
            return False
        fits = hmac.compare_digest(self._signature(path, int(expires)).encode(), signature.encode())
        return fits and int(expires) >= time.time()

    def _signature(self, path: str, expires: int) -> str:
        return hmac.new(self._key, f"{path}\n{expires}".encode(), sha256).hexdigest()
