"""Access tokens: short-lived JWTs (RFC 7519, RFC 9068) that this gateway signs and checks itself.

The algorithm is never the token's to choose: it is that of the key that ``kid`` names among our own.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt

from auth.errors import InvalidToken
from auth.proof import Proof
from auth.signing_keys import SigningKeys

AUDIENCE = "tributary"
MAX_TOKEN_LENGTH = 4096
REMEMBERED = 10_000
LEEWAY = timedelta(seconds=5)
_HEADERS = frozenset({"alg", "kid", "typ"})
_TYPES = frozenset({None, "JWT", "at+jwt"})


@dataclass(frozen=True)
class IssuedToken:
    """A token as it is handed out."""

    text: str
    expires_at: datetime


class Tokens:
    """Issues and checks access tokens.

    A token that has been checked is remembered by its hash until it ends, so that checking it again is a look-up.
    """

    def __init__(self, keys: SigningKeys, *, issuer: str, lifetime: timedelta) -> None:
        self._keys = keys
        self.issuer = issuer
        self.lifetime = lifetime
        self._known: OrderedDict[bytes, Proof] = OrderedDict()
        self._generation = keys.generation

    def issue(self, *, user_id: str, organization_id: str, session_id: str) -> IssuedToken:
        """A new token for a session of a person, to act for an organization unless a request names another."""
        now = datetime.now(UTC)
        expires_at = (now + self.lifetime).replace(microsecond=0)
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user_id,
            "org": organization_id,
            "sid": session_id,
            "iat": now,
            "exp": expires_at,
        }
        key = self._keys.current
        text = jwt.encode(claims, key.private, key.algorithm, headers={"kid": key.id, "typ": "at+jwt"})
        return IssuedToken(text, expires_at)

    def jwks(self) -> dict[str, Any]:
        """The public keys, for whoever wants to check a token without asking."""
        return self._keys.jwks()

    def verify(self, token: str) -> Proof:
        """Who a token speaks for; raises ``InvalidToken`` and never says why."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken
        fingerprint = sha256(token.encode()).digest()
        proof = self._known.get(fingerprint)
        if proof is not None:
            self._keys.current  # noqa: B018 -- looks at the file, for a key may have been taken away
        if self._generation != self._keys.generation:
            self._known.clear()
            self._generation = self._keys.generation
            proof = None
        if proof is None:
            proof = self._checked(token)
            self._known[fingerprint] = proof
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if proof.expires_at is None or proof.expires_at + LEEWAY < datetime.now(UTC):
            self._known.pop(fingerprint, None)
            raise InvalidToken
        return proof

    def _checked(self, token: str) -> Proof:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid", ""))
            if key is None or not header.keys() <= _HEADERS or header.get("typ") not in _TYPES:
                raise InvalidToken
            claims = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "iss", "aud"], "strict_aud": True},
            )
            named = (claims["sub"], claims["org"], claims["sid"])
            ends = datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, OSError, RecursionError):
            raise InvalidToken from None
        if not all(isinstance(value, str) and value for value in named):
            raise InvalidToken
        user_id, organization_id, session_id = named
        return Proof(user_id=user_id, home_id=organization_id, session_id=session_id, expires_at=ends)
