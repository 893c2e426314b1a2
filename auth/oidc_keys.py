"""The public keys of outside issuers, kept for as long as they are good for.

A set is asked for again after ten minutes, which bounds how long a key that was withdrawn is believed; and when a token
names a key that is not in it, but for that at most every 30 seconds, so that tokens with made-up key ids cannot turn
the gateway against the issuer. While the issuer does not answer, the last set is used for a day: a fault there does not
sign everybody out here, and a key that was withdrawn because it was stolen is not believed for ever by cutting the
gateway off from its issuer.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from datasources.oidc import Discovery, IssuerClient, IssuerUnavailable

FRESH_SECONDS = 600.0
SEARCH_SECONDS = 30.0
"""The shortest time between two searches for unknown keys, and between two tries while the issuer does not answer."""
STALE_SECONDS = 86_400.0
MIN_RSA_BITS = 2048

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_FITTING = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256"}),
    "EC": frozenset({"ES256"}),
    "OKP": frozenset({"EdDSA"}),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IssuerKey:
    """A key that verifies; ``algorithms`` are those of the issuer that it fits, ``digest`` tells keys apart."""

    id: str | None
    public: PublicKey
    algorithms: frozenset[str]
    digest: bytes


class IssuerKeys:
    """The keys of one issuer. ``clock`` counts seconds."""

    def __init__(
        self,
        issuer: str,
        algorithms: Sequence[str],
        client: IssuerClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._algorithms = frozenset(algorithms)
        self._client = client
        self._clock = clock
        self._keys: tuple[IssuerKey, ...] = ()
        self._discovery: Discovery | None = None
        self._fetched_at = float("-inf")
        self._retry_at = float("-inf")
        self._search_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    @property
    def userinfo_endpoint(self) -> str | None:
        """Where the issuer tells whose a token is, as far as it said so."""
        return None if self._discovery is None else self._discovery.userinfo_endpoint

    async def find(self, key_id: str | None, algorithm: str) -> IssuerKey | None:
        """The key with this id that signs with this algorithm of RFC 7518.

        A token need not name its key (RFC 7515 section 4.1.4), and some small providers do not: without ``key_id`` it
        is the issuer's only key for the algorithm, and where there are several, none. Two keys of one id are none too.
        """
        asked_at = self._clock()
        if asked_at >= self._fetched_at + FRESH_SECONDS and asked_at >= self._retry_at:
            await self._fetch()
        found = self._matching(key_id, algorithm)
        if found is None and self._fetched_at < asked_at and self._may_search():
            await self._fetch()
            found = self._matching(key_id, algorithm)
        return found

    async def close(self) -> None:
        """Ends a fetch that is under way."""
        if self._fetching is not None and not self._fetching.done():
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _may_search(self) -> bool:
        """Whether to ask for an unknown key: when that is being done already, or was not done lately."""
        if self._fetching is not None and not self._fetching.done():
            return True
        if self._clock() < self._search_at:
            return False
        self._search_at = self._clock() + SEARCH_SECONDS
        return True

    def _matching(self, key_id: str | None, algorithm: str) -> IssuerKey | None:
        if self._clock() >= self._fetched_at + STALE_SECONDS:
            return None
        fitting = [key for key in self._keys if algorithm in key.algorithms and key_id in (None, key.id)]
        return fitting[0] if len(fitting) == 1 else None

    async def _fetch(self) -> None:
        """Asks the issuer, once for all who wait; one who stops waiting does not stop it."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._load())
        await asyncio.shield(self._fetching)

    async def _load(self) -> None:
        try:
            discovery = await self._client.discover(self._issuer)
            published = await self._client.keys(self._issuer, discovery.jwks_uri)
        except IssuerUnavailable as error:
            self._retry_at = self._search_at = self._clock() + SEARCH_SECONDS
            logger.warning("the keys of %s cannot be had, the last ones stay in use: %s", self._issuer, error)
            return
        self._discovery = discovery
        self._keys = usable(published, self._algorithms)
        self._fetched_at = self._clock()
        if not self._keys:
            logger.warning("%s publishes no key that fits the algorithms that are configured for it", self._issuer)


def usable(published: Sequence[object], algorithms: frozenset[str]) -> tuple[IssuerKey, ...]:
    """The keys of a set that verify signatures with one of ``algorithms``; the others are left out."""
    keys = (_key(each, algorithms) for each in published if isinstance(each, dict))
    return tuple(key for key in keys if key is not None)


def _key(jwk: Mapping[str, Any], algorithms: frozenset[str]) -> IssuerKey | None:
    key_id, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    meant = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not meant or not isinstance(key_id, str | None):
        return None
    kind = jwk.get("kty")
    fitting = _FITTING.get(kind, frozenset()) & algorithms if isinstance(kind, str) else frozenset()
    if "alg" in jwk:
        fitting &= {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset()
    public = _public(kind, jwk) if fitting else None
    if public is None:
        return None
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return IssuerKey(key_id, public, fitting, sha256(spki).digest())


def _public(kind: object, jwk: Mapping[str, Any]) -> PublicKey | None:
    """The key, if it is sound; ``None`` also for one whose private part was published, for then everybody has it."""
    try:
        if kind == "RSA":
            rsa = RSAAlgorithm.from_jwk(dict(jwk))
            return rsa if isinstance(rsa, RSAPublicKey) and rsa.key_size >= MIN_RSA_BITS else None
        if kind == "EC":
            curve = ECAlgorithm.from_jwk(dict(jwk))
            return curve if isinstance(curve, EllipticCurvePublicKey) and isinstance(curve.curve, SECP256R1) else None
        edwards = OKPAlgorithm.from_jwk(dict(jwk))
        return edwards if isinstance(edwards, Ed25519PublicKey) else None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError):
        return None
