"""Redis tells other processes at once; away or hanging it costs nobody anything, and back it makes up for all."""

import asyncio
import json
import logging

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gateway.demo import PASSWORD
from tests.gateway.transports.server import until
from tests.processes.conftest import Pair
from tests.serving import ADA, GRACE, LOGIN
from tests.subscriptions.streams import Stream, Subscribe, over_socket

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 60


async def order_of(stream: Stream) -> str:
    """The order that the next event is about."""
    event = await stream.next()
    identity: str = event["data"]["orderChanged"]["order"]["id"]
    return identity


def works(pair: Pair) -> bool:
    """Whether both gateways reach Redis."""
    return all(bell.channel.works for bell in pair.bells())


async def test_what_one_process_commits_reaches_a_subscriber_of_another(pair: Pair, subscribe: Subscribe) -> None:
    """Nobody looks into the log for an hour: it is the bell that tells."""
    async with subscribe(pair.other, ADA) as stream:
        for _ in range(3):
            order = await asyncio.to_thread(pair.cancel)
            assert await order_of(stream) == order


async def test_rights_revoked_at_one_process_close_a_socket_of_another(pair: Pair) -> None:
    variables = {"input": {"email": GRACE, "password": PASSWORD}}
    login = pair.one.query(LOGIN, variables)["data"]["login"]["session"]
    subprotocols = [Subprotocol("graphql-transport-ws")]
    async with connect(pair.other.socket, subprotocols=subprotocols, proxy=None) as line:
        payload = {"authorization": f"Bearer {login['accessToken']}"}
        await line.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await line.recv()) == {"type": "connection_ack"}
        pair.one._tokens[GRACE] = login["accessToken"]
        try:
            await asyncio.to_thread(
                pair.one.data, "mutation { logout(input: {}) { userErrors { message } } }", as_=GRACE
            )
        finally:
            del pair.one._tokens[GRACE]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await line.wait_closed()
        assert line.close_code == 4403


async def test_a_redis_that_is_killed_and_comes_back_loses_nothing(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened meanwhile is told as soon as it is back, and then all is as before; the log says so once each."""
    async with over_socket(pair.other, ADA) as stream:
        with caplog.at_level(logging.WARNING, "datasources.redis"):
            pair.redis.kill()
            await until(lambda: not any(bell.channel.works for bell in pair.bells()))
            missed = [await asyncio.to_thread(pair.cancel) for _ in range(3)]
            assert pair.one.query('{ echo(text: "on") }')["data"] == {"echo": "on"}
            await asyncio.to_thread(pair.redis.start)
            assert [await order_of(stream) for _ in missed] == missed
            await until(lambda: works(pair))
        live = await asyncio.to_thread(pair.cancel)
        assert await order_of(stream) == live
    said = [record.getMessage() for record in caplog.records if record.name == "datasources.redis"]
    assert sorted(text.partition(" (")[0] for text in said) == [
        *["Redis can be reached again"] * 2,
        *["Redis cannot be reached"] * 2,
    ]


async def test_a_redis_that_hangs_is_noticed_and_holds_nobody_up(pair: Pair) -> None:
    async with over_socket(pair.other, ADA) as stream:
        pair.redis.pause()
        try:
            missed = [await asyncio.to_thread(pair.cancel) for _ in range(3)]
            await until(lambda: not any(bell.channel.works for bell in pair.bells()))
        finally:
            pair.redis.resume()
        assert [await order_of(stream) for _ in missed] == missed
        await until(lambda: works(pair))
        live = await asyncio.to_thread(pair.cancel)
        assert await order_of(stream) == live
