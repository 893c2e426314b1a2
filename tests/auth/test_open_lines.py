"""Sockets and streams beside the session that opened them: they outlive its tokens, and no session outlives them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.app import Gateway
from gateway.demo import PASSWORD
from tests.auth.visitor import Visitor
from tests.serving import GRACE, Running, running
from tests.subscriptions.streams import ORDER_CHANGED, EventStream, over_events

pytestmark = pytest.mark.anyio
BRIEF = timedelta(seconds=2)
"""How long the tokens of these tests last."""
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def gateway(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose access tokens end after a moment, so that nobody waits for a minute."""
    folder: Path = tmp_path_factory.mktemp("brief")
    with running(database_url, folder, trusted_proxies=("127.0.0.1",)) as server:
        behind: Gateway = server.app.state.gateway
        behind.access.tokens.lifetime = BRIEF
        yield server


@pytest.fixture
def grace(gateway: Running) -> Visitor:
    """Grace, signed in just now."""
    visitor = Visitor(gateway)
    visitor.token = sign_in(visitor)["accessToken"]
    return visitor


def sign_in(visitor: Visitor) -> dict[str, Any]:
    """A new session of Grace's."""
    visitor.token = None
    session: dict[str, Any] = visitor.run("login", email=GRACE, password=PASSWORD)["session"]
    return session


@asynccontextmanager
async def listening(visitor: Visitor, after: str | None = None) -> AsyncIterator[ClientConnection]:
    """A socket of theirs on which they hear of orders."""
    address, protocol = visitor.gateway.socket, Subprotocol("graphql-transport-ws")
    async with connect(address, subprotocols=[protocol], proxy=None) as line:
        await line.send(
            json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {visitor.token}"}})
        )
        assert json.loads(await line.recv()) == {"type": "connection_ack"}
        subscribe = {"query": ORDER_CHANGED, "variables": {"after": after}}
        await line.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
        yield line


async def hears(line: ClientConnection) -> dict[str, Any]:
    """The next event of a socket."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        message = json.loads(await line.recv())
    assert message["type"] == "next", message
    changed: dict[str, Any] = message["payload"]["data"]["orderChanged"]
    return changed


async def closed(line: ClientConnection) -> tuple[int, str]:
    """How a socket ends."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await line.wait_closed()
    return line.close_code or 0, line.close_reason or ""


async def until_it_ends() -> None:
    """Waits until a token that was made before has ended."""
    ends = datetime.now(UTC) + BRIEF
    while datetime.now(UTC) <= ends:  # noqa: ASYNC110 -- what it waits for is the time itself
        await asyncio.sleep(0.05)


async def cancel_one(gateway: Running) -> str:
    """Moves one of Grace's orders, by a session of its own; returns the order's id."""

    def move() -> str:
        other = Visitor(gateway, place="203.0.113.77")
        other.token = sign_in(other)["accessToken"]
        find = '{ orders(first: 1, filter: {platforms: ["messaging"], status: [PENDING]}) { nodes { id } } }'
        order: str = other.ask(find)["data"]["orders"]["nodes"][0]["id"]
        cancel = "mutation ($id: ID!) { cancelOrder(input: {orderId: $id}) { userErrors { message } } }"
        assert other.ask(cancel, {"id": order})["data"] == {"cancelOrder": {"userErrors": []}}
        return order

    return await asyncio.to_thread(move)


async def test_a_session_that_is_refreshed_keeps_its_socket_and_its_stream(gateway: Running) -> None:
    """Refreshed over HTTP; the lines that are open say nothing and go on, longer than the token that opened them."""
    visitor = Visitor(gateway)
    session = sign_in(visitor)
    visitor.token = session["accessToken"]
    gateway._tokens[GRACE] = session["accessToken"]
    async with listening(visitor) as line, over_events(gateway, GRACE) as stream:
        behind: Gateway = gateway.app.state.gateway
        behind.access.tokens.lifetime = timedelta(hours=1)
        try:
            fresh = Visitor(gateway).run("refreshSession", refreshToken=session["refreshToken"])["session"]
        finally:
            behind.access.tokens.lifetime = BRIEF
        assert fresh["accessToken"] != session["accessToken"]
        await until_it_ends()
        order = await cancel_one(gateway)
        assert (await hears(line))["order"]["id"] == order
        assert await order_of(stream) == order


async def order_of(stream: EventStream) -> str:
    """The order that the next event of a stream is about."""
    event = await stream.next()
    identity: str = event["data"]["orderChanged"]["order"]["id"]
    return identity


async def test_a_token_that_ends_closes_the_socket_and_after_brings_what_was_missed(
    gateway: Running, grace: Visitor
) -> None:
    """4403 is what graphql-ws's clients come back upon, with a new token; what happened meanwhile comes first."""
    async with listening(grace) as line:
        first = await cancel_one(gateway)
        seen = await hears(line)
        assert seen["order"]["id"] == first
        assert await closed(line) == (4403, "Forbidden")
    missed = [await cancel_one(gateway) for _ in range(2)]
    grace.token = sign_in(grace)["accessToken"]
    async with listening(grace, after=seen["cursor"]) as line:
        assert [(await hears(line))["order"]["id"] for _ in missed] == missed
        live = await cancel_one(gateway)
        assert (await hears(line))["order"]["id"] == live


async def test_signing_out_closes_the_lines_of_that_session_and_of_no_other(gateway: Running) -> None:
    """At once, not when the token would have ended."""
    behind: Gateway = gateway.app.state.gateway
    behind.access.tokens.lifetime = timedelta(hours=1)
    try:
        one, other = Visitor(gateway), Visitor(gateway)
        one.token, other.token = sign_in(one)["accessToken"], sign_in(other)["accessToken"]
    finally:
        behind.access.tokens.lifetime = BRIEF
    gateway._tokens[GRACE] = str(one.token)
    async with listening(one) as ends, listening(other) as stays, over_events(gateway, GRACE) as stream:
        one.run("logout")
        assert await closed(ends) == (4403, "Forbidden")
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        order = await cancel_one(gateway)
        assert (await hears(stays))["order"]["id"] == order
        other.run("logout", everywhere=True)
        assert await closed(stays) == (4403, "Forbidden")


async def test_a_session_that_ends_while_its_person_is_looked_up_opens_no_line(
    gateway: Running, grace: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would tell it of that any more: it would stay open as long as its token lasts."""
    access = gateway.app.state.gateway.access
    look_up = access.rights.standing

    async def slowly(user_id: str) -> object:
        standing = await look_up(user_id)
        access.rights._change(access.tokens.verify(grace.token).session_id)
        return standing

    monkeypatch.setattr(access.rights, "standing", slowly)
    gateway._tokens[GRACE] = grace.token or ""
    with pytest.raises(AssertionError, match="UNAUTHENTICATED"):
        await over_events(gateway, GRACE).__aenter__()
