"""Two gateways on one PostgreSQL, which hear of each other by Redis alone: none looks into the log by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from datasources import redis as bell
from datasources.database.engine import Database
from gateway.app import Gateway
from subscriptions.bell import Bell
from subscriptions.log import EventLog
from tests.orders.desk import new_orders
from tests.processes.own_redis import OwnRedis, own_redis
from tests.servers.postgres import PostgresServer
from tests.serving import ADA, Running, fill, running
from tests.subscriptions.streams import TRANSPORTS, Subscribe

CANCEL = "mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { order { status } } }"


class Pair(NamedTuple):
    """The gateways, their Redis, and orders that nobody has touched."""

    one: Running
    other: Running
    redis: OwnRedis
    orders: list[str]

    def cancel(self) -> str:
        """An order is called off at the one gateway; returns its id."""
        order = self.orders.pop()
        answer = self.one.data(CANCEL, {"input": {"orderId": order}}, as_=ADA)
        assert answer["cancelOrder"]["order"]["status"] == "CANCELLED"
        return order

    def bells(self) -> list[Bell]:
        """What rings in both."""
        gateways: list[Gateway] = [each.app.state.gateway for each in (self.one, self.other)]
        return [work for gateway in gateways for work in gateway.work if isinstance(work, Bell)]


@pytest.fixture(scope="module")
def postgres_demo(postgres: PostgresServer) -> Iterator[str]:
    """The demo data on a PostgreSQL."""
    with postgres.database(like=postgres.template("demo", fill)) as url:
        yield url


@pytest.fixture(scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """A process that looks into the log once an hour, and notices in a moment that Redis is silent."""
    with pytest.MonkeyPatch.context() as patch:
        assert EventLog.__init__.__kwdefaults__ is not None
        assert bell.Channel.__init__.__kwdefaults__ is not None
        patch.setitem(EventLog.__init__.__kwdefaults__, "poll_seconds", 3_600.0)
        patch.setitem(bell.Channel.__init__.__kwdefaults__, "silence_seconds", 0.5)
        patch.setattr(bell, "_LONGEST_PAUSE", 0.2)
        yield patch


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    """A Redis that tests of the module stop and start."""
    with own_redis() as server:
        yield server


@pytest.fixture(scope="module")
def gateways(
    postgres_demo: str, redis: OwnRedis, quick: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Running]]:
    """Two of one installation."""
    folder: Path = tmp_path_factory.mktemp("pair")
    with (
        running(postgres_demo, folder, redis_url=redis.url) as one,
        running(postgres_demo, folder, redis_url=redis.url) as other,
    ):
        yield one, other


@pytest.fixture
async def pair(gateways: tuple[Running, Running], redis: OwnRedis, postgres_demo: str) -> Pair:
    """Both, with a few orders."""
    database = Database(postgres_demo, pool_size=1)
    orders = await new_orders(database, 10)
    await database.close()
    return Pair(*gateways, redis, orders)


@pytest.fixture(params=sorted(TRANSPORTS))
def subscribe(request: pytest.FixtureRequest) -> Subscribe:
    """Opens a subscription: once over a WebSocket, once over server-sent events."""
    return TRANSPORTS[request.param]
