"""Access tokens: short-lived JWTs (RFC 7519) that this gateway signs with EdDSA (RFC 8037) and checks itself."""

import os
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.errors import InvalidToken
from auth.principal import MemberRole, Principal
from auth.scopes import ROLE_SCOPES

ALGORITHM = "EdDSA"
AUDIENCE = "tributary"
MAX_TOKEN_LENGTH = 4096
REMEMBERED = 10_000
LEEWAY = timedelta(seconds=5)


@dataclass(frozen=True)
class IssuedToken:
    """A token as it is handed out."""

    text: str
    expires_at: datetime


def signing_key(path: Path, *, create: bool) -> Ed25519PrivateKey:
    """The private key in this PEM file; with ``create`` a new one is written, for its owner only, when there is none.

    Raises ``FileNotFoundError`` without ``create``, and ``ValueError`` when the file holds no Ed25519 key.
    """
    if create and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # for its owner only
        staged = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        try:
            os.link(staged, path)  # of two processes that start at once, one wins and both use its key
        except FileExistsError:
            pass
        finally:
            staged.unlink()
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path} holds no Ed25519 private key"
        raise ValueError(message)  # noqa: TRY004 -- the content is wrong, not a type in our code
    return key


class Tokens:
    """Issues and checks access tokens.

    A token that has been checked is remembered by its hash until it ends, so that checking it again is a look-up.
    """

    def __init__(self, key: Ed25519PrivateKey, *, issuer: str, lifetime: timedelta) -> None:
        self._key = key
        self._public_key = key.public_key()
        self._issuer = issuer
        self._lifetime = lifetime
        raw = self._public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = sha256(raw).hexdigest()[:16]
        self._known: OrderedDict[bytes, Principal] = OrderedDict()

    def issue(self, *, user_id: str, organization_id: str, role: MemberRole, session_id: str) -> IssuedToken:
        """A new token for a person in an organization."""
        now = datetime.now(UTC)
        expires_at = (now + self._lifetime).replace(microsecond=0)
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": user_id,
            "org": organization_id,
            "role": role.value,
            "sid": session_id,
            "iat": now,
            "exp": expires_at,
        }
        return IssuedToken(jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self.key_id}), expires_at)

    def verify(self, token: str) -> Principal:
        """Who a token speaks for; raises ``InvalidToken`` and never says why."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken
        fingerprint = sha256(token.encode()).digest()
        principal = self._known.get(fingerprint)
        if principal is None:
            principal = self._checked(token)
            self._known[fingerprint] = principal
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if principal.expires_at is None or principal.expires_at + LEEWAY < datetime.now(UTC):
            self._known.pop(fingerprint, None)
            raise InvalidToken
        return principal

    def _checked(self, token: str) -> Principal:
        try:
            claims = jwt.decode(
                token,
                self._public_key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
            role = MemberRole(claims["role"])
            user_id, organization_id, expires = claims["sub"], claims["org"], claims["exp"]
            ends = datetime.fromtimestamp(expires, UTC)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, OSError):
            raise InvalidToken from None
        session_id = claims.get("sid")
        if not all(isinstance(value, str) and value for value in (user_id, organization_id)):
            raise InvalidToken
        return Principal(
            user_id=user_id,
            organization_id=organization_id,
            role=role,
            scopes=ROLE_SCOPES[role],
            session_id=session_id if isinstance(session_id, str) else None,
            expires_at=ends,
        )
