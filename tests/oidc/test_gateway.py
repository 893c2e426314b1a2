"""People of an outside issuer at a running gateway: over HTTP, over a socket, and with the mail that links them."""

import json
import re
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.oidc.forge import Forge
from tests.oidc.issuer import API, APP, MockIssuer
from tests.serving import ADA, GRACE, Running, running

VIEWER = "{ viewer { id name email memberships { role organization { id name } } } }"
REFUSED = {
    "errors": [
        {
            "message": "The access token is not valid, or no longer. Sign in again.",
            "extensions": {"code": "UNAUTHENTICATED", "retryable": False},
        }
    ]
}


@pytest.fixture(scope="module")
def mails(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mail is written to, one for each database."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="module")
def gateway(
    database_url: str,
    mails: Path,
    issuer_process: MockIssuer,
    other_issuer: MockIssuer,
    keys: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A gateway that takes the tokens of two issuers."""
    issuer_process.serve(keys)
    other_issuer.serve(keys)
    usual = {"audience": API, "algorithms": ["RS256", "ES256", "EdDSA"], "client_ids": [APP]}
    settings = [
        {"issuer": issuer_process.url, "name": "Acme Login", **usual},
        {"issuer": other_issuer.url, "scopes_claim": "permissions", **usual},
    ]
    folder = tmp_path_factory.mktemp("outside")
    with running(database_url, folder, oidc_issuers=settings, mail_transport="folder", mail_folder=mails) as server:
        yield server


def ask(gateway: Running, token: str, query: str = VIEWER, **variables: Any) -> httpx.Response:
    """The answer to an operation with a token."""
    headers = {"authorization": f"Bearer {token}"}
    body = {"query": query, "variables": variables}
    return httpx.post(gateway.graphql, json=body, headers=headers, timeout=60, trust_env=False)


def viewer(gateway: Running, token: str) -> dict[str, Any]:
    """Whom a token speaks for."""
    answer = ask(gateway, token).json()
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["viewer"]
    return found


@pytest.mark.parametrize("key_id", ["rsa", "curve", "edwards"])
def test_somebody_new_is_let_in_with_a_token_of_each_kind(gateway: Running, issuer: MockIssuer, key_id: str) -> None:
    told = {"sub": f"auth0|{key_id}", "email": f"{key_id}@example.com", "email_verified": True, "name": key_id.title()}
    found = viewer(gateway, issuer.token(key_id, **told))
    assert (found["email"], found["name"]) == (told["email"], told["name"])
    assert [place["role"] for place in found["memberships"]] == ["OWNER"]
    assert viewer(gateway, issuer.token(key_id, **told)) == found


def test_two_people_of_two_issuers_see_nothing_of_each_other(
    gateway: Running, issuer: MockIssuer, other_issuer: MockIssuer
) -> None:
    ours = viewer(gateway, issuer.token("rsa", sub="auth0|same"))
    token = other_issuer.token("rsa", sub="auth0|same", permissions=["businesses:read"])
    theirs = viewer(gateway, token)
    assert ours["id"] != theirs["id"]
    answer = ask(gateway, token, "query ($id: ID!) { node(id: $id) { id } }", id=ours["id"]).json()
    assert answer["data"]["node"] is None
    foreign = {"x-organization-id": ours["memberships"][0]["organization"]["id"], "authorization": f"Bearer {token}"}
    refused = httpx.post(gateway.graphql, json={"query": VIEWER}, headers=foreign, timeout=60, trust_env=False)
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_a_token_has_no_more_rights_than_its_issuer_gave_it(gateway: Running, other_issuer: MockIssuer) -> None:
    reading = "{ businesses(first: 1) { nodes { id } } }"
    for permissions, allowed in ((["businesses:read"], True), (["orders:read"], False), ([], False)):
        answer = ask(gateway, other_issuer.token("curve", sub="auth0|narrow", permissions=permissions), reading).json()
        assert ("errors" not in answer) is allowed, answer
        if not allowed:
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_a_forged_token_is_refused_over_http_and_sockets(gateway: Running, issuer: MockIssuer, forge: Forge) -> None:
    for token in (
        forge.with_secret(forge.public("PEM")),
        forge.sign(header={"alg": "none"}),
        forge.sign(forge.claims(aud="elsewhere")),
        forge.sign(forge.claims(nonce="n")),
        issuer.token("rsa", sub="auth0|x", exp=1),
        forge.sign(forge.claims(iss="https://elsewhere.example.com")),
    ):
        answer = ask(gateway, token)
        assert (answer.status_code, answer.json()) == (401, REFUSED)
        assert answer.headers["www-authenticate"] == "Bearer"
        with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as client:
            client.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403


def test_a_socket_takes_the_token_too(gateway: Running, issuer: MockIssuer) -> None:
    token = issuer.token("edwards", sub="auth0|socket")
    with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as client:
        client.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
        assert json.loads(client.recv(timeout=60))["type"] == "connection_ack"
        client.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": VIEWER}}))
        answer = json.loads(client.recv(timeout=60))
        assert answer["payload"]["data"]["viewer"]["id"] == viewer(gateway, token)["id"]


def test_with_the_issuer_down_its_tokens_still_hold(gateway: Running, issuer: MockIssuer) -> None:
    before, after = (issuer.token("rsa", sub="auth0|steady", jti=name) for name in ("before", "after"))
    found = viewer(gateway, before)
    issuer.stop()
    assert viewer(gateway, before) == viewer(gateway, after) == found


LINK = """mutation ($input: ConfirmIdentityLinkInput!) {
  confirmIdentityLink(input: $input) { userErrors { code field } }
}"""


@pytest.mark.parametrize("address", [ADA, GRACE])
def test_somebody_with_an_account_is_let_in_to_it_once_they_follow_the_link_in_the_mail(
    gateway: Running, mails: Path, issuer: MockIssuer, address: str
) -> None:
    told = {"sub": f"auth0|{address}", "email": address, "email_verified": True}
    answer = ask(gateway, issuer.token("rsa", **told)).json()
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "Follow the link in the mail" in answer["errors"][0]["message"]
    link = link_in_the_mail(mails, address)
    assert gateway.data(LINK, {"input": {"token": link}}) == {"confirmIdentityLink": {"userErrors": []}}
    found = viewer(gateway, issuer.token("rsa", **told))
    assert found["id"] == gateway.data(VIEWER, as_=address)["viewer"]["id"]
    again = gateway.data(LINK, {"input": {"token": link}})["confirmIdentityLink"]["userErrors"]
    assert again == [{"code": "INVALID", "field": ["token"]}]


def link_in_the_mail(mails: Path, address: str) -> str:
    """The token in the mail to somebody, as soon as it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for path in mails.glob("*.eml"):
            mail = message_from_bytes(path.read_bytes(), policy=default)
            body = mail.get_body(("plain",))
            if body is not None and address in str(mail["to"]):
                found = re.search(r"/account/link-identity#token=([A-Za-z0-9_-]{43})", body.get_content())
                assert found is not None
                assert "Acme Login" in body.get_content()
                return found[1]
        time.sleep(0.05)
    raise AssertionError(f"no mail came to {address}")
