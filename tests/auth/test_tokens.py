"""Access tokens: whatever is not exactly what this gateway handed out is refused, everywhere alike."""

import base64
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from auth.errors import InvalidToken
from auth.signing_keys import SigningKey, SigningKeys, create_signing_keys
from auth.tokens import AUDIENCE, MAX_TOKEN_LENGTH, Tokens
from tests.serving import ADA, Running, running

REFUSED = {
    "errors": [
        {
            "message": "The access token is not valid, or no longer. Sign in again.",
            "extensions": {"code": "UNAUTHENTICATED", "retryable": False},
        }
    ]
}


@pytest.fixture(scope="module")
def gateway(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway on the demo data; tokens do not depend on the database, so that one is enough."""
    folder = tmp_path_factory.mktemp("tokens")
    shutil.copy(seeded_sqlite, folder / "demo.db")
    with running(f"sqlite:///{folder / 'demo.db'}", folder) as server:
        yield server


def tokens_of(gateway: Running) -> Tokens:
    """What signs and checks the tokens of the gateway."""
    found: Tokens = gateway.app.state.gateway.access.tokens
    return found


def key_of(gateway: Running) -> SigningKey:
    """The key that signs at the moment."""
    return tokens_of(gateway)._keys.current


def private_key(gateway: Running) -> Ed25519PrivateKey:
    """Its private half."""
    found = key_of(gateway).private
    assert isinstance(found, Ed25519PrivateKey)
    return found


def encoded(value: object) -> str:
    """A part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_of(gateway: Running) -> dict[str, Any]:
    """The claims of a token that holds."""
    token = gateway.token(ADA)
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def signed(gateway: Running, changes: dict[str, Any] | None = None, *, without: str = "", **headers: Any) -> str:
    """A token that the gateway's own key signed, with other claims."""
    claims = {**claims_of(gateway), **(changes or {})}
    claims.pop(without, None)
    return jwt.encode(claims, private_key(gateway), "EdDSA", headers={"kid": key_of(gateway).id, **headers})


def hand_signed(gateway: Running, header: dict[str, Any], claims: object) -> str:
    """A token of any form that the gateway's own key signed."""
    message = f"{encoded({'kid': key_of(gateway).id, **header})}.{encoded(claims)}"
    return f"{message}.{encoded(private_key(gateway).sign(message.encode()))}"


def with_hmac(gateway: Running, secret: bytes, algorithm: str = "HS256") -> str:
    """A token that was signed with what everybody knows, in the hope that it is taken for a secret."""
    header = {"alg": algorithm, "typ": "JWT", "kid": key_of(gateway).id}
    message = f"{encoded(header)}.{encoded(claims_of(gateway))}"
    return f"{message}.{encoded(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def public_pem(gateway: Running) -> bytes:
    """The public key as anybody might hold it."""
    return (
        private_key(gateway)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def public_raw(gateway: Running) -> bytes:
    """The bytes of the public key."""
    return private_key(gateway).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def other_key(gateway: Running, **headers: Any) -> str:
    """A token that somebody else signed."""
    return jwt.encode(claims_of(gateway), Ed25519PrivateKey.generate(), "EdDSA", headers=headers or None)


def own_jwk(gateway: Running) -> str:
    """A token that brings the key along that it was signed with."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}
    return jwt.encode(claims_of(gateway), key, "EdDSA", headers={"jwk": jwk, "kid": key_of(gateway).id})


def tampered(gateway: Running, **changes: Any) -> str:
    """A token whose claims were changed after it was signed."""
    header, _, signature = gateway.token(ADA).split(".")
    return f"{header}.{encoded({**claims_of(gateway), **changes})}.{signature}"


def lacking(claim: str) -> Callable[[Running], str]:
    """Makes tokens without one of the claims."""
    return lambda gateway: signed(gateway, without=claim)


HOUR = 3600

FORGED: dict[str, Callable[[Running], str]] = {
    "no signature": lambda g: f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims_of(g))}.",
    "None in other letters": lambda g: f"{encoded({'alg': 'nOnE'})}.{encoded(claims_of(g))}.",
    "no signature, algorithm kept": lambda g: g.token(ADA).rpartition(".")[0] + ".",
    "two parts": lambda g: g.token(ADA).rpartition(".")[0],
    "HS256 with the public key in PEM": lambda g: with_hmac(g, public_pem(g)),
    "HS256 with the public key": lambda g: with_hmac(g, public_raw(g)),
    "HS256 with nothing": lambda g: with_hmac(g, b""),
    "HS256 called EdDSA": lambda g: with_hmac(g, public_raw(g), "EdDSA"),
    "another key": other_key,
    "another key, our key id": lambda g: other_key(g, kid=key_of(g).id),
    "a key id that is a path": lambda g: other_key(g, kid="../../dev/null"),
    "a key id that is a query": lambda g: other_key(g, kid="' OR 1=1 --"),
    "a key of its own": own_jwk,
    "a key elsewhere": lambda g: other_key(
        g, kid=key_of(g).id, jku="http://127.0.0.1:1/keys.json", x5u="http://127.0.0.1:1/"
    ),
    "another person": lambda g: tampered(g, sub="usr_" + "0" * 26),
    "a person that there is not": lambda g: signed(g, {"sub": "usr_" + "0" * 26}),
    "no key id": lambda g: jwt.encode(claims_of(g), private_key(g), "EdDSA"),
    "a key id that is no text": lambda g: hand_signed(g, {"alg": "EdDSA", "kid": 7}, claims_of(g)),
    "another type of token": lambda g: signed(g, typ="dpop+jwt"),
    "another issuer": lambda g: signed(g, {"iss": "http://elsewhere.example"}),
    "issuer nested": lambda g: signed(g, {"iss": f"{g.url}/"}),
    "another audience": lambda g: signed(g, {"aud": "elsewhere"}),
    "expired": lambda g: signed(g, {"exp": int(time.time()) - HOUR, "iat": int(time.time()) - 2 * HOUR}),
    "from the future": lambda g: signed(g, {"iat": int(time.time()) + HOUR, "exp": int(time.time()) + 2 * HOUR}),
    "not yet": lambda g: signed(g, {"nbf": int(time.time()) + HOUR}),
    **{f"without {name}": lacking(name) for name in ("exp", "iat", "sub", "iss", "aud", "org", "sid")},
    "a list for a session": lambda g: signed(g, {"sid": ["ses_a"]}),
    "several audiences": lambda g: signed(g, {"aud": [AUDIENCE, "elsewhere"]}),
    "no organization": lambda g: signed(g, {"org": ""}),
    "an organization that is no text": lambda g: signed(g, {"org": 7}),
    "nobody": lambda g: signed(g, {"sub": ""}),
    "somebody who is no text": lambda g: hand_signed(g, {"alg": "EdDSA"}, {**claims_of(g), "sub": 7}),
    "an end that is no number": lambda g: hand_signed(g, {"alg": "EdDSA"}, {**claims_of(g), "exp": "soon"}),
    "an end beyond all years": lambda g: hand_signed(g, {"alg": "EdDSA"}, {**claims_of(g), "exp": 10**30}),
    "an end that is nothing": lambda g: hand_signed(g, {"alg": "EdDSA"}, {**claims_of(g), "exp": None}),
    "claims that are a list": lambda g: hand_signed(g, {"alg": "EdDSA"}, [claims_of(g)]),
    "claims that are no JSON": lambda g: hand_signed(g, {"alg": "EdDSA"}, b"\xff\xfe"),
    "a header that is no JSON": lambda g: f"{encoded(b'no')}.{encoded(claims_of(g))}.{encoded(b'x' * 64)}",
    "a critical header": lambda g: hand_signed(g, {"alg": "EdDSA", "crit": ["exp2"], "exp2": 1}, claims_of(g)),
    "too long": lambda g: signed(g, {"padding": "x" * MAX_TOKEN_LENGTH}),
    "garbage": lambda _: "garbage",
    "dots": lambda _: "...",
    "many dots": lambda _: "." * 4_000,
    "percent": lambda _: "%00.%00.%00",
    "a space within": lambda g: g.token(ADA)[:40] + " " + g.token(ADA)[40:],
    "one letter less": lambda g: g.token(ADA)[:-3],
    "one letter more": lambda g: g.token(ADA) + "AAAA",
    "another token behind": lambda g: f"{g.token(ADA)}, Bearer {g.token(ADA)}",
}


def ask(gateway: Running, **headers: str) -> httpx.Response:
    """The response to a question that needs no rights, with these headers."""
    return httpx.post(gateway.graphql, json={"query": "{ __typename }"}, headers=headers)


def close_code(gateway: Running, authorization: str) -> tuple[int, str]:
    """How a socket is closed that begins with this."""
    with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as client:
        client.send(json.dumps({"type": "connection_init", "payload": {"Authorization": authorization}}))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=60)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_token_is_refused_and_the_answer_never_says_why(gateway: Running, kind: str) -> None:
    token = FORGED[kind](gateway)
    answer = ask(gateway, authorization=f"Bearer {token}")
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert close_code(gateway, f"Bearer {token}") == (4403, "Forbidden")


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YWRhOnB3", "Token {}", "{}", "Bearer{}"])
def test_a_header_of_another_form_is_refused_and_not_taken_for_nobody(gateway: Running, header: str) -> None:
    authorization = header.format(gateway.token(ADA))
    answer = ask(gateway, authorization=authorization)
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert close_code(gateway, authorization) == (4403, "Forbidden")


def test_over_events_a_forged_token_is_refused_the_same(gateway: Running) -> None:
    headers = {"authorization": "Bearer garbage", "accept": "text/event-stream"}
    body = {"query": "subscription { orderChanged { cursor } }"}
    answer = httpx.post(gateway.graphql, json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (401, REFUSED)


def test_the_token_that_was_handed_out_holds(gateway: Running) -> None:
    """So that the refusals above have a reason of their own."""
    for authorization in (f"Bearer {gateway.token(ADA)}", f"bearer  {gateway.token(ADA)}", f"BEARER {signed(gateway)}"):
        assert ask(gateway, authorization=authorization).json() == {"data": {"__typename": "Query"}}
    assert ask(gateway).json() == {"data": {"__typename": "Query"}}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """With a key of their own."""
    create_signing_keys(tmp_path / "signing-key.pem")
    return Tokens(SigningKeys(tmp_path / "signing-key.pem"), issuer="http://here", lifetime=timedelta(seconds=60))


def test_a_token_that_was_checked_before_still_ends(tokens: Tokens) -> None:
    given = tokens.issue(user_id="usr_a", organization_id="org_a", session_id="ses_a")
    proof = tokens.verify(given.text)
    assert tokens.verify(given.text) is proof
    (fingerprint,) = tokens._known
    tokens._known[fingerprint] = replace(proof, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(InvalidToken):
        tokens.verify(given.text)
    assert tokens._known == {}


def test_no_more_tokens_are_remembered_than_there_is_room_for(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.tokens.REMEMBERED", 10)
    for number in range(30):
        given = tokens.issue(user_id=f"usr_{number}", organization_id="org_a", session_id="ses_a")
        assert tokens.verify(given.text).user_id == f"usr_{number}"
    assert len(tokens._known) == 10


def test_a_token_says_no_more_than_it_must(gateway: Running) -> None:
    claims = claims_of(gateway)
    assert set(claims) == {"iss", "aud", "sub", "org", "sid", "iat", "exp"}
    assert claims["aud"] == AUDIENCE
    assert claims["exp"] - claims["iat"] in (1_799, 1_800)
    assert jwt.get_unverified_header(gateway.token(ADA)) == {
        "alg": "EdDSA",
        "kid": key_of(gateway).id,
        "typ": "at+jwt",
    }
