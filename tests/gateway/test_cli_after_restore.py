"""A gateway after its database was restored, here into a cluster with lower transaction ids, as clients meet it."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from datasources.database.events import BEGINNING, EventPosition, head
from tests.events.restored import after_restore, let_go, restore_elsewhere
from tests.gateway.inline import run_inline
from tests.orders.desk import Desk, desk_at, organization_of
from tests.servers.postgres import PostgresServer
from tests.serving import ADA, GRACE, Running, fill, running
from tests.subscriptions.streams import over_events, over_socket
from tests.subscriptions.test_order_changed import changes, settled
from tests.webhooks.delivery.receiver import Receiver, receiving
from tests.webhooks.delivery.world import until

pytestmark = pytest.mark.anyio
EVENTS = """query ($after: String) {
  events(last: 100, after: $after, filter: {types: ["OrderChanged"]}) { nodes { id cursor } }
}"""
ENDPOINT = """mutation ($url: URL!) { createWebhookEndpoint(input: {url: $url, events: ["OrderChanged"]}) {
  webhookEndpoint { id } userErrors { message }
} }"""
DOES_NOT_FIT = "This cursor is from before the event log was restored"
REPLAY = """mutation ($endpointId: ID!, $after: String!) {
  replayWebhookDeliveries(input: {endpointId: $endpointId, after: $after}) { scheduled userErrors { code message } }
}"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the demo data, of the test's own."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("seeded_sqlite"), tmp_path / "demo.db")
        yield f"sqlite:///{tmp_path / 'demo.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("demo", fill)) as found:
            yield found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Who is posted to."""
    async with receiving() as listening:
        yield listening


@asynccontextmanager
async def started(url: str, folder: Path) -> AsyncIterator[Desk]:
    """A gateway on the database, and Ada before it, until the block ends."""
    with running(url, folder, webhook_networks=("127.0.0.0/8",)) as gateway:
        async with desk_at(gateway) as desk:
            yield desk


async def call_off(desk: Desk, count: int) -> list[str]:
    """Has that many orders of Ada's called off, and returns them."""
    orders = [await desk.new_order() for _ in range(count)]
    for order in orders:
        await desk.move("cancelOrder", order)
    return orders


def listed(gateway: Running, email: str = ADA, **variables: str) -> list[dict[str, Any]]:
    """The events that somebody sees."""
    found: list[dict[str, Any]] = gateway.data(EVENTS, variables, as_=email)["events"]["nodes"]
    return found


def message(answer: dict[str, Any]) -> str:
    """What the one error of an answer says."""
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    return str(error["message"])


async def test_clients_see_what_was_and_what_comes_and_are_told_what_does_not_fit(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async with started(url, tmp_path) as desk:
        made = desk.gateway.data(ENDPOINT, {"url": f"{receiver.url}/"}, as_=ADA)["createWebhookEndpoint"]
        endpoint = made["webhookEndpoint"]["id"]
        await call_off(desk, 3)
        await until(lambda: len(receiver.arrived) == 3)
        before, theirs = listed(desk.gateway), listed(desk.gateway, GRACE)
        await restore_elsewhere(desk.database)
    done = await after_restore(url)
    assert (done.returncode, done.stderr) == (0, "")

    async with started(url, tmp_path) as desk:
        gateway = desk.gateway
        after = listed(gateway)
        assert [each["id"] for each in after] == [each["id"] for each in before]
        assert [each["id"] for each in listed(gateway, GRACE)] == [each["id"] for each in theirs]
        async with over_events(gateway, ADA) as live, over_socket(gateway, GRACE) as other:
            await settled(gateway, 2)
            (order,) = await call_off(desk, 1)
            (told,) = await changes(live, 1)
            assert told["order"]["id"] == order
            assert other._waiting == []
        await until(lambda: len(receiver.arrived) == 4)
        assert [each["cursor"] for each in listed(gateway, after=after[-2]["cursor"])] == [
            after[-1]["cursor"],
            told["cursor"],
        ]
        assert listed(gateway, after=told["cursor"]) == []
        old = before[-2]["cursor"]
        if desk.database.dialect == "sqlite":
            assert after == before
            assert len(listed(gateway, after=old)) == 2
        else:
            assert DOES_NOT_FIT in message(gateway.query(EVENTS, {"after": old}, as_=ADA))
            for subscribe in (over_events, over_socket):
                async with subscribe(gateway, ADA, {"after": old}) as refused:
                    assert DOES_NOT_FIT in message(await refused.next())
            replay = {"endpointId": endpoint, "after": old}
            (error,) = gateway.data(REPLAY, replay, as_=ADA)["replayWebhookDeliveries"]["userErrors"]
            assert DOES_NOT_FIT in error["message"]
        replay = {"endpointId": endpoint, "after": after[-2]["cursor"]}
        assert gateway.data(REPLAY, replay, as_=ADA)["replayWebhookDeliveries"]["scheduled"] == 2
        await until(lambda: len(receiver.arrived) == 6)
    times = Counter(each.id for each in receiver.arrived)
    assert sorted(times.values()) == [1, 1, 2, 2]  # the two that were asked for came again, and nothing else


async def test_a_cursor_from_after_the_back_up_hides_nothing(url: str, tmp_path: Path) -> None:
    """A client has seen events that the back-up has not: on SQLite it is told of the next ones all the same."""
    async with started(url, tmp_path) as desk:
        await call_off(desk, 2)
        log = desk.gateway.app.state.gateway.services.events
        organization = await organization_of(desk.database, ADA)
        last = await head(desk.database)
        assert last > BEGINNING
        lost = EventPosition(last.tx + (1_000_000_500 if last.tx else 0), last.position + 500)
        cursor = log.cursors.encode(organization, lost)
        await restore_elsewhere(desk.database)
    assert (await after_restore(url)).returncode == 0
    async with started(url, tmp_path) as desk, over_events(desk.gateway, ADA, {"after": cursor}) as live:
        if desk.database.dialect == "sqlite":
            await settled(desk.gateway, 1)
            (order,) = await call_off(desk, 1)
            (told,) = await changes(live, 1)
            assert told["order"]["id"] == order
            return
        assert DOES_NOT_FIT in message(await live.next())


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_it_is_refused_while_a_gateway_runs(url: str, tmp_path: Path) -> None:
    async with started(url, tmp_path) as desk:
        await let_go(desk.database)
        refused = await after_restore(url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("tributary: others are connected to the database as the gateway's user")
    assert "Stop the gateway" in refused.stderr


def test_tables_that_are_not_there_are_told(tmp_path: Path) -> None:
    refused = run_inline("db", "after-restore", settings={"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}"})
    assert refused.returncode == 1
    assert "tributary db migrate" in refused.stderr
