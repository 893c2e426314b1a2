"""Several people at one order at the same time: one of them is first, and only what they did happens."""

import asyncio
from collections import Counter
from random import Random

import pytest

from tests.orders.desk import KENJI, MARISOL, PDF, PNG, Desk
from tests.serving import ADA

pytestmark = pytest.mark.anyio


async def test_of_two_reviews_at_once_exactly_one_counts(desk: Desk) -> None:
    people = [desk.of(ADA), desk.of(KENJI)]
    for person in people:
        person.headers()  # they are signed in before they look at the same order
    for _ in range(20):
        order_id = await desk.new_order()
        await desk.submit(order_id)
        before = await desk.recorded(order_id)
        payloads = await asyncio.gather(
            people[0].move("reviewPayment", order_id, accepted=True, note="fits"),
            people[1].move("reviewPayment", order_id, accepted=False, note="does not fit"),
        )
        won = [payload for payload in payloads if not payload["userErrors"]]
        lost = [payload for payload in payloads if payload["userErrors"]]
        assert len(won) == len(lost) == 1
        assert [error["code"] for error in lost[0]["userErrors"]] == ["NOT_ALLOWED_IN_STATE"]
        outcome = "PAID" if payloads[0] is won[0] else "REJECTED"
        assert [payload["order"]["status"] for payload in payloads] == [outcome, outcome]
        after = await desk.recorded(order_id)
        assert after.agrees()
        assert after.status == outcome
        assert len(after.actions) == len(before.actions) + 1
        assert after.audits[-1] == ("PAYMENT_SUBMITTED", outcome)


async def test_the_same_proof_sent_many_times_at_once_is_submitted_once(desk: Desk) -> None:
    order_id = await desk.new_order()
    desk.headers()
    payloads = await asyncio.gather(*(desk.submit(order_id, (PNG, PDF)[number % 2]) for number in range(16)))
    won = [payload for payload in payloads if not payload["userErrors"]]
    assert len(won) == 1
    shown = await desk.see(order_id)
    assert shown is not None
    assert shown["paymentProof"]["sha256"] == won[0]["order"]["paymentProof"]["sha256"]
    assert (await desk.recorded(order_id)).events == [("PENDING", "PAYMENT_SUBMITTED")]


async def test_many_people_at_few_orders_leave_histories_that_hang_together(desk: Desk) -> None:
    orders = [await desk.new_order() for _ in range(4)]
    people = [desk.of(email) for email in (ADA, KENJI, MARISOL)]
    for person in people:
        person.headers()

    async def work(number: int) -> str:
        draw = Random(number)  # noqa: S311
        person, order_id = draw.choice(people), draw.choice(orders)
        step = draw.choice(("submit", "accept", "reject", "complete", "cancel"))
        if step == "submit":
            payload = await person.submit(order_id)
        elif step in ("accept", "reject"):
            payload = await person.move("reviewPayment", order_id, accepted=step == "accept")
        else:
            payload = await person.move(f"{step}Order", order_id)
        return "refused" if payload["userErrors"] else order_id

    done = Counter(await asyncio.gather(*(work(number) for number in range(120))))
    for order_id in orders:
        found = await desk.recorded(order_id)
        assert found.agrees()
        assert len(found.actions) == done[order_id]
        assert [before for before, _ in found.actions] == ["PENDING", *(after for _, after in found.actions)][:-1] or (
            found.actions == []
        )
