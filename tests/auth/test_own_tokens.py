"""Access tokens: whatever is not exactly what this gateway handed out is refused, everywhere alike."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from auth.signing_keys import create_signing_keys
from auth.tokens import AUDIENCE
from tests.auth.forger import FORGED, Forger
from tests.serving import ADA, Running, running

REFUSED = {
    "errors": [
        {
            "message": "The access token is not valid, or no longer. Sign in again.",
            "extensions": {"code": "UNAUTHENTICATED", "retryable": False},
        }
    ]
}


@pytest.fixture(scope="module", params=["EdDSA", "RS256"])
def gateway(
    request: pytest.FixtureRequest, seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with a key of each kind; tokens do not depend on the database, so that one is enough."""
    folder = tmp_path_factory.mktemp("tokens")
    shutil.copy(seeded_sqlite, folder / "demo.db")
    create_signing_keys(folder / "signing-key.pem", algorithm=request.param)
    with running(f"sqlite:///{folder / 'demo.db'}", folder) as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One for all: making a client costs more than asking."""
    with httpx.Client(timeout=60, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def forger(gateway: Running) -> Forger:
    """Has everything that it takes."""
    return Forger(gateway)


def close_code(gateway: Running, authorization: str) -> tuple[int, str]:
    """How a socket is closed that begins with this."""
    with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": authorization}}))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_token_is_refused_and_the_answer_never_says_why(
    gateway: Running, client: httpx.Client, forger: Forger, kind: str
) -> None:
    header = f"Bearer {FORGED[kind](forger)}"
    question = {"query": "{ __typename }"}
    answer = client.post(gateway.graphql, json=question, headers={b"authorization": header.encode()})
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert close_code(gateway, header) == (4403, "Forbidden")


def test_a_forged_token_in_a_cookie_is_nobody(gateway: Running, client: httpx.Client, forger: Forger) -> None:
    """A browser sends a cookie wanted or not, with a sign-in too; so it is not refused, but lets nobody in."""
    for kind, forge in FORGED.items():
        text = forge(forger)
        if ";" in text or not text.isascii():
            continue
        cookie = {"cookie": f"__Host-tributary-access={text}"}
        answer = client.get(gateway.graphql, params={"query": "{ viewer { id } }"}, headers=cookie).json()
        assert answer["data"] == {"viewer": None}, kind
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YWRhOnB3", "Token {}", "{}", "Bearer{}"])
def test_a_header_of_another_form_is_refused_and_not_taken_for_nobody(
    gateway: Running, client: httpx.Client, header: str
) -> None:
    authorization = header.format(gateway.token(ADA))
    answer = client.post(gateway.graphql, json={"query": "{ __typename }"}, headers={"authorization": authorization})
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert close_code(gateway, authorization) == (4403, "Forbidden")


def test_over_events_a_forged_token_is_refused_the_same(gateway: Running, client: httpx.Client) -> None:
    headers = {"authorization": "Bearer garbage", "accept": "text/event-stream"}
    body = {"query": "subscription { orderChanged { cursor } }"}
    answer = client.post(gateway.graphql, json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (401, REFUSED)


def test_the_token_that_was_handed_out_holds(gateway: Running, client: httpx.Client, forger: Forger) -> None:
    """So that the refusals above have a reason of their own; one that the forger signs without a fault holds too."""
    assert forger.signed() != ""
    for token in (forger.good, forger.signed(), forger.heading(typ="JWT"), forger.heading(typ=None)):
        for word in ("Bearer", "bearer", "BEARER "):
            answer = client.post(
                gateway.graphql, json={"query": "{ viewer { email } }"}, headers={"authorization": f"{word} {token}"}
            )
            assert answer.json() == {"data": {"viewer": {"email": ADA}}}


def test_a_token_says_no_more_than_it_must(forger: Forger) -> None:
    assert set(forger.claims) == {"iss", "aud", "sub", "org", "sid", "iat", "exp"}
    assert forger.claims["aud"] == AUDIENCE
    assert forger.claims["exp"] - forger.claims["iat"] in (1_799, 1_800)
    assert forger.header == {"alg": forger.own.algorithm, "kid": forger.own.id, "typ": "at+jwt"}


def test_anybody_can_check_a_token_with_the_published_keys(gateway: Running, forger: Forger) -> None:
    """As a service behind the gateway does, with a library for it."""
    keys = jwt.PyJWKClient(f"{gateway.url}/.well-known/jwks.json")
    key = keys.get_signing_key_from_jwt(forger.good).key
    claims = jwt.decode(
        forger.good, key, algorithms=[forger.own.algorithm], audience=AUDIENCE, issuer=forger.claims["iss"]
    )
    assert claims == forger.claims


def test_only_the_public_halves_are_published(gateway: Running, client: httpx.Client, forger: Forger) -> None:
    answer = client.get(f"{gateway.url}/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/json"
    assert "max-age" in answer.headers["cache-control"]
    (key,) = answer.json()["keys"]
    public = {"EdDSA": {"crv", "x"}, "RS256": {"n", "e"}}[forger.own.algorithm]
    assert set(key) - {"key_ops"} == {"kty", "kid", "alg", "use"} | public
    assert (key["kid"], key["alg"], key["use"]) == (forger.own.id, forger.own.algorithm, "sig")
