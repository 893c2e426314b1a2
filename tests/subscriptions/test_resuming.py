"""Somebody comes back: by the cursor in the document, by the id that a browser sends, or with one that is too old."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from datasources.database.events import BEGINNING, EventPosition, all_events_after
from datasources.database.tables.webhooks import event_horizons
from tests.gateway.transports.server import Events
from tests.orders.desk import Desk, organization_of
from tests.serving import ADA, GRACE, Running
from tests.subscriptions.streams import ORDER_CHANGED, PATIENCE_SECONDS, Subscribe, over_events
from tests.subscriptions.test_order_changed import changes, settled

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def stream(gateway: Running, email: str, headers: Mapping[str, str], **variables: str) -> AsyncIterator[Events]:
    """A stream of ``orderChanged`` with headers of one's own."""
    given = {"authorization": f"Bearer {gateway.token(email)}", "accept": "text/event-stream", **headers}
    body = {"query": ORDER_CHANGED, "variables": variables}
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
        client.stream("POST", gateway.graphql, json=body, headers=given) as response,
    ):
        yield Events(response)


async def told(events: Events, count: int) -> list[Any]:
    """What the next frames say."""
    found: list[Any] = []
    while len(found) < count:
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await events.next()
        assert frame is not None
        data = [line.removeprefix("data: ") for line in frame.split("\n") if line.startswith("data: ")]
        found += [json.loads(each) for each in data]
    return found


async def some_moves(gateway: Running, desk: Desk, count: int) -> tuple[list[str], list[str]]:
    """Orders that were called off, and the cursors of that."""
    orders = [await desk.new_order() for _ in range(count)]
    async with over_events(gateway, ADA) as listening:
        await settled(gateway, 1)
        for order_id in orders:
            await desk.move("cancelOrder", order_id)
        cursors = [event["cursor"] for event in await changes(listening, count)]
    await settled(gateway, 0)
    return orders, cursors


async def test_the_id_that_a_browser_sends_goes_before_the_cursor_in_the_document(gateway: Running, desk: Desk) -> None:
    orders, cursors = await some_moves(gateway, desk, 5)
    async with stream(gateway, ADA, {"last-event-id": cursors[2]}, after=cursors[0]) as resumed:
        answers = await told(resumed, 2)
    assert [answer["data"]["orderChanged"]["order"]["id"] for answer in answers] == orders[3:]
    async with stream(gateway, ADA, {"last-event-id": ""}, after=cursors[3]) as resumed:
        (answer,) = await told(resumed, 1)
    assert answer["data"]["orderChanged"]["order"]["id"] == orders[4]
    await settled(gateway, 0)


async def test_an_id_of_another_organization_or_of_nobody_is_refused(gateway: Running, desk: Desk) -> None:
    _, (cursor,) = await some_moves(gateway, desk, 1)
    for email, given in ((GRACE, cursor), (ADA, "nonsense"), (ADA, cursor[:-1] + "?")):
        async with stream(gateway, email, {"last-event-id": given}) as refused:
            (answer,) = await told(refused, 1)
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"
    await settled(gateway, 0)


async def test_a_cursor_that_is_too_old_says_so_and_names_the_oldest_that_works(
    gateway: Running, subscribe: Subscribe, desk: Desk
) -> None:
    organization = await organization_of(desk.database, GRACE)
    log = gateway.app.state.gateway.services.events
    log._recent, log._forgotten = [], log.position  # this process has forgotten it, too
    cursors = gateway.app.state.gateway.services.events.cursors
    known = await all_events_after(desk.database, BEGINNING, 100_000)
    ours = [event for event in known if event.organization_id == organization and event.type == "OrderChanged"]
    horizon = ours[-4].place
    scope = desk.database.scoped(organization)
    async with scope.transaction() as transaction:
        await transaction.connection.execute(event_horizons.delete())
        await transaction.insert(event_horizons, [{"tx": horizon.tx, "position": horizon.position}])
    old = cursors.encode(organization, EventPosition(ours[-5].tx, ours[-5].position))
    async with subscribe(gateway, GRACE, {"after": old}) as stream:
        (error,) = (await stream.next())["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert not error["extensions"]["retryable"]
    oldest = error["extensions"]["oldestCursor"]
    assert oldest == cursors.encode(organization, horizon)
    async with subscribe(gateway, GRACE, {"after": oldest}) as stream:
        assert [event["order"]["id"] for event in await changes(stream, 3)] == [each.subject_id for each in ours[-3:]]
    await settled(gateway, 0)
