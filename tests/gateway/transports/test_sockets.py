"""GraphQL over WebSocket as a client meets it, message by message."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from gateway.graphql import Limits
from tests.gateway.transports.graphql_socket import GraphQLSocket, ready_socket, socket_to
from tests.gateway.transports.server import Gateway, gateway, until

pytestmark = pytest.mark.anyio

HOLD = "subscription { hold }"


async def test_operations_of_all_kinds_run_over_one_socket(server: Gateway) -> None:
    async with ready_socket(server) as client:
        await client.subscribe(
            "q", "query A { hello } query B($n: String!) { hello(name: $n) }", operationName="B", variables={"n": "é"}
        )
        assert await client.receive() == {"id": "q", "type": "next", "payload": {"data": {"hello": "hello é"}}}
        assert await client.receive() == {"id": "q", "type": "complete"}
        await client.subscribe("m", 'mutation { add(title: "x") }')
        assert await client.receive() == {"id": "m", "type": "next", "payload": {"data": {"add": "x"}}}
        assert await client.receive() == {"id": "m", "type": "complete"}
        await client.subscribe("s", "subscription { count(to: 3) }")
        for number in (1, 2, 3):
            assert await client.receive() == {"id": "s", "type": "next", "payload": {"data": {"count": number}}}
        assert await client.receive() == {"id": "s", "type": "complete"}


async def test_the_subprotocol_is_chosen_from_what_the_client_speaks(server: Gateway) -> None:
    async with socket_to(server, subprotocols=("graphql-ws", "graphql-transport-ws")) as client:
        assert client.connection.subprotocol == "graphql-transport-ws"
    for spoken in ((), ("graphql-ws",)):
        async with socket_to(server, subprotocols=spoken) as client:
            assert await client.closed() == (4406, "Subprotocol not acceptable")


async def test_pages_of_other_sites_may_not_open_a_socket(server: Gateway) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        f"http://127.0.0.1:{server.port}.evil.example",
        "http://[",
    ):
        with pytest.raises(InvalidStatus, match="403"):
            async with socket_to(server, origin=origin):
                pass
    for allowed in (
        f"http://127.0.0.1:{server.port}",
        f"https://127.0.0.1:{server.port}",
        "https://friend.example",
        None,
    ):
        async with socket_to(server, origin=allowed) as client:
            await client.initialise()


async def test_a_socket_that_says_nothing_is_closed() -> None:
    with gateway(Limits(ws_init_seconds=0.1)) as server:
        async with socket_to(server) as client:
            assert await client.closed() == (4408, "Connection initialisation timeout")
        async with socket_to(server) as client:
            await client.send({"type": "ping"})
            assert await client.receive() == {"type": "pong"}
            assert await client.closed() == (4408, "Connection initialisation timeout")
        async with ready_socket(server) as client:
            await asyncio.sleep(0.2)
            assert await client.alive()


async def test_the_order_of_the_first_messages_is_kept(server: Gateway) -> None:
    async with socket_to(server) as client:
        await client.subscribe("1", "{ hello }")
        assert await client.closed() == (4401, "Unauthorized")
    async with ready_socket(server) as client:
        await client.send({"type": "connection_init"})
        assert await client.closed() == (4429, "Too many initialisation requests")
    async with socket_to(server) as client:
        await client.send({"type": "connection_init"})
        await client.send({"type": "connection_init"})
        assert (await client.closed())[0] == 4429


async def test_pings_are_answered_and_pongs_are_not(server: Gateway) -> None:
    async with ready_socket(server) as client:
        for payload in ({}, {"a": [1, "é"]}):
            await client.send({"type": "ping", "payload": payload})
            assert await client.receive() == {"type": "pong", "payload": payload}
        await client.send({"type": "ping", "payload": None})
        assert await client.receive() == {"type": "pong"}
        await client.send({"type": "pong"})
        await client.send({"type": "pong", "payload": {"x": 1}})
        assert await client.alive()


async def test_who_asks_comes_with_the_first_message_or_the_handshake(server: Gateway) -> None:
    async def viewer(client: GraphQLSocket) -> object:
        await client.subscribe("v", "{ viewer }")
        return (await client.receive())["payload"]["data"]["viewer"]

    async with ready_socket(
        server, {"Authorization": "Bearer ada", "X-Organization-Id": "acme", "kit": {"nested": 1}}
    ) as client:
        assert await viewer(client) == "ada"
        assert server.probe.headers[-1]["x-organization-id"] == "acme"
        assert "kit" not in server.probe.headers[-1]
        assert server.probe.headers[-1]["host"] == f"127.0.0.1:{server.port}"
    async with socket_to(server, additional_headers={"Authorization": "Bearer eve"}) as client:
        await client.initialise()
        assert await viewer(client) == "eve"
    async with socket_to(server, additional_headers={"Authorization": "Bearer eve"}) as client:
        await client.initialise({"authorization": "Bearer ada"})
        assert await viewer(client) == "ada"
    async with ready_socket(server) as client:
        assert await viewer(client) is None


async def test_a_bad_token_closes_the_socket(server: Gateway) -> None:
    async with socket_to(server) as client:
        await client.send({"type": "connection_init", "payload": {"authorization": "Bearer wrong"}})
        assert await client.closed() == (4403, "Forbidden")
    async with socket_to(server) as client:
        await client.send({"type": "connection_init", "payload": {"authorization": "Bearer fault"}})
        assert await client.closed() == (1011, "Internal error")


async def test_a_socket_lasts_no_longer_than_its_token(server: Gateway) -> None:
    async with ready_socket(server, {"authorization": "Bearer brief"}) as client:
        await client.subscribe("1", HOLD)
        assert await client.closed() == (4403, "Forbidden")
    await until(lambda: server.endpoint.live == 0)


async def test_an_id_is_free_again_when_its_operation_is_over(server: Gateway) -> None:
    async with ready_socket(server) as client:
        for id in ("x", "x", "é😀", "a b\n", "__proto__", "x" * 5_000):
            await client.subscribe(id, "{ hello }")
            assert [(m["id"], m["type"]) for m in (await client.receive(), await client.receive())] == [
                (id, "next"),
                (id, "complete"),
            ]
        await client.subscribe("s", HOLD)
        assert (await client.receive())["type"] == "next"
        await client.send({"type": "complete", "id": "s"})
        await client.subscribe("s", "{ hello }")
        assert await client.receive() == {"id": "s", "type": "next", "payload": {"data": {"hello": "hello world"}}}
        assert await client.receive() == {"id": "s", "type": "complete"}


async def test_an_id_in_use_closes_the_socket(server: Gateway) -> None:
    for second in (HOLD, "{ hello }", "{ nope }"):
        async with ready_socket(server) as client:
            await client.subscribe("d" * 300, HOLD)
            await client.subscribe("d" * 300, second)
            code, reason = await client.closed()
            assert (code, reason) == (4409, f"Subscriber for {'d' * 20} already exists")


async def test_completing_ends_the_subscription_and_its_generator(own_server: Gateway) -> None:
    async with ready_socket(own_server) as client:
        await client.subscribe("s", HOLD)
        assert (await client.receive())["payload"] == {"data": {"hold": 1}}
        assert own_server.endpoint.live == 1
        await client.send({"type": "complete", "id": "s"})
        await client.send({"type": "complete", "id": "nobody"})
        assert await client.alive()
        await until(own_server.probe.stopped.is_set)
        await until(lambda: own_server.endpoint.live == 0)


async def test_a_slow_operation_holds_up_no_other(own_server: Gateway) -> None:
    async with ready_socket(own_server) as client:
        await client.subscribe("slow", "{ wait }")
        await client.subscribe("quick", "{ hello }")
        assert (await client.receive())["id"] == "quick"
        assert (await client.receive())["id"] == "quick"
        await client.send({"type": "complete", "id": "slow"})
        await until(own_server.probe.stopped.is_set)
        assert await client.alive()


async def test_a_mutation_that_has_begun_is_carried_through_without_its_client(own_server: Gateway) -> None:
    async with ready_socket(own_server) as client:
        await client.subscribe("m", "mutation { save }")
        await until(own_server.probe.entered.is_set)
        await client.send({"type": "complete", "id": "m"})
        assert await client.alive()
        await client.subscribe("m", "mutation { save }")
        assert await client.alive()
    own_server.probe.release.set()
    await until(lambda: own_server.probe.saves == 2)


async def test_errors_before_execution_end_the_operation_and_not_the_socket(server: Gateway) -> None:
    async with ready_socket(server) as client:
        for query, code in (
            ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
            ("{ ", "GRAPHQL_PARSE_FAILED"),
            ("", "BAD_REQUEST"),
            ("query A { hello } query B { hello }", "BAD_REQUEST"),
            ("query($n: Int!) { hello }", "GRAPHQL_VALIDATION_FAILED"),
            ("query($n: String!) { hello(name: $n) }", "BAD_REQUEST"),
            ("subscription($n: Int!) { count(to: $n) }", "BAD_REQUEST"),
            ("subscription { members }", "UNAUTHENTICATED"),
            ("{ " + "thing { " * 40 + "name" + " }" * 41, "GRAPHQL_VALIDATION_FAILED"),
        ):
            await client.subscribe("e", query)
            message = await client.receive()
            assert (message["id"], message["type"]) == ("e", "error"), query
            assert [error["extensions"]["code"] for error in message["payload"]] == [code]
            assert await client.alive()


async def test_errors_of_fields_come_with_the_data(server: Gateway) -> None:
    async with ready_socket(server) as client:
        await client.subscribe("f", "{ hello missing }")
        payload = (await client.receive())["payload"]
        assert payload["data"] == {"hello": "hello world", "missing": None}
        assert payload["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert (await client.receive())["type"] == "complete"


async def test_a_subscription_that_breaks_ends_with_an_error(server: Gateway) -> None:
    async with ready_socket(server) as client:
        await client.subscribe("b", "subscription { breaks }")
        assert (await client.receive())["payload"] == {"data": {"breaks": 1}}
        message = await client.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "INTERNAL")
        assert "hunter2" not in str(message)
        assert await client.alive()


async def test_each_event_has_a_context_of_its_own(server: Gateway) -> None:
    async with ready_socket(server) as client:
        await client.subscribe("c", "subscription { things { context } }")
        seen = [(await client.receive())["payload"]["data"]["things"]["context"] for _ in range(2)]
        assert seen[0] != seen[1]


async def test_a_socket_may_run_only_so_many_operations_at_once() -> None:
    with gateway(Limits(ws_max_operations=2)) as server:
        async with ready_socket(server) as client:
            for id in ("1", "2"):
                await client.subscribe(id, HOLD)
                assert (await client.receive())["id"] == id
            await client.subscribe("3", "{ hello }")
            message = await client.receive()
            assert (message["id"], message["type"]) == ("3", "error")
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            await client.send({"type": "complete", "id": "1"})
            await until(lambda: server.endpoint.live == 1)
            await client.subscribe("3", "{ hello }")
            assert (await client.receive())["type"] == "next"


async def test_a_message_that_is_too_big_closes_the_socket_and_only_that() -> None:
    with gateway(Limits(max_body_bytes=1_000)) as server:
        async with ready_socket(server) as other:
            for padding in (2_000, 20 << 20):
                async with ready_socket(server) as client:
                    await client.subscribe("s", HOLD)
                    await client.send({"type": "ping", "payload": {"x": "y" * padding}})
                    assert (await client.closed())[0] == 1009
            assert await other.alive()
        await until(lambda: server.endpoint.live == 0)


async def test_a_message_may_come_in_fragments(server: Gateway) -> None:
    async with ready_socket(server) as client:
        await client.connection.send(['{"type":"pi', 'ng","paylo', 'ad":{"a":1}}'])
        assert await client.receive() == {"type": "pong", "payload": {"a": 1}}


async def test_a_client_that_leaves_ends_all_that_it_began(own_server: Gateway) -> None:
    before = await own_server.tasks()
    clients = 30
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_come_and_go(own_server))
    await own_server.settled(before)


async def _come_and_go(server: Gateway) -> None:
    async with ready_socket(server) as client:
        for id in ("1", "2"):
            await client.subscribe(id, HOLD)
            assert (await client.receive())["type"] == "next"
        await client.subscribe("3", "{ wait }")
        assert await client.alive()
        client.connection.transport.abort()


async def test_a_client_that_does_not_read_is_not_read_ahead_for(own_server: Gateway) -> None:
    async with socket_to(own_server, compression=None) as client:
        await client.initialise()
        client.connection.transport.pause_reading()
        await client.subscribe("f", "subscription { flood }")
        await until(lambda: own_server.endpoint.live == 1)
        async with ready_socket(own_server) as other:
            assert await other.alive()
        client.connection.transport.abort()
    await until(own_server.probe.stopped.is_set)


async def test_a_client_that_reads_fast_leaves_room_for_others(own_server: Gateway) -> None:
    async with ready_socket(own_server) as client, ready_socket(own_server) as other:
        await client.subscribe("f", "subscription { flood }")
        for _ in range(100):
            assert (await client.receive())["id"] == "f"
        assert await other.alive()
