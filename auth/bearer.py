"""From the headers of a request, or the payload of a socket's ``connection_init``, to who is asking."""

from collections.abc import Mapping

from auth.errors import InvalidToken
from auth.principal import ANONYMOUS, Principal
from auth.tokens import Tokens


class BearerAuthentication:
    """Reads ``Authorization: Bearer …`` (RFC 6750). No header is nobody; a header that does not hold is refused."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def __call__(self, headers: Mapping[str, str]) -> Principal:
        """Who is asking; ``headers`` have lower-case names. Raises ``InvalidToken``."""
        header = headers.get("authorization")
        if header is None:
            return ANONYMOUS
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise InvalidToken
        return self._tokens.verify(token.strip())
