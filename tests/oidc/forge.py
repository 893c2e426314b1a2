"""Makes tokens by hand, right ones and wrong ones."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from jwt.algorithms import Algorithm, get_default_algorithms

from tests.oidc.issuer import API, APP, private

HOUR = 3600


def encoded(value: object) -> str:
    """A part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class Forge:
    """Signs as ``issuer`` with its own ``keys``, or with others."""

    issuer: str
    keys: list[dict[str, Any]]

    def key(self, algorithm: str) -> dict[str, Any]:
        """The issuer's key for an algorithm."""
        return next(key for key in self.keys if key["alg"] == algorithm)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a token that holds; ``...`` leaves one out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "sub": "auth0|forged",
            "aud": [API, f"{self.issuer}/userinfo"],
            "azp": APP,
            "iat": now,
            "exp": now + HOUR,
            "scope": "openid",
            "email_verified": False,
            "email": "forged@example.com",
        }
        return {name: value for name, value in {**usual, **changes}.items() if value is not ...}

    def sign(
        self,
        claims: object = None,
        algorithm: str = "RS256",
        *,
        header: Mapping[str, Any] | None = None,
        key: Mapping[str, Any] | None = None,
        by: str | None = None,
    ) -> str:
        """A token with these claims (bytes are taken as they are).

        ``header`` changes the header, ``key`` is another one than the issuer's for the algorithm, and ``by`` what the
        signature is really made by.
        """
        key = key or self.key(algorithm)
        head = {"alg": algorithm, "typ": "JWT", "kid": key.get("kid"), **(header or {})}
        head = {name: value for name, value in head.items() if value is not ...}
        message = f"{encoded(head)}.{encoded(self.claims() if claims is None else claims)}"
        signer: Algorithm = get_default_algorithms()[by or algorithm]
        return f"{message}.{encoded(signer.sign(message.encode(), private(key)))}"

    def with_secret(self, secret: bytes, algorithm: str = "HS256", **header: Any) -> str:
        """A token signed with what everybody knows, in the hope that it is taken for a secret."""
        message = f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': 'rsa', **header})}.{encoded(self.claims())}"
        signer = get_default_algorithms()[f"HS{algorithm[-3:]}" if algorithm[-3:].isdigit() else "HS256"]
        return f"{message}.{encoded(signer.sign(message.encode(), secret))}"

    def public(self, form: str) -> bytes:
        """The issuer's RSA key as anybody might hold it."""
        key = private(self.key("RS256")).public_key()
        if form == "JWK":
            jwk = self.key("RS256")
            return json.dumps({name: jwk[name] for name in ("kty", "n", "e", "kid", "alg")}).encode()
        encoding = serialization.Encoding.PEM if form == "PEM" else serialization.Encoding.DER
        found: bytes = key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        return found

    def with_signature(self, signature: bytes, algorithm: str = "RS256") -> str:
        """A token with some other signature."""
        return f"{self.sign(algorithm=algorithm).rpartition('.')[0]}.{encoded(signature)}"

    def in_der(self) -> str:
        """An ES256 token whose signature is a right one, in the form that JOSE does not use (RFC 7518, 3.4)."""
        message = self.sign(algorithm="ES256").rpartition(".")[0]
        key = private(self.key("ES256"))
        assert isinstance(key, EllipticCurvePrivateKey)
        return f"{message}.{encoded(key.sign(message.encode(), ECDSA(hashes.SHA256())))}"
