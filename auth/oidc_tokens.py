"""Whether an access token of an outside issuer holds: RFC 7519, RFC 8725 (best practices) and RFC 9068 (its profile).

A token is read strictly before its signature is looked at: what two readers could understand in two ways (a name twice
in one object, letters that base64url does not have, bits that it leaves over) is no token.
"""

import binascii
import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from auth.errors import InvalidToken
from auth.oidc_keys import IssuerKey
from auth.oidc_settings import IssuerSettings

MAX_TOKEN_LENGTH = 8192
MAX_SUBJECT = 255
"""What OpenID Connect Core 1.0 (section 2) allows."""

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_FOREIGN_KEYS = frozenset({"jwk", "jku", "x5u", "x5c"})
_OTHER_READINGS = frozenset({"crit", "b64", "zip", "enc", "cty"})
_OF_OTHER_TOKENS = frozenset({"nonce", "at_hash", "c_hash", "events"})
"""Claims of ID tokens, and of the notices of OpenID Connect Back-Channel Logout 1.0."""
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")
_TIMES = ("exp", "iat", "nbf")
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""

FindKey = Callable[[str | None, str], Awaitable[IssuerKey | None]]


@dataclass(frozen=True)
class ReadToken:
    """A token's header and claims, before anything of them is proven."""

    text: str
    key_id: str | None
    algorithm: str
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class CheckedToken:
    """A token that holds until ``expires_at``, and the key that proves it."""

    claims: Mapping[str, Any]
    subject: str
    expires_at: datetime
    key_id: str | None
    algorithm: str
    key: IssuerKey


def read(token: str) -> ReadToken:
    """A token as it is written; raises ``InvalidToken``."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken
    try:
        header, claims, _ = (_decoded(part) for part in token.split("."))
        read_header, read_claims = _object(header), _object(claims)
    except (ValueError, RecursionError):  # also what json and base64 raise
        raise InvalidToken from None
    algorithm, key_id = read_header.get("alg"), read_header.get("kid")
    kind = read_header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None) or not isinstance(kind, str):
        raise InvalidToken
    if kind.lower() not in _TYPES or (_FOREIGN_KEYS | _OTHER_READINGS) & read_header.keys():
        raise InvalidToken
    return ReadToken(token, key_id, algorithm, read_claims)


async def check(token: ReadToken, settings: IssuerSettings, find_key: FindKey) -> CheckedToken:
    """The token, proven to be an access token for this gateway by this issuer; raises ``InvalidToken``."""
    if token.algorithm not in settings.algorithms:
        raise InvalidToken
    key = await find_key(token.key_id, token.algorithm)
    if key is None:
        raise InvalidToken
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token.text,
            key.public,
            algorithms=[token.algorithm],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway,
            options={"require": list(_REQUIRED)},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidToken from None
    if not _is_access_token(claims, settings) or not _times_are_sane(claims):
        raise InvalidToken
    subject = text(claims.get("sub"))
    if subject is None:
        raise InvalidToken
    ends = datetime.fromtimestamp(claims["exp"], UTC)
    return CheckedToken(claims, subject, ends, token.key_id, token.algorithm, key)


def text(value: object, longest: int = MAX_SUBJECT) -> str | None:
    """``value`` if it is a text that can be stored and shown: without control characters and lone surrogates."""
    return value if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() else None


def _is_access_token(claims: Mapping[str, Any], settings: IssuerSettings) -> bool:
    """An ID token says who signed in to a client; whoever has it may ask for nothing in their name."""
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    clients = {name: claims[name] for name in ("azp", "client_id") if name in claims}
    if not all(isinstance(value, str) for value in (*audience, *clients.values())):
        return False
    if _OF_OTHER_TOKENS & claims.keys() or set(audience) <= {*clients.values(), *(settings.client_ids or ())}:
        return False
    return settings.client_ids is None or (bool(clients) and set(clients.values()) <= set(settings.client_ids))


def _times_are_sane(claims: Mapping[str, Any]) -> bool:
    """Numbers, as RFC 7519 has it; PyJWT also takes texts of digits."""
    times = [claims[name] for name in _TIMES if name in claims]
    numbers = all(isinstance(time, int | float) and not isinstance(time, bool) for time in times)
    return (
        numbers
        and all(math.isfinite(time) and 0 < time <= _LAST_MOMENT for time in times)
        and bool(claims["iat"] < claims["exp"])
    )


def _decoded(part: str) -> bytes:
    try:
        raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidToken from None
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise InvalidToken
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    found = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refused)
    if not isinstance(found, dict):
        raise InvalidToken
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidToken
    return found


def _refused(_: str) -> float:
    raise InvalidToken  # NaN and Infinity are not JSON
