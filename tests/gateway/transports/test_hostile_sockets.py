"""What clients do to a socket that no library does: nothing of it is kept, and the server stops all the same."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from gateway.graphql.wire import SocketProtocol
from tests.gateway.transports.live import Live, live
from tests.gateway.transports.server import PATIENCE_SECONDS, until
from tests.gateway.transports.test_following import handshake, opening

pytestmark = pytest.mark.anyio

PINGS = (b"\x89\xfd" + bytes(4) + bytes(125)) * 1_000


@pytest.fixture
def server() -> Iterator[Live]:
    """An endpoint for one test."""
    with live() as running:
        yield running


def connections(server: Live) -> set[SocketProtocol]:
    """Those that the server has now."""
    return cast("set[SocketProtocol]", server._server.server_state.connections)


async def _fill(writer: asyncio.StreamWriter, protocol: SocketProtocol) -> None:
    """Leaves answers unread until no more can be sent."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while protocol.writable.is_set():
        writer.write(PINGS)
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("headers", [["x: y"] * 200, ["x: " + "y" * 10_000]], ids=["many", "long"])
async def test_a_handshake_with_too_much_in_it_is_refused_and_leaves_nothing(
    server: Live, headers: Sequence[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(opening(*headers))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    writer.close()
    await until(lambda: not connections(server))


async def test_pings_whose_answers_are_not_read_are_not_kept_for_the_client(server: Live) -> None:
    _, writer = await handshake(server)
    (protocol,) = connections(server)
    await _fill(writer, protocol)
    sent = 0
    while sent < 2 << 20:
        writer.write(PINGS)
        await writer.drain()
        sent += len(PINGS)
    writer.write(b"\x81\x81" + bytes(4) + b"{")  # no message of the protocol: the last that is read
    await until(lambda: protocol.close_sent)
    assert protocol.transport.get_write_buffer_size() < 1 << 20
    writer.close()


async def test_who_closes_and_leaves_something_unread_does_not_hold_up_the_stopping_of_the_server(server: Live) -> None:
    _, writer = await handshake(server)
    (protocol,) = connections(server)
    await _fill(writer, protocol)
    writer.write(b"\x88\x82" + bytes(4) + b"\x03\xe8")
    await until(protocol.transport.is_closing)
    assert connections(server) == {protocol}
    await asyncio.to_thread(server.stop)
    assert not connections(server)
    writer.close()
