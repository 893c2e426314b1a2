"""What happens when a client leaves in the middle, or the server does."""

import asyncio

import pytest

from tests.gateway.transports.graphql_socket import ready_socket, socket_to
from tests.gateway.transports.server import Gateway, http_client, until

pytestmark = pytest.mark.anyio


async def _leave_during(server: Gateway, query: str) -> None:
    request = asyncio.create_task(server.post(query))
    await until(server.probe.entered.is_set)
    request.cancel()
    await asyncio.wait([request])


async def test_a_query_stops_when_its_client_has_left(own_server: Gateway) -> None:
    await _leave_during(own_server, "{ wait }")
    await until(own_server.probe.stopped.is_set)


async def test_a_mutation_that_has_begun_is_carried_through(own_server: Gateway) -> None:
    await _leave_during(own_server, "mutation { save }")
    own_server.probe.release.set()
    await until(lambda: own_server.probe.saves == 1)


async def test_a_slow_query_whose_client_stays_is_answered(own_server: Gateway) -> None:
    async with http_client() as client:
        slow = asyncio.create_task(client.post(own_server.url, json={"query": "mutation { save }"}))
        await until(own_server.probe.entered.is_set)
        own_server.probe.release.set()
        assert (await slow).json() == {"data": {"save": True}}
        for _ in range(3):
            assert (await client.post(own_server.url, json={"query": "{ later }"})).json() == {"data": {"later": 1}}


async def test_a_server_that_shuts_down_tells_sockets_and_ends_streams_unfinished(own_server: Gateway) -> None:
    async with ready_socket(own_server) as client, own_server.events("subscription { hold }") as stream:
        await client.subscribe("1", "subscription { hold }")
        assert (await client.receive())["type"] == "next"
        assert await stream.next() is not None
        await asyncio.to_thread(own_server.stop)
        assert await client.closed() == (1001, "Server is shutting down")
        # without "complete": the client is to connect again, elsewhere
        assert await stream.rest() == []
    assert own_server.endpoint.live == 0
    assert own_server.probe.stopped.is_set()


async def test_a_server_that_is_closing_begins_nothing_that_lasts(own_server: Gateway) -> None:
    await own_server.on_loop(own_server.endpoint.close())
    response = await own_server.post("subscription { hold }", accept="text/event-stream")
    assert response.status_code == 503
    async with socket_to(own_server) as client:
        assert await client.closed() == (1001, "Server is shutting down")
    assert (await own_server.post("{ hello }")).status_code == 200


async def test_many_clients_that_come_and_go_leave_nothing_behind(own_server: Gateway) -> None:
    before = await own_server.tasks()

    async def visit(number: int) -> None:
        match number % 4:
            case 0:
                async with ready_socket(own_server) as client:
                    await client.subscribe("1", "subscription { hold }")
                    await client.receive()
            case 1:
                async with own_server.events("subscription { hold }") as stream:
                    await stream.next()
            case 2:
                async with socket_to(own_server):
                    pass
            case _:
                assert (await own_server.post("{ later }")).status_code == 200

    for start in range(0, 200, 20):
        await asyncio.gather(*(visit(start + offset) for offset in range(20)))
    await own_server.settled(before)
