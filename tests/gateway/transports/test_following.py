"""Followers of the log on the wire: what they are told while their rights change, and whose events they get."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.transports.graphql_socket import GraphQLSocket, ready_socket
from tests.gateway.transports.live import Live, live
from tests.gateway.transports.server import Events, until

pytestmark = pytest.mark.anyio

NOTED = "subscription ($after: String) { noted(after: $after) { number } }"
MINE = "subscription { mine { number } }"
ADA, EVE = {"authorization": "Bearer ada"}, {"authorization": "Bearer eve"}
MANY = 40
"""Notes that are missed: more than are executed at once."""


@pytest.fixture
def server() -> Iterator[Live]:
    """An endpoint for one test."""
    with live() as running:
        yield running


async def told(client: GraphQLSocket, id: str = "1") -> int:
    """The number of the next note of an operation."""
    message = await client.receive()
    assert (message["id"], message["type"]) == (id, "next"), message
    (note,) = message["payload"]["data"].values()
    number: int = note["number"]
    return number


def data_of(frame: str | None) -> dict[str, Any]:
    """What the frame of an event says."""
    assert frame is not None
    found: dict[str, Any] = json.loads(frame.partition("data: ")[2])
    return found


async def streamed(stream: Events) -> int:
    """The number of the next note of a stream."""
    number: int = data_of(await stream.next())["data"]["noted"]["number"]
    return number


async def held_up(server: Live, at: int) -> None:
    """Waits until somebody wants a note that is held."""
    await until(lambda: at in server.executed)


async def test_nothing_is_told_while_rights_are_looked_at_and_nothing_is_lost(server: Live) -> None:
    async with ready_socket(server, ADA) as client, server.events(NOTED, **ADA) as stream:
        await client.subscribe("1", NOTED)
        assert await client.alive()
        await until(lambda: server.endpoint.live == 2)
        server.doorman.held.clear()
        await server.on_loop(server.doorman.change("ada"))
        noted = await server.note("a", "b")
        assert await client.alive()  # and nothing came before the pong
        assert server.executed == []
        server.doorman.held.set()
        assert [await told(client) for _ in noted] == noted
        assert [await streamed(stream) for _ in noted] == noted
        more = await server.note("c")
        assert [await told(client)] == [await streamed(stream)] == more


async def test_rights_that_end_within_a_replay_end_it_there(server: Live) -> None:
    await server.note(*["x"] * MANY)
    server.held.add(MANY // 2)
    async with ready_socket(server, ADA) as client, server.events(NOTED, {"after": server.cursor(0)}, **ADA) as stream:
        await client.subscribe("1", NOTED, variables={"after": server.cursor(0)})
        await held_up(server, MANY // 2)
        await server.on_loop(server.doorman.end("ada"))
        server.held.clear()
        before = []
        while (message := await _next_or_close(client)) is not None:
            before.append(message["payload"]["data"]["noted"]["number"])
        assert before == list(range(1, len(before) + 1))
        assert len(before) < MANY // 2
        *frames, refusal, last = await stream.rest()
        streamed = [data_of(frame)["data"]["noted"]["number"] for frame in frames]
        assert streamed == list(range(1, len(streamed) + 1))
        assert len(streamed) < MANY // 2
        assert data_of(refusal)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert last == "event: complete\ndata:"
    await until(lambda: server.endpoint.live == 0)


async def _next_or_close(client: GraphQLSocket) -> Any:
    try:
        return await client.receive()
    except Exception:  # noqa: BLE001 -- looked at in the next line
        assert client.connection.close_code == 4403
        return None


async def test_rights_that_change_within_a_replay_and_suffice_let_it_go_on(server: Live) -> None:
    await server.note(*["x"] * MANY)
    server.held.add(MANY // 2)
    async with ready_socket(server, ADA) as client, server.events(NOTED, {"after": server.cursor(0)}, **ADA) as stream:
        await client.subscribe("1", NOTED, variables={"after": server.cursor(0)})
        await held_up(server, MANY // 2)
        server.doorman.scopes["ada"] = frozenset({"less"})
        await server.on_loop(server.doorman.change("ada"))
        server.held.clear()
        more = await server.note("y")
        assert [await told(client) for _ in range(MANY + 1)] == [*range(1, MANY + 1), *more]
        assert [await streamed(stream) for _ in range(MANY + 1)] == [*range(1, MANY + 1), *more]


async def test_who_may_not_any_more_is_told_so_and_keeps_the_socket(server: Live) -> None:
    async with (
        ready_socket(server, ADA) as client,
        ready_socket(server, EVE) as other,
        server.events(NOTED, **ADA) as stream,
    ):
        await client.subscribe("1", NOTED)
        await other.subscribe("1", NOTED)
        await until(lambda: server.endpoint.live == 3)
        server.doorman.scopes["ada"] = frozenset({"none"})
        await server.on_loop(server.doorman.change("ada"))
        refusal = await client.receive()
        assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
        told_of, last = await stream.rest()
        assert data_of(told_of)["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert last == "event: complete\ndata:"
        (number,) = await server.note("a")
        assert await told(other) == number
        assert await client.alive()
        server.doorman.scopes["ada"] = frozenset()
        await server.on_loop(server.doorman.change("ada"))
        await client.subscribe("1", NOTED, variables={"after": server.cursor(0)})
        assert await told(client) == number


async def test_a_socket_whose_rights_cannot_be_asked_for_is_closed_so_that_its_client_comes_back(server: Live) -> None:
    async with ready_socket(server, ADA) as client:
        await client.subscribe("1", NOTED)
        await until(lambda: server.endpoint.live == 1)
        server.doorman.broken = True
        await server.on_loop(server.doorman.change("ada"))
        assert await client.closed() == (1011, "Internal error")
    await until(lambda: server.endpoint.live == 0)


@pytest.mark.parametrize("wire", [True, False], ids=["ours", "plain"])
async def test_what_is_sent_while_rights_end_is_not_done(*, wire: bool) -> None:
    with live(wire=wire) as server:
        async with ready_socket(server, ADA) as client, ready_socket(server, EVE) as other:
            server.probe.release.set()
            server.doorman.held.clear()
            await server.on_loop(server.doorman.end("ada"))
            for number in range(20):
                await client.subscribe(f"save {number}", "mutation { save }")
            assert await other.alive()
            server.doorman.held.set()
            assert await client.closed() == (4403, "Forbidden")
            assert await other.alive()
        assert server.probe.saves == 0


async def test_which_events_are_wanted_may_depend_on_the_person(server: Live) -> None:
    async with ready_socket(server, ADA) as ada, ready_socket(server, EVE) as eve:
        await ada.subscribe("1", MINE)
        await until(lambda: server.endpoint.live == 1)
        await eve.subscribe("1", MINE)
        await until(lambda: server.endpoint.live == 2)
        (of_ada,) = await server.note("a", about="ada")
        (of_eve,) = await server.note("b", about="eve")
        assert await told(eve) == of_eve
        assert await told(ada) == of_ada
        assert await eve.alive()
        assert await ada.alive()


async def test_an_observer_that_fails_holds_up_nobody(server: Live) -> None:
    def fails(_: object) -> None:
        raise ValueError

    server.log.observers.append(fails)
    async with ready_socket(server, ADA) as client:
        await client.subscribe("1", NOTED)
        await until(lambda: server.endpoint.live == 1)
        noted = await server.note("a")
        assert [await told(client)] == noted
