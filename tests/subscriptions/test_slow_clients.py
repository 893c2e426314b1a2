"""A client that takes events more slowly than they happen is told so, holds up nobody, and misses nothing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from datasources.database.engine import Database
from datasources.database.events import NewEvent, append_event
from tests.orders.desk import Desk, desk_at, organization_of
from tests.serving import ADA, Running, running
from tests.subscriptions.streams import TRANSPORTS, Subscribe, over_socket
from tests.subscriptions.test_order_changed import changes, settled

pytestmark = pytest.mark.anyio

QUEUE, BURST = 8, 300
# Each event is answered with half a megabyte, so that what lies between client and server fills quickly.
_LARGE = " ".join(f"n{number}: order {{ history {{ note }} }}" for number in range(250))
LARGE = f"subscription {{ orderChanged {{ cursor order {{ id }} {_LARGE} }} }}"


@pytest.fixture
def patient(database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A gateway whose followers may lag behind by a few events only."""
    with running(database_url, tmp_path) as gateway:
        gateway.app.state.gateway.services.events.queue_size = QUEUE
        yield gateway


async def cancelled(desk: Desk, count: int) -> list[str]:
    """Orders that were called off with a long word, one after the other."""
    orders = [await desk.new_order() for _ in range(count)]
    for order_id in orders:
        await desk.move("cancelOrder", order_id, note="x" * 2_000)
    return orders


async def test_a_client_that_does_not_read_is_told_where_to_resume_and_gets_the_rest(patient: Running) -> None:
    async with desk_at(patient) as desk:
        token = patient.token(ADA)
        async with connect(
            patient.socket,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            proxy=None,
            compression=None,
            max_size=None,
            max_queue=1,
            ping_interval=None,
        ) as connection:
            await connection.send(
                json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
            )
            await connection.recv()
            await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": LARGE}}))
            await settled(patient, 1)
            async with over_socket(patient, ADA) as quick:
                await settled(patient, 2)
                orders = await cancelled(desk, 40)
                assert [event["order"]["id"] for event in await changes(quick, 40)] == orders
            seen, last, error = [], None, None
            while error is None:
                message = json.loads(await asyncio.wait_for(connection.recv(), 30))
                if message["type"] == "error":
                    (error,) = message["payload"]
                else:
                    event = message["payload"]["data"]["orderChanged"]
                    seen.append(event["order"]["id"])
                    last = event["cursor"]
        assert error["extensions"] == {"code": "RATE_LIMITED", "retryable": True, "resumeAfter": last}
        assert "Subscribe again" in error["message"]
        assert seen == orders[: len(seen)]
        assert QUEUE <= len(seen) < 40
        async with over_socket(patient, ADA, {"after": last}) as resumed:
            rest = [event["order"]["id"] for event in await changes(resumed, 40 - len(seen))]
        assert seen + rest == orders
        await settled(patient, 0)


@pytest.mark.parametrize("subscribe", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_a_burst_that_is_larger_than_what_waits_in_memory_ends_nobody(
    patient: Running, subscribe: Subscribe, database_url: str
) -> None:
    """As an import of a platform writes it: hundreds of events in one transaction, of another process."""
    async with desk_at(patient) as desk:
        order_id = await desk.new_order()
    database = Database(database_url)
    organization_id = await organization_of(database, ADA)
    try:
        async with subscribe(patient, ADA, {"orderId": order_id}) as stream:
            await settled(patient, 1)
            for _ in range(2):
                async with database.scoped(organization_id).transaction() as transaction:
                    for number in range(BURST):
                        data = {"from": "PENDING", "to": ("PAID", "REJECTED")[number % 2]}
                        await append_event(transaction, NewEvent("messaging", "OrderChanged", order_id, None, data))
            told = await changes(stream, 2 * BURST)
        assert [event["to"] for event in told] == ["PAID", "REJECTED"] * BURST
        assert len({event["cursor"] for event in told}) == 2 * BURST
    finally:
        await database.close()
    await settled(patient, 0)
