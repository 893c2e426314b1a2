"""Webhooks from end to end: an order moves, and the receiver of an integrator learns of it over HTTP."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from datasources.database.engine import Database
from tests.docs.pages import blocks
from tests.orders.desk import new_orders
from tests.repository.checkout import ROOT
from tests.serving import ADA, GRACE, Running
from tests.webhooks.api.receiver import PATIENCE_SECONDS, Arrived, Receiver, receiving

_numbers = count()
CANCEL = "mutation ($id: ID!) { cancelOrder(input: {orderId: $id}) { order { id } userErrors { message } } }"
CREATE = """mutation ($url: URL!) {
  createWebhookEndpoint(input: {url: $url, events: ["OrderChanged"]}) {
    webhookEndpoint { id } signingSecret userErrors { message }
  }
}"""
REPLAY = """mutation ($input: ReplayWebhookDeliveriesInput!) {
  replayWebhookDeliveries(input: $input) { scheduled userErrors { code message } }
}"""
STATE = """query ($id: ID!) { node(id: $id) { ... on WebhookEndpoint {
  status firstFailureAt
  deliveries { nodes {
    id status attempts responseStatus error nextAttemptAt deliveredAt sequence cursor event { id }
  } }
} } }"""


class Endpoint:
    """An endpoint of somebody at a path of the receiver."""

    def __init__(self, gateway: Running, receiver: Receiver, email: str) -> None:
        self.path = f"/{next(_numbers)}"
        self._gateway, self._receiver, self._email = gateway, receiver, email
        url = f"{receiver.url}{self.path}"
        made = gateway.data(CREATE, {"url": url}, as_=email)["createWebhookEndpoint"]
        assert made["userErrors"] == []
        self.id, self.secret = made["webhookEndpoint"]["id"], made["signingSecret"]

    def next(self) -> Arrived:
        """The next request that comes."""
        return self._receiver.next(self.path)

    def replay(self, **what: object) -> int:
        """Has something delivered again; returns how much."""
        data = self._gateway.data(REPLAY, {"input": {"endpointId": self.id, **what}}, as_=self._email)
        payload = data["replayWebhookDeliveries"]
        assert payload["userErrors"] == []
        return int(payload["scheduled"])

    def mutate(self, mutation: str, **values: object) -> dict[str, Any]:
        """The payload of another mutation about it."""
        name = mutation[0].upper() + mutation[1:]
        query = (
            f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) {{ signingSecret userErrors {{ code }} }} }}"
        )
        found: dict[str, Any] = self._gateway.data(query, {"input": {"id": self.id, **values}}, as_=self._email)
        return dict(found[mutation])

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """How it stands, once that is as it should be."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            state: dict[str, Any] = self._gateway.data(STATE, {"id": self.id}, as_=self._email)["node"]
            if holds(state):
                return state
            assert time.monotonic() < deadline, state
            time.sleep(0.02)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Where the webhooks of all tests go."""
    with receiving() as listening:
        yield listening


def cancel(gateway: Running, email: str) -> str:
    """Cancels a new order of somebody's organization; returns its id."""

    async def place() -> str:
        database = Database(gateway.database_url, pool_size=1)
        try:
            (order,) = await new_orders(database, 1, email=email)
        finally:
            await database.close()
        return order

    order = asyncio.run(place())
    assert gateway.data(CANCEL, {"id": order}, as_=email)["cancelOrder"]["userErrors"] == []
    return order


def test_an_event_arrives_where_it_belongs_and_nowhere_else(gateway: Running, receiver: Receiver) -> None:
    of_ada, of_grace = Endpoint(gateway, receiver, ADA), Endpoint(gateway, receiver, GRACE)
    order = cancel(gateway, ADA)
    arrived = of_ada.next()
    body = arrived.verified(of_ada.secret)
    with pytest.raises(WebhookVerificationError):
        arrived.verified(of_grace.secret)
    assert (arrived.event["order"]["id"], arrived.event["to"]) == (order, "CANCELLED")
    assert body["extensions"]["delivery"] == {
        "id": arrived.headers["webhook-id"],
        "attempt": 1,
        "sequence": 1,
        "cursor": arrived.event["cursor"],
        "endpoint": of_ada.id,
    }
    assert arrived.headers["content-type"] == "application/json"
    state = of_ada.until(lambda state: all(each["status"] == "DELIVERED" for each in state["deliveries"]["nodes"]))
    (delivery,) = state["deliveries"]["nodes"]
    assert (delivery["id"], delivery["event"]["id"]) == (arrived.headers["webhook-id"], arrived.event["id"])
    assert (delivery["attempts"], delivery["responseStatus"], delivery["error"]) == (1, 204, None)
    assert (delivery["sequence"], delivery["cursor"]) == ("1", arrived.event["cursor"])
    assert (delivery["nextAttemptAt"], delivery["deliveredAt"] is None) == (None, False)
    # Grace's first delivery is of her own order, and Ada hears nothing of it.
    hers = cancel(gateway, GRACE)
    other = of_grace.next()
    other.verified(of_grace.secret)
    assert (other.event["order"]["id"], other.delivery["sequence"]) == (hers, 1)
    cancel(gateway, ADA)
    assert of_ada.next().delivery["sequence"] == 2
    assert receiver.is_silent(of_grace.path)


def test_what_was_delivered_comes_again_under_the_same_id(gateway: Running, receiver: Receiver) -> None:
    endpoint = Endpoint(gateway, receiver, ADA)
    cancel(gateway, ADA)
    first = endpoint.next()
    cancel(gateway, ADA)
    second = endpoint.next()
    endpoint.until(lambda state: all(each["status"] == "DELIVERED" for each in state["deliveries"]["nodes"]))
    assert endpoint.replay(deliveryIds=[first.headers["webhook-id"]]) == 1
    again = endpoint.next()
    again.verified(endpoint.secret)
    assert again.headers["webhook-id"] == first.headers["webhook-id"]
    assert (again.event["id"], again.delivery["sequence"]) == (first.event["id"], 1)
    endpoint.until(lambda state: all(each["status"] == "DELIVERED" for each in state["deliveries"]["nodes"]))
    assert endpoint.replay(after=first.event["cursor"]) == 1
    assert endpoint.next().headers["webhook-id"] == second.headers["webhook-id"]


def test_a_new_endpoint_is_filled_with_what_was_before_it(gateway: Running, receiver: Receiver) -> None:
    before = Endpoint(gateway, receiver, ADA)
    events = []
    for _ in range(3):
        cancel(gateway, ADA)
        events.append(before.next().event)
    fresh = Endpoint(gateway, receiver, ADA)
    assert fresh.replay(after=events[0]["cursor"]) == 2
    arrived = [fresh.next(), fresh.next()]
    assert {each.event["id"] for each in arrived} == {event["id"] for event in events[1:]}
    assert [each.delivery["sequence"] for each in arrived] == [None, None]
    cancel(gateway, ADA)
    assert fresh.next().delivery["sequence"] == 1


def test_what_fails_says_why_and_comes_again(gateway: Running, receiver: Receiver) -> None:
    endpoint = Endpoint(gateway, receiver, ADA)
    receiver.answers[endpoint.path] = [503]
    cancel(gateway, ADA)
    failed = endpoint.next()
    state = endpoint.until(lambda state: state["firstFailureAt"] is not None)
    (delivery,) = state["deliveries"]["nodes"]
    assert (delivery["status"], delivery["attempts"], delivery["responseStatus"]) == ("PENDING", 1, 503)
    assert delivery["error"]
    assert delivery["nextAttemptAt"] is not None
    assert endpoint.replay(deliveryIds=[delivery["id"]]) == 1
    assert endpoint.next().headers["webhook-id"] == failed.headers["webhook-id"]
    state = endpoint.until(lambda state: state["firstFailureAt"] is None)
    assert state["deliveries"]["nodes"][0]["status"] == "DELIVERED"


def test_what_is_gone_is_asked_no_more_until_it_is_resumed(gateway: Running, receiver: Receiver) -> None:
    endpoint = Endpoint(gateway, receiver, ADA)
    receiver.answers[endpoint.path] = [410]
    cancel(gateway, ADA)
    refused = endpoint.next()
    endpoint.until(lambda state: state["status"] == "DISABLED")
    assert endpoint.mutate("resumeWebhookEndpoint")["userErrors"] == []
    endpoint.replay(deliveryIds=[refused.headers["webhook-id"]])
    assert endpoint.next().event["id"] == refused.event["id"]
    cancel(gateway, ADA)
    assert endpoint.next().delivery["sequence"] == 2


def test_a_new_secret_signs_beside_the_old_one(gateway: Running, receiver: Receiver) -> None:
    endpoint = Endpoint(gateway, receiver, ADA)
    secret = endpoint.mutate("rotateWebhookSecret")["signingSecret"]
    cancel(gateway, ADA)
    arrived = endpoint.next()
    assert arrived.verified(secret) == arrived.verified(endpoint.secret)
    newest = endpoint.mutate("rotateWebhookSecret", overlapSeconds=0)["signingSecret"]
    cancel(gateway, ADA)
    arrived = endpoint.next()
    arrived.verified(newest)
    for old in (secret, endpoint.secret):
        with pytest.raises(WebhookVerificationError):
            arrived.verified(old)


@pytest.fixture(scope="module")
def documented() -> SimpleNamespace:
    """The receiver of docs/webhooks.md."""
    (block,) = [each for each in blocks(ROOT / "docs" / "webhooks.md") if each.language == "python"]
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(block.text, block.name, "exec"), names)  # noqa: S102 -- our own page
    return SimpleNamespace(**names)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_documented_receiver_takes_each_event_once_in_order(
    gateway: Running, receiver: Receiver, documented: SimpleNamespace, tmp_path: Path
) -> None:
    endpoint = Endpoint(gateway, receiver, ADA)
    arrived = []
    for _ in range(3):
        cancel(gateway, ADA)
        arrived.append(endpoint.next())
    for each in arrived:
        assert documented.is_genuine(endpoint.secret, each.headers, each.body)
        assert not documented.is_genuine(endpoint.secret, each.headers, each.body + b" ")
        assert not documented.is_genuine(endpoint.secret, {**each.headers, "webhook-timestamp": "1"}, each.body)
        assert not documented.is_genuine(endpoint.secret, {}, each.body)
    handled: list[str] = []
    failures = [RuntimeError("the disk is full")]

    def handle(_database: sqlite3.Connection, event: dict[str, Any]) -> None:
        if failures and event["id"] == arrived[1].event["id"]:
            raise failures.pop()
        handled.append(event["id"])

    inbox = documented.Inbox(str(tmp_path / "inbox.db"), handle)
    ids = [each.event["id"] for each in arrived]
    for number in (2, 0, 2, 0):
        inbox.take(arrived[number].body)
        inbox.work()
    assert handled == ids[:1]
    inbox.take(arrived[1].body)
    with pytest.raises(RuntimeError):
        inbox.work()
    assert handled == ids[:1]
    # After a restart it goes on where it was.
    inbox.database.close()
    inbox = documented.Inbox(str(tmp_path / "inbox.db"), handle)
    for each in (*arrived, *arrived):
        inbox.take(each.body)
        inbox.work()
    assert handled == ids
    (progress,) = inbox.database.execute("SELECT sequence, cursor FROM progress")
    assert progress == (3, arrived[2].event["cursor"])
    inbox.database.close()
