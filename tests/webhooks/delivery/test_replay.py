"""What was delivered, has failed or was never meant to be delivered can be posted again, under the same ids."""

from datetime import timedelta

import pytest

from datasources.database.events import EventPosition, events_by_id
from datasources.database.webhook_deliveries import GIVE_UP
from datasources.database.webhook_replays import plan_replay, replay
from tests.webhooks.delivery.world import OTHERS, OURS, World

pytestmark = pytest.mark.anyio


async def place_of(world: World, event_id: str, organization: str = OURS) -> EventPosition:
    """Where an event stands in the log."""
    return (await events_by_id(world.database.scoped(organization), [event_id]))[event_id].place


async def again(
    world: World, endpoint_id: str, after: EventPosition | None = None, *ids: str, organization: str = OURS
) -> int:
    """Has things posted again."""
    scope = world.database.scoped(organization)
    plan = None if after is None else await plan_replay(scope, endpoint_id, after)
    async with scope.transaction() as transaction:
        count = await replay(transaction, endpoint_id, plan, ids, now=world.clock())
    if world.webhooks is not None:
        world.webhooks.wake()
    return count


async def test_deliveries_come_again_as_the_same_ones(world: World) -> None:
    made = await world.endpoint(path="/hook")
    theirs = await world.endpoint(OTHERS, path="/theirs")
    world.receiver.answers["/hook"] = ["410 Gone"]
    async with world.running():
        events = await world.happen(count=1)
        await world.until_settled(1, "FAILED")
        foreign = await world.happen(OTHERS)
        await world.until_settled(1)
        world.pass_(timedelta(days=4))
        (mine,) = await world.deliveries(made.id)
        (other,) = await world.deliveries(theirs.id)
        assert await again(world, made.id, None, mine["id"], organization=OTHERS) == 0
        assert await again(world, made.id, None, other["id"]) == 0
        assert await again(world, theirs.id, await place_of(world, events[0]), organization=OURS) == 0
        # While it is disabled it waits; the time for it begins anew.
        assert await again(world, made.id, None, mine["id"]) == 1
        (mine,) = await world.deliveries(made.id)
        assert (mine["status"], mine["next_attempt_at"], mine["attempts"]) == ("PENDING", None, 0)
        assert mine["give_up_at"] == world.clock() + GIVE_UP
        assert await again(world, theirs.id, None, other["id"], organization=OTHERS) == 1
        await world.until_deliveries(lambda found: len(world.receiver.at("/theirs")) == 2 and found[0] is not None)
    first, second = world.receiver.at("/theirs")
    assert (first.id, first.event, foreign) == (second.id, second.event, [second.event])
    assert len(world.receiver.at("/hook")) == 1


async def test_all_after_a_place_comes_also_what_was_before_the_endpoint(world: World) -> None:
    before = await world.happen(count=4)
    await world.happen(kind="SecurityEvent")
    foreign = await world.happen(OTHERS, 2)
    made = await world.endpoint(path="/hook")
    async with world.running() as webhooks:
        since = await world.happen(count=2)
        await world.until_settled(2)
        # What the reader has not come to gets its number from it.
        webhooks._reader._organizations = frozenset()
        unread = await world.happen()
        assert await again(world, made.id, await place_of(world, before[1])) == 2 + 2
        webhooks._reader.wake()
        found = await world.until_settled(5)
        assert await again(world, made.id, await place_of(world, before[1])) == 5
        await world.until_deliveries(lambda rows: len(world.receiver.arrived) >= 2 + 4 + 1 + 5 and bool(rows))
        found = await world.until_settled(5)
    assert [(row["event_id"], row["sequence"]) for row in found] == [
        (before[2], None),
        (before[3], None),
        (since[0], 1),
        (since[1], 2),
        (unread[0], 3),
    ]
    assert len({row["id"] for row in found}) == 5
    assert all(row["id"].startswith("whd_") and len(row["id"]) == 30 for row in found)
    assert all(row["organization_id"] == OURS for row in found)
    assert {(each.event, each.id) for each in world.receiver.arrived} == {(row["event_id"], row["id"]) for row in found}
    assert not {each.event for each in world.receiver.arrived} & {*foreign, *before[:2]}
