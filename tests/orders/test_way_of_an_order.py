"""The way of a service order, from the first proof of payment to its end, as a person walks it."""

from itertools import pairwise

import pytest

from datasources.database.service_orders import MOVES
from tests.orders.desk import PDF, Desk

pytestmark = pytest.mark.anyio

STATUSES = ("PENDING", "PAYMENT_SUBMITTED", "PAID", "REJECTED", "COMPLETED", "CANCELLED")


async def brought_to(desk: Desk, status: str) -> str:
    """A new order that was brought to this status by the moves that lead there."""
    order_id = await desk.new_order()
    if status == "CANCELLED":
        await desk.move("cancelOrder", order_id)
    elif status != "PENDING":
        await desk.submit(order_id)
        if status != "PAYMENT_SUBMITTED":
            await desk.move("reviewPayment", order_id, accepted=status != "REJECTED")
        if status == "COMPLETED":
            await desk.move("completeOrder", order_id)
    return order_id


async def test_a_payment_is_rejected_sent_again_accepted_and_the_order_completed(desk: Desk) -> None:
    order_id = await desk.new_order()
    sent = await desk.submit(order_id)
    assert sent["userErrors"] == []
    assert sent["order"]["status"] == "PAYMENT_SUBMITTED"
    refused = await desk.move("reviewPayment", order_id, accepted=False, note="Cropped: the amount is missing")
    assert refused["order"]["status"] == "REJECTED"
    again = await desk.submit(order_id, PDF)
    assert again["order"]["paymentProof"]["contentType"] == "application/pdf"
    accepted = await desk.move("reviewPayment", order_id, accepted=True)
    assert accepted["order"]["status"] == "PAID"
    done = await desk.move("completeOrder", order_id, note="Handed over 🎉")
    assert done["userErrors"] == []

    order = done["order"]
    moves = ["PENDING", "PAYMENT_SUBMITTED", "REJECTED", "PAYMENT_SUBMITTED", "PAID", "COMPLETED"]
    assert [(step["from"], step["to"]) for step in order["history"]] == list(pairwise(moves))
    assert [step["note"] for step in order["history"]] == [
        None,
        "Cropped: the amount is missing",
        None,
        None,
        "Handed over 🎉",
    ]
    viewer = await desk.ask("{ viewer { id } }", {})
    assert {step["actor"] for step in order["history"]} == {viewer["data"]["viewer"]["id"]}
    times = [step["at"] for step in order["history"]]
    assert times == sorted(times)
    assert order["updatedAt"] == times[-1]
    assert await desk.see(order_id) == order
    assert (await desk.recorded(order_id)).agrees()
    assert len((await desk.recorded(order_id)).events) == 5


@pytest.mark.parametrize("status", ["PENDING", "PAYMENT_SUBMITTED", "REJECTED"])
async def test_an_order_that_is_not_paid_is_called_off(desk: Desk, status: str) -> None:
    order_id = await brought_to(desk, status)
    payload = await desk.move("cancelOrder", order_id, note="Changed their mind")
    assert payload["userErrors"] == []
    assert payload["order"]["status"] == "CANCELLED"
    assert payload["order"]["history"][-1]["note"] == "Changed their mind"
    assert (await desk.recorded(order_id)).agrees()


@pytest.mark.parametrize("status", STATUSES)
async def test_a_move_that_does_not_begin_here_is_told_and_leaves_no_trace(desk: Desk, status: str) -> None:
    order_id = await brought_to(desk, status)
    before = await desk.recorded(order_id)
    assert before.status == status
    steps = {"CANCELLED": "cancelOrder", "COMPLETED": "completeOrder", "PAID": "accept", "REJECTED": "reject"}
    refused = {wanted: step for wanted, step in steps.items() if wanted not in MOVES.get(status, ())}
    for wanted, step in refused.items():
        if step in ("accept", "reject"):
            payload = await desk.move("reviewPayment", order_id, accepted=step == "accept", note="never kept")
        else:
            payload = await desk.move(step, order_id, note="never kept")
        assert payload["userErrors"] == [
            {
                "code": "NOT_ALLOWED_IN_STATE",
                "message": f"The order is {status} already."
                if wanted == status
                else f"The order is {status}; from there it cannot become {wanted}.",
                "field": ["orderId"],
            }
        ]
        assert payload["order"]["status"] == status
    if "PAYMENT_SUBMITTED" not in MOVES.get(status, ()):
        proof = (await desk.see(order_id) or {})["paymentProof"]
        payload = await desk.submit(order_id, PDF)
        assert [error["code"] for error in payload["userErrors"]] == ["NOT_ALLOWED_IN_STATE"]
        assert payload["order"]["paymentProof"] == proof
    assert await desk.recorded(order_id) == before
