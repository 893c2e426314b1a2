"""Many who follow the same: each event is executed once for all of them, and nobody gets what is another's."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.graphql import engine
from gateway.graphql.execution import execute_event
from gateway.platforms import BUILT_IN
from tests.orders.desk import VICTOR, Desk, add_viewer, desk_at, new_orders
from tests.serving import ADA, GRACE, Running, running
from tests.subscriptions.mirror import Counted, mirror
from tests.subscriptions.streams import Stream, Subscribe, over_events, over_socket
from tests.subscriptions.test_order_changed import settled

pytestmark = pytest.mark.anyio

MOVES = "subscription { orderChanged { cursor to order { id status } } }"
YOURS = "subscription { orderChanged { to you } }"
OF_BUSINESS = "subscription ($businessId: ID) { orderChanged(businessId: $businessId) { to order { id } } }"


@pytest.fixture(scope="module")
def gateway(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with a platform on which things depend on who asks."""
    with running(database_url, tmp_path_factory.mktemp("gateway"), platforms=[*BUILT_IN, mirror(Counted())]) as server:
        yield server


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The events that were executed, each as often as it was."""
    found: list[object] = []
    execute = execute_event

    async def counting(prepared: Any, value: object, context: object) -> Any:
        found.append(value)
        return await execute(prepared, value, context)

    monkeypatch.setattr(engine, "execute_event", counting)
    return found


async def heard(streams: list[Stream]) -> list[dict[str, Any]]:
    """The next of each."""
    return [answer["data"]["orderChanged"] for answer in await asyncio.gather(*(each.next() for each in streams))]


@pytest.fixture
async def open_many(gateway: Running) -> AsyncIterator[Any]:
    """Opens subscriptions, and waits until the gateway has them all."""
    async with AsyncExitStack() as stack:
        opened: list[Stream] = []

        async def many(
            count: int, email: str, query: str = MOVES, variables: dict[str, object] | None = None
        ) -> list[Stream]:
            found: list[Stream] = []
            for number in range(count):
                subscribe = (over_socket, over_events)[number % 2]
                found.append(await stack.enter_async_context(subscribe(gateway, email, variables, query)))
            opened.extend(found)
            await settled(gateway, len(opened))
            return found

        yield many
    await settled(gateway, 0)


async def test_all_who_follow_the_same_share_one_execution_over_both_transports(
    open_many: Any, desk: Desk, executed: list[object]
) -> None:
    order_id = await desk.new_order()
    streams = await open_many(20, ADA)
    await desk.move("cancelOrder", order_id)
    first, *others = await heard(streams)
    assert first["order"] == {"id": order_id, "status": "CANCELLED"}
    assert others == [first] * 19
    assert len(executed) == 1


async def test_another_selection_other_variables_and_another_organization_are_executed_apart(
    open_many: Any, desk: Desk, executed: list[object]
) -> None:
    order_id = await desk.new_order()
    (theirs,) = await new_orders(desk.database, 1, email=GRACE)
    business = (
        await desk.ask(
            "query ($id: ID!) { order: node(id: $id) { ... on ServiceOrder { business { id } } } }", {"id": order_id}
        )
    )["data"]["order"]["business"]["id"]
    whole = await open_many(4, ADA)
    some = await open_many(4, ADA, "subscription { orderChanged { to } }")
    narrowed = await open_many(4, ADA, OF_BUSINESS, {"businessId": business})
    elsewhere = await open_many(4, ADA, OF_BUSINESS, {"businessId": "biz_nothing"})
    of_grace = await open_many(4, GRACE)
    await desk.move("cancelOrder", order_id)
    await heard([*whole, *some, *narrowed])
    assert len(executed) == 3  # and none for those who want another business
    await desk.of(GRACE).move("cancelOrder", theirs)
    assert {answer["order"]["id"] for answer in await heard(of_grace)} == {theirs}
    assert len(executed) == 4
    assert len(elsewhere) == 4


async def test_what_depends_on_the_person_is_executed_for_each_and_told_to_them_alone(
    open_many: Any, desk: Desk, executed: list[object]
) -> None:
    await add_viewer(desk.database)
    order_id = await desk.new_order()
    owners = await open_many(3, ADA, YOURS)
    persons = {email: desk.gateway.data("{ viewer { id } }", as_=email)["viewer"]["id"] for email in (ADA, VICTOR)}
    viewers = await open_many(3, VICTOR, YOURS)
    await desk.move("cancelOrder", order_id)
    assert [answer["you"] for answer in await heard(owners)] == [persons[ADA]] * 3
    assert [answer["you"] for answer in await heard(viewers)] == [persons[VICTOR]] * 3
    # Their rights differ, so they are no group; within each it is one person.
    assert len(executed) == 2


async def test_two_persons_with_the_same_rights_never_get_each_others(
    open_many: Any, desk: Desk, executed: list[object]
) -> None:
    made = [
        (
            await desk.ask(
                'mutation ($name: String!) { createApiKey(input: {name: $name, scopes: ["orders:read"]}) '
                "{ secret apiKey { id } } }",
                {"name": name},
            )
        )["data"]["createApiKey"]
        for name in ("one", "other")
    ]
    order_id = await desk.new_order()
    for key in made:
        desk.gateway._tokens[key["apiKey"]["id"]] = key["secret"]
    streams = [(key["apiKey"]["id"], await open_many(3, key["apiKey"]["id"], YOURS)) for key in made]
    alike = await open_many(2, made[0]["apiKey"]["id"])
    alike += await open_many(2, made[1]["apiKey"]["id"])
    await desk.move("cancelOrder", order_id)
    for key_id, of_key in streams:
        assert [answer["you"] for answer in await heard(of_key)] == [key_id] * 3
    await heard(alike)
    assert len(executed) == 3  # once for each key, and once for both where nothing depends on that


async def test_clients_that_come_back_together_cause_one_execution_of_what_they_missed(
    open_many: Any, desk: Desk, executed: list[object]
) -> None:
    query = "subscription ($after: String) { orderChanged(after: $after) { cursor order { id } } }"
    orders = [await desk.new_order() for _ in range(4)]
    (stream,) = await open_many(1, ADA)
    for order_id in orders:
        await desk.move("cancelOrder", order_id)
    cursors = [(await heard([stream]))[0]["cursor"] for _ in orders]
    executed.clear()
    back = await open_many(12, ADA, query, {"after": cursors[0]})
    for order_id in orders[1:]:
        assert [answer["order"]["id"] for answer in await heard(back)] == [order_id] * 12
    assert len(executed) == 3


@pytest.mark.parametrize("personal", [False, True], ids=["shared", "personal"])
async def test_figures_come_at_once_and_again_when_they_have_changed(
    seeded_sqlite: Path, tmp_path: Path, *, personal: bool
) -> None:
    """Twice as many ask as have something to ask for; events that change nothing are not told."""
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    counted = Counted()
    platforms = [*BUILT_IN, mirror(counted, personal=personal)]
    query = "subscription { figures { value yours } }"
    with running(f"sqlite:///{tmp_path / 'demo.db'}", tmp_path, platforms=platforms) as gateway:
        async with (
            desk_at(gateway) as desk,
            over_socket(gateway, ADA, None, query) as socket,
            over_events(gateway, ADA, None, query) as events,
        ):
            me = gateway.data("{ viewer { id } }", as_=ADA)["viewer"]["id"] if personal else None
            opened = {"data": {"figures": {"value": 0, "yours": me}}}
            assert await socket.next() == opened == await events.next()
            await settled(gateway, 2)
            asked = counted.asked
            await desk.move("cancelOrder", await desk.new_order())
            while counted.asked == asked:  # noqa: ASYNC110 -- asked for again, and just the same
                await asyncio.sleep(0.01)
            counted.value = 7
            for order_id in [await desk.new_order() for _ in range(5)]:
                await desk.move("cancelOrder", order_id)
            changed = {"data": {"figures": {"value": 7, "yours": me}}}
            assert await socket.next() == changed == await events.next()


async def test_what_nobody_wants_is_neither_executed_nor_read(
    gateway: Running, desk: Desk, executed: list[object], subscribe: Subscribe
) -> None:
    wanted, unwanted = await desk.new_order(), await desk.new_order()
    statements: list[str] = []
    async with subscribe(gateway, ADA, {"orderId": wanted}) as stream:
        await settled(gateway, 1)
        await desk.move("cancelOrder", unwanted)
        gateway.app.state.gateway.services.database.observers.append(statements.append)
        await desk.move("cancelOrder", wanted)
        assert (await stream.next())["data"]["orderChanged"]["order"]["id"] == wanted
    gateway.app.state.gateway.services.database.observers.remove(statements.append)
    assert [value.subject_id for value in executed] == [wanted]  # type: ignore[attr-defined]
