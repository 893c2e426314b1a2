"""Tokens as an attacker makes them: of the gateway's own form, but for one thing that is wrong."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from auth.signing_keys import SigningKey, SigningKeys
from auth.tokens import MAX_TOKEN_LENGTH
from tests.serving import ADA, Running

HOUR = 3_600
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
OTHER_ED = Ed25519PrivateKey.generate()
OTHER_RSA = generate_private_key(65_537, key_size=2_048)
OTHER_EC = ec.generate_private_key(ec.SECP256R1())


def encoded(value: object) -> str:
    """A part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Knows what a client of the gateway knows, and has its private key beside, to be wrong in one thing alone."""

    def __init__(self, gateway: Running) -> None:
        self.own: SigningKey = SigningKeys(gateway.app.state.gateway.settings.key_file).current
        self.good = gateway.token(ADA)
        self.header: dict[str, Any] = jwt.get_unverified_header(self.good)
        self.claims: dict[str, Any] = jwt.decode(self.good, options={"verify_signature": False})
        self.public = self.own.private.public_key()
        self.now = int(time.time())

    def signed(self, claims: object = None, header: object = None) -> str:
        """A token of any form, with a signature of the gateway's own key over it."""
        message = f"{encoded(self.header if header is None else header)}.{encoded(claims or self.claims)}"
        return f"{message}.{encoded(self.signature(message.encode()))}"

    def signature(self, message: bytes) -> bytes:
        """What the gateway's own key says to a message."""
        if isinstance(self.own.private, RSAPrivateKey):
            return self.own.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.own.private.sign(message)

    def claiming(self, **changes: Any) -> str:
        """With other claims, signed as it should be."""
        return self.signed({**self.claims, **changes})

    def lacking(self, claim: str) -> str:
        """Without a claim, signed as it should be."""
        return self.signed({name: value for name, value in self.claims.items() if name != claim})

    def heading(self, **changes: Any) -> str:
        """With another header, signed as it should be; ``None`` leaves a parameter out."""
        return self.signed(header={k: v for k, v in {**self.header, **changes}.items() if v is not None})

    def unsigned(self, algorithm: object, signature: str = "") -> str:
        """With an algorithm that is none."""
        return f"{encoded({**self.header, 'alg': algorithm})}.{encoded(self.claims)}.{signature}"

    def tampered(self, **changes: Any) -> str:
        """Changed after it was signed."""
        header, _, signature = self.good.split(".")
        return f"{header}.{encoded({**self.claims, **changes})}.{signature}"

    def by(self, key: Any, algorithm: str, **header: Any) -> str:
        """Signed with another key; the header is the gateway's own but for what is given."""
        return jwt.encode(self.claims, key, algorithm, headers={**self.header, "alg": algorithm, **header})

    def with_hmac(self, secret: bytes, algorithm: str = "HS256") -> str:
        """Signed with what everybody knows, in the hope that it is taken for a secret."""
        digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(algorithm, hashlib.sha256)
        message = f"{encoded({**self.header, 'alg': algorithm})}.{encoded(self.claims)}"
        return f"{message}.{encoded(hmac.new(secret, message.encode(), digest).digest())}"

    def other_scheme(self) -> str:
        """Signed with the gateway's own key by a scheme that it is not pinned to."""
        if isinstance(self.own.private, RSAPrivateKey):
            return self.by(self.own.private, "PS256")
        return self.heading(alg="Ed25519")

    def malleable(self) -> str:
        """With a second signature that a lax verifier takes: S plus the order of the curve (RFC 8032, 5.1.7)."""
        message, _, signature = self.good.rpartition(".")
        raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
        if isinstance(self.own.private, RSAPrivateKey):
            return f"{message}.{encoded(bytes([0, *raw]))}"
        s = int.from_bytes(raw[32:], "little") + _ED25519_ORDER
        return f"{message}.{encoded(bytes(raw[:32]) + s.to_bytes(32, 'little'))}"


def own_jwk(forger: Forger) -> str:
    """Brings the key along that it was signed with."""
    raw = OTHER_ED.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return forger.by(OTHER_ED, "EdDSA", jwk={"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)})


Forgery = Callable[[Forger], str]

SIGNATURES: dict[str, Forgery] = {
    "none": lambda f: f.unsigned("none"),
    "none, in other letters": lambda f: f.unsigned("nOnE"),
    "none, the signature left": lambda f: f.unsigned("none", f.good.rpartition(".")[2]),
    "no algorithm": lambda f: f.heading(alg=None),
    "an empty algorithm": lambda f: f.heading(alg=""),
    "an algorithm that is a number": lambda f: f.heading(alg=0),
    "a list of algorithms": lambda f: f.heading(alg=["EdDSA", "RS256"]),
    "no signature": lambda f: f.good.rpartition(".")[0] + ".",
    "HS256 with the public key in PEM": lambda f: f.with_hmac(f.public.public_bytes(*_PEM)),
    "HS256 with the public key in PEM, stripped": lambda f: f.with_hmac(f.public.public_bytes(*_PEM).strip()),
    "HS384 with the public key in PEM": lambda f: f.with_hmac(f.public.public_bytes(*_PEM), "HS384"),
    "HS512 with the public key in PEM": lambda f: f.with_hmac(f.public.public_bytes(*_PEM), "HS512"),
    "HS256 with the public key in DER": lambda f: f.with_hmac(f.public.public_bytes(*_DER)),
    "HS256 with the published key": lambda f: f.with_hmac(json.dumps(f.own.jwk()).encode()),
    "HS256 with nothing": lambda f: f.with_hmac(b""),
    "HS256 that says it is ours": lambda f: f.with_hmac(f.public.public_bytes(*_PEM), f.own.algorithm),
    "another Ed25519 key": lambda f: f.by(OTHER_ED, "EdDSA"),
    "another RSA key": lambda f: f.by(OTHER_RSA, "RS256"),
    "another RSA key, PS256": lambda f: f.by(OTHER_RSA, "PS256"),
    "an elliptic curve": lambda f: f.by(OTHER_EC, "ES256"),
    "our key by another scheme": lambda f: f.other_scheme(),
    "a key of its own": own_jwk,
    "a key elsewhere": lambda f: f.by(OTHER_ED, "EdDSA", jku="http://127.0.0.1:1/keys.json"),
    "a certificate elsewhere": lambda f: f.by(OTHER_RSA, "RS256", x5u="http://127.0.0.1:1/", x5c=["AAAA"]),
    "a signature that was stretched": lambda f: f.malleable(),
    "another person": lambda f: f.tampered(sub="usr_" + "0" * 26),
    "another organization": lambda f: f.tampered(org="org_" + "0" * 26),
    "a later end": lambda f: f.tampered(exp=f.claims["exp"] + HOUR),
}
"""The signature is wrong, or says too little."""

HEADERS: dict[str, Forgery] = {
    "no key id": lambda f: f.heading(kid=None),
    "an empty key id": lambda f: f.heading(kid=""),
    "an unknown key id": lambda f: f.heading(kid="0" * 16),
    "a key id in other letters": lambda f: f.heading(kid=f.header["kid"].upper() + " "),
    "a key id that is a path": lambda f: f.heading(kid="../../../../dev/null"),
    "a key id that is a query": lambda f: f.heading(kid="' UNION SELECT 'key' --"),
    "a key id that is a command": lambda f: f.heading(kid="key; id"),
    "a key id that is a number": lambda f: f.heading(kid=0),
    "a key id that is a list": lambda f: f.heading(kid=[f.header["kid"]]),
    "a key id that is an object": lambda f: f.heading(kid={"kid": f.header["kid"]}),
    "a long key id": lambda f: f.heading(kid="k" * 2_000),
    "another type": lambda f: f.heading(typ="logout+jwt"),
    "a type that is a list": lambda f: f.heading(typ=["at+jwt"]),
    "what must be understood": lambda f: f.heading(crit=["exp2"], exp2=1),
    "nothing that must be understood": lambda f: f.heading(crit=[]),
    "an unencoded payload": lambda f: f.heading(b64=False, crit=["b64"]),
    "a compressed payload": lambda f: f.heading(zip="DEF"),
    "a content type": lambda f: f.heading(cty="JWT"),
    "our key beside": lambda f: f.heading(jwk=f.own.jwk()),
    "our key elsewhere": lambda f: f.heading(jku="http://127.0.0.1:1/.well-known/jwks.json"),
    "a header that is a list": lambda f: f.signed(header=[f.header]),
    "a header that is no JSON": lambda f: f.signed(header=b"\xff{"),
    "a deep header": lambda f: f.signed(header=b"[" * 1_000 + b"]" * 1_000),
}
"""The gateway's own key has signed it, and the header says something that it never says."""


def _lacking(claim: str) -> Forgery:
    return lambda forger: forger.lacking(claim)


CLAIMS: dict[str, Forgery] = {
    **{f"without {name}": _lacking(name) for name in ("iss", "aud", "exp", "iat", "sub", "org", "sid")},
    "another issuer": lambda f: f.claiming(iss="https://elsewhere.example"),
    "an issuer that begins alike": lambda f: f.claiming(iss=f"{f.claims['iss']}/"),
    "several issuers": lambda f: f.claiming(iss=[f.claims["iss"]]),
    "another audience": lambda f: f.claiming(aud="elsewhere"),
    "several audiences": lambda f: f.claiming(aud=[f.claims["aud"], "elsewhere"]),
    "ended": lambda f: f.claiming(iat=f.now - 2 * HOUR, exp=f.now - HOUR),
    "ended a moment ago": lambda f: f.claiming(iat=f.now - HOUR, exp=f.now - 10),
    "not yet": lambda f: f.claiming(nbf=f.now + HOUR),
    "from the future": lambda f: f.claiming(iat=f.now + HOUR, exp=f.now + 2 * HOUR),
    "an end that is a text": lambda f: f.claiming(exp="soon"),
    "an end that is nothing": lambda f: f.claiming(exp=None),
    "an end that is a list": lambda f: f.claiming(exp=[f.claims["exp"]]),
    "an end beyond all years": lambda f: f.claiming(exp=10**30),
    "an end that is no number": lambda f: f.signed(json.dumps({**f.claims, "exp": float("nan")}).encode()),
    "an end that is infinite": lambda f: f.signed(json.dumps({**f.claims, "exp": float("inf")}).encode()),
    "a start that is a text": lambda f: f.claiming(iat="soon"),
    "nobody": lambda f: f.claiming(sub=""),
    "somebody who is a number": lambda f: f.claiming(sub=7),
    "somebody who is a list": lambda f: f.claiming(sub=[f.claims["sub"]]),
    "somebody who is not there": lambda f: f.claiming(sub="usr_" + "0" * 26),
    "no organization": lambda f: f.claiming(org=""),
    "an organization that is a number": lambda f: f.claiming(org=7),
    "an organization that is an object": lambda f: f.claiming(org={"id": f.claims["org"]}),
    "no session": lambda f: f.claiming(sid=""),
    "a session that is nothing": lambda f: f.claiming(sid=None),
    "claims that are a list": lambda f: f.signed([f.claims]),
    "claims that are a text": lambda f: f.signed("claims"),
    "claims that are no JSON": lambda f: f.signed(b"\xff\xfe"),
    "claims that are deep": lambda f: f.signed(b"[" * 1_200 + b"]" * 1_200),
    "claims that were signed for somebody else": lambda f: f.signed({"sub": f.claims["sub"]}),
    "more than fits": lambda f: f.claiming(padding="x" * MAX_TOKEN_LENGTH),
}
"""The gateway's own key has signed it, and it says something that it never says."""

FORMS: dict[str, Forgery] = {
    "a word": lambda _: "garbage",
    "one dot": lambda _: ".",
    "two dots": lambda _: "..",
    "many dots": lambda _: "." * 4_000,
    "two parts": lambda f: f.good.rpartition(".")[0],
    "four parts": lambda f: f"{f.good}.{f.good.rpartition('.')[2]}",
    "five parts, as if encrypted": lambda f: f"{f.good}.AAAA.AAAA",
    "each part twice": lambda f: ".".join(part + part for part in f.good.split(".")),
    "itself twice": lambda f: f.good + f.good,
    "another behind it": lambda f: f"{f.good}, Bearer {f.good}",
    "itself in JSON": lambda f: json.dumps({"payload": f.good.split(".")[1], "signature": f.good.split(".")[2]}),
    "a space within": lambda f: f"{f.good[:40]} {f.good[40:]}",
    "a percent sign": lambda _: "%00.%00.%00",
    "a letter less": lambda f: f.good[:-3],
    "a letter more": lambda f: f.good + "AAAA",
    "other letters for the same bits": lambda f: f.good.replace("-", "+").replace("_", "/") + "+",
    "letters of another alphabet": lambda f: f.good[:-1] + "é",
    "the parts in another order": lambda f: ".".join(reversed(f.good.split("."))),
}
"""No token, or not one."""

FORGED = {
    f"{group}: {kind}": forge
    for group, forgeries in {"signature": SIGNATURES, "header": HEADERS, "claims": CLAIMS, "form": FORMS}.items()
    for kind, forge in forgeries.items()
}
