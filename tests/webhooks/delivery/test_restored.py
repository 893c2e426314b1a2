"""After a restore into another cluster webhooks go on where they were: nothing is lost, and nothing comes twice."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from datasources.database import after_restore as after_restore_module
from datasources.database import webhook_reader, webhook_replays
from datasources.database.event_retention import horizon_of
from datasources.database.events import BEGINNING, EventPosition, NewEvent, append_event
from datasources.database.tables.webhooks import event_horizons
from tests.events.restored import after_restore, everything, let_go, restore_elsewhere
from tests.webhooks.delivery.test_replay import again, place_of
from tests.webhooks.delivery.world import OTHERS, OURS, World, opened

pytestmark = pytest.mark.anyio
NO_TABLES = {"PLATFORMS": "assistant"}
"""A platform without tables: those of the others are not there in these tests."""


async def restored(world: World, url: str, *arguments: str) -> str:
    """Runs the command, and returns what it says."""
    await let_go(world.database)
    done = await after_restore(url, *arguments, **NO_TABLES)
    assert (done.returncode, done.stderr) == (0, ""), done
    world.clock.now = datetime.now(UTC)
    return done.stdout


async def restored_elsewhere(world: World, url: str) -> str:
    """Restores into another cluster, and runs the command."""
    await restore_elsewhere(world.database)
    return await restored(world, url)


async def delivered_to(world: World, endpoint_id: str) -> list[tuple[str, int | None, str]]:
    """What an endpoint has of which events, in the order of the log."""
    return [(row["event_id"], row["sequence"], row["status"]) for row in await world.deliveries(endpoint_id)]


def numbered(events: list[str]) -> list[tuple[str, int, str]]:
    """Each of these, delivered in this order."""
    return [(event, number, "DELIVERED") for number, event in enumerate(events, 1)]


async def overlapping(world: World, url: str) -> tuple[list[str], str, str]:
    """What happens while nobody reads, around a new endpoint: all in the order of the log, what it gets, and its id.

    On PostgreSQL transactions overlap: one that began first has the higher position, and was there before the endpoint.
    """
    if world.database.dialect == "sqlite":
        before = await world.happen(count=2)
        late = await world.endpoint(path="/late")
        return [*before, *(after := await world.happen())], after[0], late.id
    other = opened(url)
    async with other.scoped(OURS).transaction() as slow:
        first = await append_event(slow, NewEvent("messaging", "OrderChanged", "sor_slow", None, {}))
        (quick,) = await world.happen()
        late = await world.endpoint(path="/late")
        second = await append_event(slow, NewEvent("messaging", "OrderChanged", "sor_slow", None, {}))
    await other.close()
    assert (await place_of(world, second)).position > (await place_of(world, quick)).position
    return [first, second, quick], "", late.id


async def test_what_was_not_read_is_delivered_once_and_what_was_delivered_is_not_again(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await world.endpoint(path="/early")
    theirs = await world.endpoint(OTHERS, path="/theirs")
    async with world.running():
        old, old_theirs = await world.happen(count=3), await world.happen(OTHERS)
        await world.until_settled(4)
    missed, own, late = await overlapping(world, url)
    missed_theirs = await world.happen(OTHERS)
    with monkeypatch.context() as patched:
        patched.setattr(webhook_reader, "BATCH", 2)
        await restored_elsewhere(world, url)
    async with world.running():
        await world.until_settled(4 + 3 + 1 + (1 if own else 2))
        new, new_theirs = await world.happen(count=2), await world.happen(OTHERS)
        await world.until_settled(4 + 3 + 1 + (1 if own else 2) + 5)
    assert await delivered_to(world, early.id) == numbered([*old, *missed, *new])
    assert await delivered_to(world, theirs.id) == numbered([*old_theirs, *missed_theirs, *new_theirs])
    assert await delivered_to(world, late) == numbered([*([own] if own else missed[:2]), *new])
    assert {row["attempts"] for row in await world.deliveries()} == {1}
    assert set(Counter((each.path, each.event) for each in world.receiver.arrived).values()) == {1}


async def test_what_waits_goes_on_waiting_and_arrives(world: World, url: str) -> None:
    made = await world.endpoint(path="/hook")
    world.receiver.always["/hook"] = "500 Sorry"
    async with world.running():
        (event,) = await world.happen()
        await world.until_tried(1)
    await restored_elsewhere(world, url)
    (waiting,) = await world.deliveries()
    assert waiting["status"] == "PENDING"
    assert EventPosition(waiting["tx"], waiting["position"]) == await place_of(world, event)
    world.receiver.always.clear()
    world.clock.now = max(world.clock(), waiting["next_attempt_at"])
    async with world.running():
        await world.until_settled(1)
    assert await delivered_to(world, made.id) == [(event, 1, "DELIVERED")]


async def test_a_replay_goes_on_where_it_was(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_replays, "STEP", 2)
    made = await world.endpoint(path="/hook")
    async with world.running():
        events = await world.happen(count=5)
        await world.until_settled(5)
    theirs = await world.happen(OTHERS)
    assert await again(world, made.id, BEGINNING) == 5
    await restored_elsewhere(world, url)
    (row,) = (await everything(world.database))["webhook_replays"]
    assert await place_of(world, events[1]) == EventPosition(*row[2:4])
    assert await place_of(world, events[4]) == EventPosition(*row[4:6])
    assert (await place_of(world, theirs[0], OTHERS)) > EventPosition(*row[4:6])
    async with world.running():
        await world.until_deliveries(lambda found: {row["status"] for row in found} == {"DELIVERED"} and _twice(world))
    assert Counter(each.event for each in world.receiver.arrived) == dict.fromkeys(events, 2)
    assert (await everything(world.database))["webhook_replays"] == []


def _twice(world: World) -> bool:
    return len(world.receiver.arrived) == 10


async def test_where_the_log_begins_is_the_same_event(world: World, url: str) -> None:
    theirs = await world.happen(OTHERS, 2)
    events = await world.happen(count=3)
    async with world.database.scoped(OURS).transaction() as transaction:
        place = await place_of(world, events[1])
        await transaction.insert(event_horizons, [place._asdict()])
    await restored_elsewhere(world, url)
    assert await horizon_of(world.database.scoped(OURS)) == await place_of(world, events[1])
    assert await horizon_of(world.database.scoped(OTHERS)) is None
    order = [await place_of(world, each, OTHERS) for each in theirs]
    order += [await place_of(world, each) for each in [*events, *await world.happen()]]
    assert order == sorted(order)
    assert len(set(order)) == len(order)


async def test_a_second_run_changes_nothing(world: World, url: str) -> None:
    await world.endpoint(path="/hook")
    await world.happen(count=3)
    said = await restored_elsewhere(world, url)
    numbers = "3 events renumbered. Cursors from before are refused.\n"
    assert said == (numbers if world.database.dialect == "postgresql" else _AHEAD)
    before = await everything(world.database)
    assert (await restored(world, url)).startswith("Nothing had to be changed")
    assert await everything(world.database) == before
    # Nor does it where nothing was restored, unless it is asked to.
    (event,) = await world.happen()
    place = await place_of(world, event)
    said = await restored(world, url, "--anyway")
    if world.database.dialect == "postgresql":
        assert said == numbers.replace("3", "4")
        assert (await place_of(world, event)).era == place.era + 1


_AHEAD = "New events come after all cursors from before.\n"


async def test_a_log_in_which_nothing_happened_is_left_alone(world: World, url: str) -> None:
    await restored(world, url)
    before: dict[str, list[Any]] = await everything(world.database)
    assert not any(before.values())
    assert (await restored(world, url)).startswith("Nothing had to be changed")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_it_is_refused_while_somebody_else_is_connected(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(after_restore_module, "_LOOKS", 1)
    await world.happen()
    await restore_elsewhere(world.database)
    before = await everything(world.database)
    refused = await after_restore(url, **NO_TABLES)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Stop the gateway" in refused.stderr
    assert await everything(world.database) == before
