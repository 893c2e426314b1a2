"""Documents that cannot run use up what an address may ask for: to read them is work that needs no sign-in."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.security.client import ask, data, new_place, request
from tests.serving import ADA, Running, running

ROOM = 3
"""Operations that nobody may begin in a minute at an address."""


@pytest.fixture(scope="module")
def narrow(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with little room for who is not signed in."""
    folder = tmp_path_factory.mktemp("narrow")
    shutil.copy(seeded_sqlite, folder / "demo.db")
    with running(f"sqlite:///{folder / 'demo.db'}", folder, anonymous_per_minute=ROOM) as server:
        yield server


def posted(gateway: Running, place: str, query: str) -> list[str]:
    """The codes of a POST."""
    return codes(ask(gateway, query, place=place).text)


def got(gateway: Running, place: str, query: str) -> list[str]:
    """The codes of a GET."""
    return codes(request(gateway, "GET", params={"query": query}, headers={"x-forwarded-for": place}).text)


def codes(answer: str) -> list[str]:
    """The codes of the errors of an answer."""
    return [error["extensions"]["code"] for error in json.loads(answer).get("errors", ())]


@pytest.mark.parametrize("send", [posted, got])
@pytest.mark.parametrize("rubbish", ["{", "{ nothing%d }", "query ($x: Nothing%d) { __typename }"])
def test_rubbish_uses_up_what_an_address_may_ask_for(
    narrow: Running, send: Callable[[Running, str, str], list[str]], rubbish: str
) -> None:
    place = new_place()
    texts = [rubbish % number if "%d" in rubbish else rubbish for number in range(ROOM + 2)]
    found = [send(narrow, place, text)[0] for text in texts]
    assert all(code.startswith("GRAPHQL_") for code in found[:ROOM])
    assert found[ROOM:] == ["RATE_LIMITED"] * 2
    assert send(narrow, place, "{ __typename }") == ["RATE_LIMITED"]
    assert send(narrow, new_place(), "{ __typename }") == []


def test_over_a_socket_too(narrow: Running) -> None:
    place = {"x-forwarded-for": new_place()}
    subprotocols = [Subprotocol("graphql-transport-ws")]
    with connect(narrow.socket, subprotocols=subprotocols, additional_headers=place, proxy=None) as client:
        client.send(json.dumps({"type": "connection_init"}))
        assert json.loads(client.recv(timeout=60))["type"] == "connection_ack"
        found = []
        for number in range(ROOM + 2):
            payload = {"query": f"{{ nothing{number} }}"}
            client.send(json.dumps({"type": "subscribe", "id": str(number), "payload": payload}))
            found.append(json.loads(client.recv(timeout=60))["payload"][0]["extensions"]["code"])
    assert found == ["GRAPHQL_VALIDATION_FAILED"] * ROOM + ["RATE_LIMITED"] * 2


def test_who_is_signed_in_goes_on_at_the_same_address(narrow: Running) -> None:
    """Else whoever shares an address with them could keep them out."""
    place, bearer = new_place(), f"Bearer {narrow.token(ADA)}"
    for number in range(ROOM + 2):
        posted(narrow, place, f"{{ nothing{number} }}")
    answer = ask(narrow, "{ viewer { email } }", place=place, authorization=bearer)
    assert data(answer) == {"viewer": {"email": ADA}}
