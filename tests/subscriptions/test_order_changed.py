"""``orderChanged`` as a client meets it: live, resumed, filtered, and of its own organization alone."""

import asyncio
import json
from typing import Any

import pytest

from datasources.database.events import BEGINNING
from tests.orders.desk import Desk, new_orders
from tests.serving import ADA, GRACE, Running
from tests.subscriptions.streams import PATIENCE_SECONDS, EventStream, Stream, Subscribe, over_events, over_socket

pytestmark = pytest.mark.anyio


async def settled(gateway: Running, live: int) -> None:
    """Waits until the gateway has as many followers as it should have."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while gateway.app.state.gateway.endpoint.live != live:  # noqa: ASYNC110 -- they come and go in another thread
            await asyncio.sleep(0.005)


async def changes(stream: Stream, count: int) -> list[dict[str, Any]]:
    """The next changes of orders."""
    answers = [await stream.next() for _ in range(count)]
    assert all("errors" not in answer for answer in answers), answers
    return [answer["data"]["orderChanged"] for answer in answers]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Which orders moved, from where and to where."""
    return [(event["order"]["id"], event["from"], event["to"]) for event in events]


async def test_moves_are_told_live_and_in_order(gateway: Running, desk: Desk, subscribe: Subscribe) -> None:
    order_id = await desk.new_order()
    async with subscribe(gateway, ADA) as stream:
        await settled(gateway, 1)
        await desk.submit(order_id)
        (first,) = await changes(stream, 1)
        assert told([first]) == [(order_id, "PENDING", "PAYMENT_SUBMITTED")]
        assert first["order"]["status"] == "PAYMENT_SUBMITTED"
        assert first["platform"] == {"key": "messaging"}
        assert first["business"]["id"].startswith("bus_")
        if isinstance(stream, EventStream):
            assert stream.last_id == first["cursor"]
        await desk.move("reviewPayment", order_id, accepted=True)
        await desk.move("completeOrder", order_id)
        assert told(await changes(stream, 2)) == [
            (order_id, "PAYMENT_SUBMITTED", "PAID"),
            (order_id, "PAID", "COMPLETED"),
        ]
    await settled(gateway, 0)


async def test_who_resumes_gets_what_was_missed_once_and_in_order(
    gateway: Running, desk: Desk, subscribe: Subscribe
) -> None:
    orders = [await desk.new_order() for _ in range(4)]
    async with subscribe(gateway, ADA) as stream:
        await settled(gateway, 1)
        await desk.submit(orders[0])
        (seen,) = await changes(stream, 1)
    await settled(gateway, 0)
    for order_id in orders[1:3]:
        await desk.submit(order_id)
        await desk.move("reviewPayment", order_id, accepted=False)
    async with subscribe(gateway, ADA, {"after": seen["cursor"]}) as stream:
        missed = await changes(stream, 4)
        assert told(missed) == [
            step
            for order_id in orders[1:3]
            for step in (
                (order_id, "PENDING", "PAYMENT_SUBMITTED"),
                (order_id, "PAYMENT_SUBMITTED", "REJECTED"),
            )
        ]
        await desk.move("cancelOrder", orders[3])
        assert told(await changes(stream, 1)) == [(orders[3], "PENDING", "CANCELLED")]
        assert len({event["cursor"] for event in missed}) == 4
    # every cursor resumes right after its own event, over the other transport too
    for position, event in enumerate(missed[:-1]):
        async with over_socket(gateway, ADA, {"after": event["cursor"]}) as other:
            assert await changes(other, 3 - position) == missed[position + 1 :]


async def test_filters_let_through_their_orders_only(gateway: Running, desk: Desk, subscribe: Subscribe) -> None:
    wanted, unwanted = await desk.new_order(), await desk.new_order()
    shown = await desk.ask("query ($id: ID!) { node(id: $id) { ... on Order { business { id } } } }", {"id": wanted})
    business = shown["data"]["node"]["business"]["id"]
    async with (
        subscribe(gateway, ADA, {"orderId": wanted}) as by_order,
        subscribe(gateway, ADA, {"businessId": business}) as by_business,
        subscribe(gateway, ADA, {"businessId": "bus_" + "0" * 26}) as by_another,
    ):
        await settled(gateway, 3)
        await desk.move("cancelOrder", unwanted)
        await desk.move("cancelOrder", wanted)
        assert [order_id for order_id, _, _ in told(await changes(by_order, 1))] == [wanted]
        assert [order_id for order_id, _, _ in told(await changes(by_business, 2))] == [unwanted, wanted]
        nothing = asyncio.create_task(by_another.next())
        await asyncio.wait([nothing], timeout=0.05)
        assert not nothing.done()
        nothing.cancel()
        await asyncio.gather(nothing, return_exceptions=True)


async def test_an_order_of_another_organization_is_never_told(
    gateway: Running, desk: Desk, subscribe: Subscribe
) -> None:
    ours = await desk.new_order()
    (theirs,) = await new_orders(desk.database, 1, email=GRACE)
    async with over_socket(gateway, ADA) as stream:
        await settled(gateway, 1)
        await desk.submit(ours)
        (foreign,) = await changes(stream, 1)
    await settled(gateway, 0)
    # neither live, nor resumed from a cursor of the others, nor by naming their order
    async with (
        subscribe(gateway, GRACE, {"orderId": ours}) as by_name,
        subscribe(gateway, GRACE, {"after": foreign["cursor"]}) as refused,
        subscribe(gateway, GRACE) as theirs_only,
    ):
        (error,) = (await refused.next())["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"
        await settled(gateway, 2)
        await desk.move("cancelOrder", ours)
        await desk.of(GRACE).move("cancelOrder", theirs)
        assert told(await changes(theirs_only, 1)) == [(theirs, "PENDING", "CANCELLED")]
        nothing = asyncio.create_task(by_name.next())
        await asyncio.wait([nothing], timeout=0.05)
        assert not nothing.done()
        nothing.cancel()
        await asyncio.gather(nothing, return_exceptions=True)


@pytest.mark.parametrize("cursor", ["", "nonsense", "e", "eAAAA", "e" + "_" * 22, "\u0000", "é" * 50])
async def test_what_is_no_cursor_is_refused_with_a_word_on_what_to_send(
    gateway: Running, subscribe: Subscribe, cursor: str
) -> None:
    async with subscribe(gateway, ADA, {"after": cursor}) as stream:
        answer = await stream.next()
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["message"] == (
        "That is not the cursor of an event of yours. Send the `cursor` of the last event that you saw."
    )
    await settled(gateway, 0)


async def test_the_beginning_of_the_log_replays_the_demo_data_once(gateway: Running, subscribe: Subscribe) -> None:
    """Grace's organization has 200 events of the past."""
    memberships = gateway.data("{ viewer { memberships { organization { id } } } }", as_=GRACE)["viewer"]["memberships"]
    organization = memberships[0]["organization"]["id"]
    beginning = gateway.app.state.gateway.services.events.cursors.encode(organization, BEGINNING)
    async with subscribe(gateway, GRACE, {"after": beginning}) as stream:
        events = await changes(stream, 200)
    assert len({event["cursor"] for event in events}) == 200


async def test_a_client_that_leaves_is_forgotten(gateway: Running, subscribe: Subscribe) -> None:
    for _ in range(20):
        async with subscribe(gateway, GRACE):
            await settled(gateway, 1)
        await settled(gateway, 0)
    assert gateway.app.state.gateway.endpoint.live == 0


async def test_many_clients_each_get_every_event_once(gateway: Running, desk: Desk) -> None:
    orders = [await desk.new_order() for _ in range(5)]
    seen: list[list[str]] = []

    async def follow(number: int) -> None:
        opened = over_socket if number % 2 else over_events
        async with opened(gateway, ADA) as stream:
            seen.append([event["order"]["id"] for event in await changes(stream, len(orders))])

    following = [asyncio.create_task(follow(number)) for number in range(30)]
    await settled(gateway, 30)
    for order_id in orders:
        await desk.move("cancelOrder", order_id)
    await asyncio.gather(*following)
    assert seen == [orders] * 30
    await settled(gateway, 0)


async def test_a_line_of_events_is_one_json_response(gateway: Running, desk: Desk) -> None:
    """A note with line breaks does not break the framing."""
    order_id = await desk.new_order()
    query = "subscription { orderChanged { order { history { note } } } }"
    async with over_events(gateway, ADA, query=query) as stream:
        await settled(gateway, 1)
        await desk.move("cancelOrder", order_id, note="a\n\ndata: {}\r\n\u2028b")
        answer = await stream.next()
    assert json.dumps(answer["data"]["orderChanged"]["order"]["history"][-1]["note"]) == json.dumps(
        "a\n\ndata: {}\r\n\u2028b"
    )
