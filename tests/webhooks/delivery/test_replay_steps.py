"""A replay of much goes in steps: others write between them, a crash costs nothing, and it waits for its receiver."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from datasources.database import webhook_replays
from datasources.database.engine import Transaction
from datasources.database.events import BEGINNING
from datasources.database.tables.webhooks import webhook_deliveries
from datasources.database.tables.webhooks import webhook_replays as table
from datasources.database.webhook_deliveries import GIVE_UP
from datasources.database.webhook_replays import STEP, replays_of, running_replays, step
from datasources.database.webhooks import delete_endpoint, resume_endpoint
from subscriptions import webhook_replayer
from tests.webhooks.delivery.test_killed import started
from tests.webhooks.delivery.test_replay import again, place_of
from tests.webhooks.delivery.world import OTHERS, OURS, World, rows, until

pytestmark = pytest.mark.anyio
MANY = 10_000


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight deliveries in a step, and hardly a pause between two."""
    monkeypatch.setattr(webhook_replays, "STEP", 8)
    monkeypatch.setattr(webhook_replayer, "PAUSE_SECONDS", 0.01)


async def progress(world: World, endpoint_id: str) -> tuple[int, int] | None:
    """How far the replay of an endpoint is, as its organization sees it."""
    found = (await replays_of(world.database.scoped(OURS), [endpoint_id])).get(endpoint_id)
    return None if found is None else (found.scheduled, found.total)


async def over(world: World) -> None:
    """Waits until no replay is left: the last step has nothing to make, and may come after all was delivered."""
    async with asyncio.timeout(60):
        while await rows(world.database, table):  # noqa: ASYNC110 -- the replayer tells nobody
            await asyncio.sleep(0.01)


async def all_taken(world: World) -> None:
    """As if the receivers had taken all that is due."""
    taken = {"status": "DELIVERED", "next_attempt_at": None, "settled_at": world.clock()}
    async with world.database.writer.connect() as connection, connection.begin():
        await connection.execute(update(webhook_deliveries).values(taken))


async def test_ten_thousand_are_replayed_in_steps_as_they_are_taken(world: World) -> None:
    events = await world.happen(count=MANY)
    await world.happen(OTHERS, 10)
    made = await world.endpoint(path="/hook")
    await world.endpoint(OTHERS, path="/theirs")
    first = await place_of(world, events[0])
    statements: list[str] = []
    for _ in range(2):  # they are made first, and are due again then
        world.database.observers.append(statements.append)
        assert await again(world, made.id, first) == MANY - 1
        for number in range(1, MANY // STEP):
            assert await progress(world, made.id) == (STEP * number, MANY - 1)
            waiting = [row for row in await world.deliveries() if row["status"] == "PENDING"]
            assert [row["event_id"] for row in waiting] == events[1 + STEP * (number - 1) :][:STEP]
            (running,) = await running_replays(world.database)
            assert not await step(world.database, running, world.clock()), "its receiver has taken nothing yet"
            await all_taken(world)
            statements.clear()
            assert await step(world.database, running, world.clock())
            assert len(statements) <= 9, "a step is made by the database alone"
            assert not await step(world.database, running, world.clock()), "that step is made"
            statements.clear()
        world.database.observers.clear()
        assert (await progress(world, made.id), await running_replays(world.database)) == (None, [])
        await all_taken(world)
    found = await world.deliveries()
    assert [row["event_id"] for row in found] == events[1:]
    assert len({row["id"] for row in found}) == MANY - 1
    assert {(row["sequence"], row["attempts"], row["give_up_at"]) for row in found} == {
        (None, 0, world.clock.start + GIVE_UP)
    }


async def test_what_happens_meanwhile_is_not_held_up_and_two_processes_repeat_nothing(
    world: World, database_again: World, small_steps: None
) -> None:
    before = await world.happen(count=200)
    made = await world.endpoint(path="/hook")
    theirs = await world.endpoint(OTHERS, path="/theirs")
    world.receiver.slow["/hook"] = asyncio.Event()
    async with world.running(poll_seconds=0.05), database_again.running(poll_seconds=0.05):
        assert await again(world, made.id, BEGINNING) == 200
        await until(lambda: len(world.receiver.waiting) == 8)
        (live,) = await world.happen()
        (other,) = await world.happen(OTHERS)
        await world.until_deliveries(lambda found: {live, other} <= {row["event_id"] for row in found})
        world.receiver.slow["/hook"].set()
        found = await world.until_settled(202)
        await over(world)
    times = Counter(each.event for each in world.receiver.arrived)
    assert set(times.values()) == {1}
    assert set(times) == {*before, live, other}
    order = [each.event for each in world.receiver.at("/hook")]
    assert order.index(live) < 40, "it came before most of what happened long ago"
    assert [row["event_id"] for row in found if row["endpoint_id"] == theirs.id] == [other]


async def test_whatever_is_killed_a_replay_neither_loses_nor_repeats_a_delivery(
    world: World, url: str, small_steps: None
) -> None:
    events = await world.happen(count=150)
    made = await world.endpoint(path="/hook")
    assert await again(world, made.id, BEGINNING) == 150
    for _ in range(3):
        process = started(world, url)
        try:
            seen = len(world.receiver.arrived)
            await until(lambda seen=seen: len(world.receiver.arrived) > seen + 20)  # type: ignore[misc]
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
    assert await progress(world, made.id) is not None, "it was over before it was killed"
    world.pass_(timedelta(minutes=5))  # what the last one had taken is due again after its lease
    async with world.running(poll_seconds=0.05):
        found = await world.until_settled(150)
    assert [row["event_id"] for row in found] == events
    assert {each.id for each in world.receiver.arrived} == {row["id"] for row in found}
    times = Counter(each.id for each in world.receiver.arrived)
    # Only what was being posted came again, and that is known by its attempts.
    assert {identity for identity, count in times.items() if count > 1} <= {
        row["id"] for row in found if row["attempts"] > 1
    }


async def test_a_step_that_fails_leaves_nothing_and_is_made_again(
    world: World, small_steps: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await world.happen(count=20)
    made = await world.endpoint(path="/hook")
    assert await again(world, made.id, BEGINNING) == 20
    await all_taken(world)
    make, failures = webhook_replays._make_step, [OSError("the database is gone")]

    async def fails(*arguments: object) -> int:
        count: int = await make(*arguments)  # type: ignore[arg-type]
        if failures:
            raise failures.pop()
        return count

    monkeypatch.setattr(webhook_replays, "_make_step", fails)
    (running,) = await running_replays(world.database)
    with pytest.raises(OSError, match="gone"):
        await step(world.database, running, world.clock())
    assert len(await world.deliveries()) == 8
    assert await progress(world, made.id) == (8, 20)
    failures.append(OSError("the database is gone"))
    async with world.running(poll_seconds=0.05):
        await world.until_settled(20)
    assert len(world.receiver.arrived) == 12
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_replay_that_fails_holds_up_nobody_elses(
    world: World, small_steps: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await world.happen(count=20)
    theirs = await world.happen(OTHERS, 20)
    made = await world.endpoint(path="/hook")
    another = await world.endpoint(OTHERS, path="/theirs")
    assert await again(world, made.id, BEGINNING) == 20
    assert await again(world, another.id, BEGINNING, organization=OTHERS) == 20
    make = webhook_replays._make_step

    async def fails(transaction: Transaction, *arguments: object) -> int:
        if transaction.scope.organization_id == OURS:
            raise OSError("there is something about this one")
        return await make(transaction, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(webhook_replays, "_make_step", fails)
    async with world.running(poll_seconds=0.05):
        await world.until_settled(8 + 20)
    assert sorted(each.event for each in world.receiver.at("/theirs")) == sorted(theirs)
    assert await progress(world, made.id) == (8, 20)
    assert {record.levelname for record in caplog.records} == {"ERROR"}


async def test_a_replay_rests_while_nothing_is_sent_to_its_endpoint(world: World, small_steps: None) -> None:
    events = await world.happen(count=100)
    made = await world.endpoint(path="/hook")
    world.receiver.answers["/hook"] = ["410 Gone"]
    async with world.running(poll_seconds=0.05):
        assert await again(world, made.id, BEGINNING) == 100
        await world.until_settled(1, "FAILED")
        assert await running_replays(world.database) == []
        rested = await progress(world, made.id)
        assert rested is not None, "what was on its way when it was told to go away is not all there is"
        async with world.database.scoped(OURS).transaction() as transaction:
            assert await resume_endpoint(transaction, made.id, now=world.clock())
        found = await world.until_settled(99)
        await over(world)
    assert [row["event_id"] for row in found] == events


async def test_a_replay_during_another_takes_it_up(world: World, small_steps: None) -> None:
    events = await world.happen(count=30)
    made = await world.endpoint(path="/hook")
    places = [await place_of(world, event) for event in events]
    assert await again(world, made.id, places[9]) == 20
    # From later on: the one that runs is not forgotten.
    assert await again(world, made.id, places[24]) == 20 - 8
    assert await progress(world, made.id) == (8, 12)
    assert [row["event_id"] for row in await world.deliveries()] == events[10:26]
    # From before it.
    assert await again(world, made.id, places[4]) == 25
    assert await progress(world, made.id) == (8, 25)
    async with world.running(poll_seconds=0.05):
        found = await world.until_settled(25)
    assert [row["event_id"] for row in found] == events[5:]
    # It goes with its endpoint.
    assert await again(world, made.id, BEGINNING) == 30
    async with world.database.scoped(OTHERS).transaction() as transaction:
        assert not await delete_endpoint(transaction, made.id)
    async with world.database.scoped(OURS).transaction() as transaction:
        assert await delete_endpoint(transaction, made.id)
    assert await rows(world.database, table) == []
