"""Whatever people do with orders in whatever order, the gateway does what a model of a dozen lines does."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.orders.desk import PDF, PNG, Desk, desk_at
from tests.serving import GRACE, Running

T = TypeVar("T")

ALLOWED = {
    ("PENDING", "submit"): "PAYMENT_SUBMITTED",
    ("REJECTED", "submit"): "PAYMENT_SUBMITTED",
    ("PAYMENT_SUBMITTED", "accept"): "PAID",
    ("PAYMENT_SUBMITTED", "reject"): "REJECTED",
    ("PAID", "complete"): "COMPLETED",
    ("PENDING", "cancel"): "CANCELLED",
    ("PAYMENT_SUBMITTED", "cancel"): "CANCELLED",
    ("REJECTED", "cancel"): "CANCELLED",
}
"""The model: from a status and a step to the next status. All else is refused."""

STEPS: dict[str, Callable[[Desk, str], Coroutine[Any, Any, dict[str, Any]]]] = {
    "submit": lambda desk, order_id: desk.submit(order_id, PDF),
    "accept": lambda desk, order_id: desk.move("reviewPayment", order_id, accepted=True),
    "reject": lambda desk, order_id: desk.move("reviewPayment", order_id, accepted=False, note="no"),
    "complete": lambda desk, order_id: desk.move("completeOrder", order_id),
    "cancel": lambda desk, order_id: desk.move("cancelOrder", order_id, note="why"),
}


def machine(gateway: Running) -> type[RuleBasedStateMachine]:  # noqa: C901 -- one method for each thing people do
    """A machine that works on orders of this gateway."""

    class Orders(RuleBasedStateMachine):
        """Orders that are placed and moved at will, beside what the model says of each."""

        placed = Bundle("placed")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, list[str]] = {}

        def at_desk(self, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
            async def run() -> T:
                async with desk_at(gateway) as desk:
                    return await work(desk)

            return asyncio.run(run())

        @rule(target=placed)
        def place(self) -> str:
            order_id = self.at_desk(lambda desk: desk.new_order())
            self.model[order_id] = ["PENDING"]
            return order_id

        @rule(order_id=placed, steps=strategies.lists(strategies.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
        def step(self, order_id: str, steps: list[str]) -> None:
            async def work(desk: Desk) -> None:
                for name in steps:
                    way = self.model[order_id]
                    expected = ALLOWED.get((way[-1], name))
                    payload = await STEPS[name](desk, order_id)
                    assert bool(payload["userErrors"]) == (expected is None)
                    way.extend([] if expected is None else [expected])
                    assert payload["order"]["status"] == way[-1]

            self.at_desk(work)

        @rule(order_id=placed, name=strategies.sampled_from(["reviewPayment", "cancelOrder"]))
        def try_as_a_stranger(self, order_id: str, name: str) -> None:
            values: dict[str, object] = {"accepted": True} if name == "reviewPayment" else {}
            answer = self.at_desk(lambda desk: desk.of(GRACE).act(name, order_id, **values))
            assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"

        @rule(order_id=placed)
        def send_what_is_no_proof(self, order_id: str) -> None:
            payload = self.at_desk(lambda desk: desk.submit(order_id, PNG[1:]))
            assert [error["code"] for error in payload["userErrors"]] == ["INVALID"]

        @invariant()
        def every_record_tells_the_way_of_the_model(self) -> None:
            async def work(desk: Desk) -> None:
                for order_id, way in self.model.items():
                    found = await desk.recorded(order_id)
                    assert found.agrees()
                    assert (found.status, found.actions) == (way[-1], list(pairwise(way)))

            if self.model:
                self.at_desk(work)

    return Orders


def test_the_gateway_does_what_the_model_does(gateway: Running) -> None:
    """A few dozen runs; the database stays the same one, as it does in life."""
    run_state_machine_as_test(
        machine(gateway),
        settings=settings(
            max_examples=12,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
