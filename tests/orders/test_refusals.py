"""Who may not move an order, and with what it is not moved: refused, and without a trace."""

import pytest
from sqlalchemy import ColumnElement, Table, true

from datasources.database.tables.access import audit_entries
from datasources.database.tables.gateway import events, order_actions
from datasources.database.tables.messaging import media
from tests.orders.desk import KENJI, PNG, VICTOR, Desk, add_viewer, count_of
from tests.serving import GRACE

pytestmark = pytest.mark.anyio

MOVES: tuple[tuple[str, dict[str, object]], ...] = (
    ("reviewPayment", {"accepted": True}),
    ("completeOrder", {}),
    ("cancelOrder", {}),
)
TRACES: tuple[tuple[Table, ColumnElement[bool]], ...] = (
    (order_actions, true()),
    (events, events.c.type == "OrderChanged"),
    (audit_entries, audit_entries.c.action == "order.moved"),
    (media, true()),
)


async def traces(desk: Desk) -> list[int]:
    """How many rows tell of moves, of any order; that somebody was refused leaves a trace of its own kind."""
    return [await count_of(desk.database, table, told) for table, told in TRACES]


async def every_move(desk: Desk, order_id: str) -> list[dict[str, object]]:
    """The first error of each mutation."""
    answers = [await desk.act(mutation, order_id, **values) for mutation, values in MOVES]
    answers.append((await desk.send_file(order_id, PNG, "a.png", "image/png")).json())
    assert all(list(answer["data"].values()) == [None] for answer in answers)
    return [answer["errors"][0] for answer in answers]


async def test_somebody_who_may_only_read_moves_nothing(desk: Desk) -> None:
    await add_viewer(desk.database)
    order_id = await desk.new_order()
    viewer = desk.of(VICTOR)
    assert await viewer.see(order_id) is not None
    before = await traces(desk)
    for error in await every_move(viewer, order_id):
        assert error["extensions"] == {
            "code": "FORBIDDEN",
            "retryable": False,
            "requiredScopes": [["orders:write"]],
        }
    assert await traces(desk) == before


async def test_nobody_moves_nothing(desk: Desk) -> None:
    order_id = await desk.new_order()
    before = await traces(desk)
    for error in await every_move(desk.of(None), order_id):
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "retryable": False}
    assert await traces(desk) == before


async def test_an_order_of_another_organization_looks_like_none(desk: Desk) -> None:
    order_id = await desk.new_order()
    stranger = desk.of(GRACE)
    # signing in writes to the audit trail
    assert await stranger.see(order_id) is None
    before = await traces(desk)
    absent = "sor_" + "0" * 26
    assert await every_move(stranger, order_id) == await every_move(stranger, absent)
    assert {error["message"] for error in await every_move(stranger, order_id)} == {
        "There is no service order with this id that you may see."
    }
    assert await traces(desk) == before


@pytest.mark.parametrize(
    "order_id", ["", "nonsense", "sor_", "apt_" + "0" * 26, "sor_\u0000", "é" * 3_000, "' OR 1=1 --"]
)
async def test_what_is_no_service_order_is_not_found(desk: Desk, order_id: str) -> None:
    for error in await every_move(desk, order_id):
        assert error["message"] == "There is no service order with this id that you may see."


async def test_an_order_of_another_kind_is_no_service_order(desk: Desk) -> None:
    answer = await desk.ask('{ orders(first: 1, filter: {platforms: ["attribution"]}) { nodes { id status } } }', {})
    (appointment,) = answer["data"]["orders"]["nodes"]
    assert {error["extensions"]["code"] for error in await every_move(desk, appointment["id"])} == {"NOT_FOUND"}  # type: ignore[index]
    assert (await desk.see(appointment["id"]) or {})["status"] == appointment["status"]


async def test_a_note_has_at_most_2000_characters(desk: Desk) -> None:
    order_id = await desk.new_order()
    before = await desk.recorded(order_id)
    payload = await desk.move("cancelOrder", order_id, note="ü" * 2_001)
    assert payload["userErrors"] == [
        {"code": "INVALID", "message": "A note has at most 2000 characters, none of them U+0000.", "field": ["note"]}
    ]
    assert await desk.recorded(order_id) == before
    payload = await desk.move("cancelOrder", order_id, note="ü" * 2_000)
    assert payload["order"]["history"][-1]["note"] == "ü" * 2_000


@pytest.mark.parametrize(
    "note", ["", " ", "<script>alert(1)</script>", "'; DROP TABLE events; --", "\u202e", "a\r\n\tb"]
)
async def test_a_note_is_kept_as_it_was_written(desk: Desk, note: str) -> None:
    order_id = await desk.new_order()
    payload = await desk.of(KENJI).move("cancelOrder", order_id, note=note)
    assert payload["order"]["history"][-1]["note"] == note


async def test_a_note_with_a_character_that_no_database_keeps_is_the_callers_mistake(desk: Desk) -> None:
    order_id = await desk.new_order()
    before = await desk.recorded(order_id)
    payload = await desk.move("cancelOrder", order_id, note="zero \u0000 byte")
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("INVALID", ["note"])]
    assert await desk.recorded(order_id) == before
