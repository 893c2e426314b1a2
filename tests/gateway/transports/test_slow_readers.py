"""Clients that read more slowly than things happen, or not at all: let go within limits, at nobody else's cost."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.graphql import Limits, client_socket
from tests.gateway.transports.graphql_socket import GraphQLSocket, ready_socket, socket_to
from tests.gateway.transports.live import Live, live
from tests.gateway.transports.server import PATIENCE_SECONDS, until

pytestmark = pytest.mark.anyio

LARGE = "subscription ($after: String) { noted(after: $after) { number cursor text(length: 200000) } }"
SMALL = "subscription ($after: String) { noted(after: $after) { number cursor } }"
NARROW = "subscription { mine { number } }"
ADA = {"authorization": "Bearer ada"}
WAITING = 300_000
"""Bytes that may wait for a client in these tests."""
COUNT = 60
TEXT = "x" * 200_000


def narrow(server: Live) -> socket.socket:
    """A connection on which little is on its way at a time."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    found.connect(("127.0.0.1", server.port))
    found.setblocking(False)  # noqa: FBT003 -- as the standard library has it
    return found


@asynccontextmanager
async def slow_socket(server: Live) -> AsyncIterator[GraphQLSocket]:
    """A socket that has subscribed and is not read."""
    async with socket_to(server, sock=narrow(server), compression=None, max_size=None, ping_interval=None) as client:
        await client.initialise(ADA)
        await client.subscribe("1", LARGE)
        await client.subscribe("2", NARROW)
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        client.connection.transport.pause_reading()
        yield client


async def noted(server: Live, quick: GraphQLSocket) -> None:
    """As much happens as no connection takes unread, and who reads hears of each at once."""
    for _ in range(COUNT):
        (number,) = await server.note(TEXT)
        assert (await quick.receive())["payload"]["data"]["noted"]["number"] == number


async def cut_down_to(server: Live, connections: int) -> None:
    """Waits until the server has no more connections than that."""
    await until(lambda: len(server._server.server_state.connections) <= connections)


async def rest_of(server: Live, after: str) -> list[int]:
    """The numbers of all that comes after a cursor, up to the last."""
    async with ready_socket(server, ADA) as client:
        await client.subscribe("1", SMALL, variables={"after": after})
        numbers: list[int] = []
        while not numbers or numbers[-1] < COUNT:
            numbers.append((await client.receive())["payload"]["data"]["noted"]["number"])
        return numbers


@pytest.mark.parametrize("wire", [True, False], ids=["ours", "plain"])
async def test_a_slow_socket_is_told_where_to_resume_and_closed(*, wire: bool) -> None:
    with live(Limits(max_waiting_bytes=WAITING), wire=wire) as server:
        async with ready_socket(server, ADA) as quick, slow_socket(server) as slow:
            await quick.subscribe("1", SMALL)
            await until(lambda: server.endpoint.live == 3)
            await noted(server, quick)
            await until(lambda: server.endpoint.live == 1)
            slow.connection.transport.resume_reading()
            seen: list[dict[str, Any]] = []
            while (message := await slow.receive())["type"] == "next":
                seen.append(message["payload"]["data"]["noted"])
            (error,) = message["payload"]
            assert error["extensions"] == {
                "code": "RATE_LIMITED",
                "retryable": True,
                "resumeAfter": seen[-1]["cursor"],
            }
            other = (
                await slow.receive()
            )  # the other subscription of the socket, to which nothing happened, may resume too
            assert (other["id"], other["type"]) == ("2", "error")
            assert "resumeAfter" in other["payload"][0]["extensions"]
            assert await slow.closed() == (1013, "Too slow: subscribe again with `after`")
            numbers = [each["number"] for each in seen]
            assert numbers + await rest_of(server, seen[-1]["cursor"]) == list(range(1, COUNT + 1))
            assert await quick.alive()


async def test_a_socket_that_is_never_read_again_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "_CLOSING_SECONDS", 0.05)
    with live(Limits(max_waiting_bytes=WAITING)) as server:
        async with ready_socket(server, ADA) as quick, slow_socket(server) as slow:
            await quick.subscribe("1", SMALL)
            await until(lambda: server.endpoint.live == 3)
            await noted(server, quick)
            await cut_down_to(server, 1)
            assert server.endpoint.live == 1
            slow.connection.transport.abort()


@asynccontextmanager
async def unread_stream(server: Live, **headers: str) -> AsyncIterator[asyncio.StreamReader]:
    """An event stream of which only the head has been read, and of which little is read ahead."""
    reader, writer = await asyncio.open_connection(sock=narrow(server), limit=2_048)
    body = json.dumps({"query": LARGE}).encode()
    given = "".join(f"{name}: {value}\r\n" for name, value in {**ADA, **headers}.items())
    writer.write(
        f"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
        f"{given}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    try:
        await reader.readuntil(b"\r\n\r\n")
        yield reader
    finally:
        writer.transport.abort()


async def test_a_slow_stream_is_told_where_to_resume_and_ended() -> None:
    with live(Limits(max_waiting_bytes=WAITING)) as server:
        async with ready_socket(server, ADA) as quick, unread_stream(server) as slow:
            await quick.subscribe("1", SMALL)
            await until(lambda: server.endpoint.live == 2)
            await noted(server, quick)
            await until(lambda: server.endpoint.live == 1)
            content = bytearray()
            while (chunk := await asyncio.wait_for(slow.readline(), PATIENCE_SECONDS)) != b"0\r\n":
                size = int(chunk, 16)
                content += await asyncio.wait_for(slow.readexactly(size), PATIENCE_SECONDS)
                await slow.readexactly(2)
            *frames, last, end = content.decode().split("\n\n")
            assert (last, end) == ("event: complete\ndata:", "")
            *told, refusal = [frame for frame in frames if not frame.startswith(":")]
            cursor = told[-1].partition("\n")[0].removeprefix("id: ")
            (error,) = json.loads(refusal.partition("data: ")[2])["errors"]
            assert error["extensions"]["resumeAfter"] == cursor
            numbers = [json.loads(frame.partition("data: ")[2])["data"]["noted"]["number"] for frame in told]
        assert numbers == list(range(1, len(numbers) + 1))
        async with server.events(SMALL, **{"last-event-id": cursor}, **ADA) as stream:
            for expected in range(len(numbers) + 1, COUNT + 1):
                assert f'"number":{expected},' in str(await stream.next())


async def test_a_stream_that_is_never_read_again_is_cut() -> None:
    with live(Limits(max_waiting_bytes=WAITING, stalled_seconds=0.1), unacknowledged_seconds=0.5) as server:
        async with ready_socket(server, ADA) as quick, unread_stream(server):
            await quick.subscribe("1", SMALL)
            await until(lambda: server.endpoint.live == 2)
            await noted(server, quick)
            await cut_down_to(server, 1)
            assert server.endpoint.live == 1


async def test_a_client_that_reads_and_resumes_much_at_once_is_not_too_slow() -> None:
    """Forty subscriptions of one socket missed sixteen notes each: more than may wait, but none waits unread."""
    with live(Limits(max_waiting_bytes=WAITING)) as server:
        await server.note(*["x"] * 16)
        async with socket_to(server, sock=narrow(server), compression=None, max_size=None) as client:
            await client.initialise(ADA)
            client.connection.transport.pause_reading()
            query = "subscription ($after: String) { noted(after: $after) { number text(length: 10) } }"
            for id in range(40):
                padding = f"{id:02}" + "x" * 2_000  # in each answer
                await client.subscribe(padding, query, variables={"after": server.cursor(0)})
            await until(lambda: server.endpoint.live == 40)
            client.connection.transport.resume_reading()
            seen: dict[str, list[int]] = {}
            while sum(map(len, seen.values())) < 40 * 16:
                message = await client.receive()
                seen.setdefault(message["id"], []).append(message["payload"]["data"]["noted"]["number"])
            assert list(seen.values()) == [list(range(1, 17))] * 40
            assert await client.alive()


async def test_who_does_not_read_the_answers_is_not_asked_for_more() -> None:
    """Each refusal has the id that the client chose in it, which may be long."""
    with live() as server:
        async with socket_to(server, sock=narrow(server), compression=None, ping_interval=None) as client:
            await client.initialise(ADA)
            client.connection.transport.pause_reading()
            sending = asyncio.create_task(_send_wrong(client))
            waiting = 0
            async with ready_socket(server, ADA) as other:
                for _ in range(300):
                    assert await other.alive()
                    waiting = max(waiting, await server.on_loop(_waiting(server)))
            client.connection.transport.abort()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        assert 0 < waiting < 1_000_000


async def _send_wrong(client: GraphQLSocket) -> None:
    try:
        for number in range(50):
            await client.subscribe(f"{number}" + "x" * 300_000, "{ nothing }")
    except ConnectionClosed:
        return


async def _waiting(server: Live) -> int:
    return max(each.transport.get_write_buffer_size() for each in server._server.server_state.connections)
