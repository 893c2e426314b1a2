"""Followers of the log on the wire: what they are told while their rights change, and whose events they get."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message

from auth.principal import Principal
from gateway.graphql import Limits
from gateway.graphql.fanout import Follower
from gateway.graphql.payload import Batch, Payload
from gateway.graphql.sse import EventStream
from tests.gateway.transports.graphql_socket import GraphQLSocket, ready_socket
from tests.gateway.transports.live import ACME, Live, LiveDoorman, live
from tests.gateway.transports.sample import Probe
from tests.gateway.transports.server import PATIENCE_SECONDS, Events, until

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


async def test_a_cancellation_that_nobody_asked_for_is_a_fault_of_one_event_and_loses_no_other(
    server: Live, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a resolver shares something with another request whose client has left."""
    server.cancelled.add(2)
    async with ready_socket(server, ADA) as client, server.events(NOTED, **ADA) as stream:
        await client.subscribe("1", NOTED)
        await until(lambda: server.endpoint.live == 2)
        await server.note("a", "b", "c")
        await client.subscribe("2", NOTED, variables={"after": server.cursor(0)})
        replayed: list[object] = []
        lived: list[object] = []
        while len(replayed) + len(lived) < 6:
            message = await client.receive()
            (replayed if message["id"] == "2" else lived).append(message["payload"])
        streamed = [data_of(await stream.next()) for _ in range(3)]
    assert replayed == lived == streamed
    assert [streamed[each]["data"]["noted"]["number"] for each in (0, 2)] == [1, 3]
    assert streamed[1]["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert [record.message.split()[0] for record in caplog.records if record.levelname == "ERROR"] == ["Internal"]


async def test_an_observer_that_fails_holds_up_nobody(server: Live) -> None:
    def fails(_: object) -> None:
        raise ValueError

    server.log.observers.append(fails)
    async with ready_socket(server, ADA) as client:
        await client.subscribe("1", NOTED)
        await until(lambda: server.endpoint.live == 1)
        noted = await server.note("a")
        assert [await told(client)] == noted


def id_of(frame: str | None) -> str | None:
    """The ``id:`` of a frame."""
    assert frame is not None
    return next((line.removeprefix("id: ") for line in frame.split("\n") if line.startswith("id: ")), None)


async def test_a_stream_that_has_heard_of_nothing_yet_is_resumed_without_a_gap(server: Live) -> None:
    await server.note("before it began")
    async with server.events(NOTED, **ADA) as stream:
        begun = id_of(await stream.frame())
    assert begun == server.cursor(1)
    await until(lambda: server.endpoint.live == 0)
    missed = await server.note("one", "two")
    async with server.events(NOTED, **ADA, last_event_id=begun) as stream:
        assert id_of(await stream.frame()) == begun
        assert [await streamed(stream) for _ in missed] == missed


async def test_a_sign_of_life_moves_past_what_is_not_for_the_client() -> None:
    with live(Limits(heartbeat_seconds=0.02)) as server:
        async with server.events(MINE, **ADA) as stream:
            await stream.frame()
            (last,) = await server.note("of somebody else", about="eve")
            while id_of(frame := await stream.frame()) != server.cursor(last):
                assert frame == f":\nid: {server.cursor(0)}"
        assert server.executed == []
        await until(lambda: server.endpoint.live == 0)


async def test_a_sign_of_life_is_never_ahead_of_what_has_come() -> None:
    with live(Limits(heartbeat_seconds=0.0005)) as server:
        seen, signs = 0, set()
        async with server.events(NOTED, **ADA) as stream:
            await stream.frame()
            for _ in range(60):
                numbers = await server.note("one", "two", "three")
                while seen < numbers[-1]:
                    frame = await stream.frame()
                    assert frame is not None
                    if frame.startswith(":"):
                        place = server.log.cursors.decode(ACME, id_of(frame) or "")
                        assert place is not None
                        assert place.position <= seen
                        signs.add(place.position)
                    else:
                        seen = data_of(frame)["data"]["noted"]["number"]
        assert len(signs) > 1, "there was no sign of life between events: nothing was shown"


async def test_a_stream_that_opens_with_something_waiting_does_not_say_that_it_was_sent() -> None:
    sent: list[bytes] = []
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            stream.take(Batch([Payload(b"{}", "c-1")]))  # it happens while the head is being sent
        else:
            sent.append(message["body"])
            if len(sent) == 2:
                left.set()

    stream = EventStream(receive, send, Limits(), LiveDoorman(Probe()))
    follower = cast("Follower", SimpleNamespace(cursor="c-1", suspend=lambda: None))
    await stream.follow(lambda _: follower, Principal())
    assert sent[:2] == [b":\n\n", b"id: c-1\nevent: next\ndata: {}\n\n"]


def opening(*headers: str) -> bytes:
    """What a client asks for a socket with."""
    lines = [
        "GET /graphql HTTP/1.1",
        "host: 127.0.0.1",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-protocol: graphql-transport-ws",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def handshake(server: Live) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket of a client that says what no library lets it say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(opening())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return reader, writer


async def close_frame(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The code and the reason of the frame that comes next, after which the connection ends."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        kind, length = await reader.readexactly(2)
        content = await reader.readexactly(length)
        assert await reader.read() == b""
    assert kind == 0x88
    return int.from_bytes(content[:2]), content[2:].decode()


async def test_a_client_that_breaks_the_protocol_learns_how_even_if_it_has_more_to_say(server: Live) -> None:
    reader, writer = await handshake(server)
    length = 20 << 20
    writer.write(b"\x81\xff" + length.to_bytes(8) + bytes(4))
    for _ in range(20):
        writer.write(bytes(1 << 20))
        await writer.drain()
    code, reason = await close_frame(reader)
    assert code == 1009
    assert "20971520 bytes" in reason
    writer.close()
    await until(lambda: server.endpoint.live == 0)


@pytest.mark.parametrize("frames", [(b"\x81\x82\0\0\0\0\xff\xfe",), (b"\x01\x81\0\0\0\0{", b"\x80\x81\0\0\0\0\xc3")])
async def test_text_that_is_none_is_the_clients_mistake(
    server: Live, frames: Sequence[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await handshake(server)
    for frame in frames:
        writer.write(frame)
    assert await close_frame(reader) == (1007, "Messages must be UTF-8")
    writer.close()
    await until(lambda: server.endpoint.live == 0)
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]
