"""Who is asking is asked again while a socket or a stream is open, and who is nobody may not ask without end."""

import json
from collections.abc import Iterator

import pytest

from auth.caller import Caller
from auth.principal import Principal
from gateway.graphql import Limits
from tests.gateway.transports.graphql_socket import ready_socket, socket_to
from tests.gateway.transports.server import Gateway, gateway, until

pytestmark = pytest.mark.anyio
COMPLETE = "event: complete\ndata:"
TICKS = "subscription { ticks { organization } }"


@pytest.fixture
def server() -> Iterator[Gateway]:
    with gateway() as running:
        yield running


def told(frame: str | None) -> object:
    """What an event says."""
    assert frame is not None
    return json.loads(frame.partition("data: ")[2])


async def test_a_socket_closes_as_soon_as_its_rights_end_and_no_other_does(server: Gateway) -> None:
    """4403 is what graphql-ws's recipe for tokens that end waits for: its clients come back with a new one."""
    async with (
        ready_socket(server, {"authorization": "Bearer ada"}) as ada,
        ready_socket(server, {"authorization": "Bearer eve"}) as eve,
    ):
        await ada.subscribe("1", "subscription { hold }")
        await ada.receive()
        await server.on_loop(server.doorman.end("ada"))
        assert await ada.closed() == (4403, "Forbidden")
        await until(lambda: server.endpoint.live == 0)
        await eve.subscribe("1", "{ hello }")
        assert (await eve.receive())["type"] == "next"
    await until(lambda: server.doorman.watched == 0)


async def test_a_stream_ends_as_soon_as_its_rights_do(server: Gateway) -> None:
    async with server.events("subscription { hold }", authorization="Bearer ada") as stream:
        assert told(await stream.next()) == {"data": {"hold": 1}}
        await server.on_loop(server.doorman.end("ada"))
        refusal, last = await stream.rest()
        assert told(refusal)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"  # type: ignore[index]
        assert last == COMPLETE
    await until(lambda: server.doorman.watched == 0)


async def test_a_session_that_was_refreshed_keeps_its_socket_and_its_stream(server: Gateway) -> None:
    """The token that opened them ends after a moment; what is asked then says that there is a newer one."""
    server.doorman.prolonged.add("brief")
    async with (
        ready_socket(server, {"authorization": "Bearer brief"}) as client,
        server.events(TICKS, authorization="Bearer brief") as stream,
    ):
        await client.subscribe("1", "subscription { hold }")
        assert (await client.receive())["type"] == "next"
        await until(lambda: len(server.doorman.renewals) > 1)
        await client.subscribe("2", "{ hello }")
        assert (await client.receive())["id"] == "2"
        server.probe.release.set()
        assert told(await stream.next()) == {"data": {"ticks": {"organization": None}}}


async def test_each_event_is_read_with_the_rights_of_that_moment(server: Gateway) -> None:
    """Nobody is told of the change here: what an event may show is asked for the event."""
    async with (
        ready_socket(server, {"authorization": "Bearer ada", "x-organization-id": "acme"}) as client,
    ):
        await client.subscribe("1", TICKS)
        server.probe.release.set()
        assert (await client.receive())["payload"] == {"data": {"ticks": {"organization": "acme"}}}
        server.doorman.moved["ada"] = "north"
        server.probe.release.set()
        assert (await client.receive())["payload"] == {"data": {"ticks": {"organization": "north"}}}
        server.doorman.ended.add("ada")
        server.probe.release.set()
        refused = await client.receive()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_cookie_is_set_where_there_is_a_header_to_set_it_in(server: Gateway) -> None:
    answer = await server.post("mutation { remember }")
    assert answer.json() == {"data": {"remember": True}}
    assert answer.headers.get_list("set-cookie") == ["crumb=1; HttpOnly"]
    async with server.events("mutation { remember }") as stream:
        assert told(await stream.next()) == {"data": {"remember": False}}
        assert "set-cookie" not in stream.response.headers
    async with ready_socket(server) as client:
        await client.subscribe("1", "mutation { remember }")
        assert (await client.receive())["payload"] == {"data": {"remember": False}}


def full_after(admitted: int) -> Iterator[float | None]:
    """Lets so many in, and then nobody for 2.5 seconds."""
    yield from [None] * admitted
    while True:
        yield 2.5


async def test_nobody_is_refused_on_every_transport_once_the_bucket_is_empty() -> None:
    room = full_after(2)
    seen: list[str] = []

    def admit(principal: Principal, caller: Caller) -> float | None:
        if principal.signed_in:
            return None
        seen.append(caller.address)
        return next(room)

    with gateway(Limits(), admit=admit) as server:
        assert (await server.post("{ hello }")).status_code == 200
        assert (await server.post("{ hello }", authorization="Bearer wrong")).status_code == 401
        for refused in (
            await server.post("{ hello }"),
            await server.get({"query": "{ hello }"}),
            await server.post("{ hello }", authorization="Bearer wrong"),
        ):
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")
            (error,) = refused.json()["errors"]
            assert error["extensions"] == {"code": "RATE_LIMITED", "retryable": True, "retryAfter": 3}
            assert "data" not in refused.json()
        async with server.events("subscription { hold }") as stream:
            assert "RATE_LIMITED" in str(await stream.next())
        async with ready_socket(server) as client:
            for operation in ("{ hello }", "subscription { hold }", "mutation { remember }"):
                await client.subscribe("1", operation)
                refusal = await client.receive()
                assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        assert (await server.post("{ hello }", authorization="Bearer ada")).status_code == 200
        assert set(seen) == {"127.0.0.1"}
        assert not server.probe.entered.is_set()


async def test_a_socket_that_never_said_who_it_is_is_not_watched(server: Gateway) -> None:
    async with socket_to(server):
        assert server.doorman.watched == 0
