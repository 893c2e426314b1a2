"""Processes are killed while they read and post: each event has one delivery all the same, and every one arrives."""

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import text

from datasources.database.events import NewEvent, append_event
from tests.gateway.program import ROOT, environment
from tests.webhooks.delivery.world import OTHERS, OURS, World, opened, until

pytestmark = pytest.mark.anyio
ROUNDS, BATCH = 3, 40


def started(world: World, url: str) -> "subprocess.Popen[bytes]":
    """A process with webhooks."""
    command = [sys.executable, "-P", "-m", "tests.webhooks.delivery.program", url, str(world.keyring.path)]
    return subprocess.Popen(command, cwd=ROOT, env=environment({}))


async def test_whatever_is_killed_each_event_has_one_delivery_and_arrives(world: World, url: str) -> None:
    made = await world.endpoint(path="/hook")
    theirs = await world.endpoint(OTHERS, path="/theirs")
    written: dict[str, list[str]] = {made.id: [], theirs.id: []}
    one = started(world, url)
    try:
        for number in range(ROUNDS):
            seen = len(world.receiver.arrived)
            for _ in range(BATCH // 4):  # in small transactions, so that the kill is somewhere between them
                written[made.id] += await world.happen(OURS, 4)
                written[theirs.id] += await world.happen(OTHERS)
            await until(lambda seen=seen: len(world.receiver.arrived) > seen + 5)  # type: ignore[misc]
            one.kill()
            one.wait()
            if number < ROUNDS - 1:
                one = started(world, url)
    finally:
        one.kill()
        one.wait()
    # What the last one had taken is due again after its lease; this process finishes.
    world.clock.now += timedelta(minutes=5)
    async with world.running(poll_seconds=0.05):
        total = sum(map(len, written.values()))
        found = await world.until_settled(total)
    assert len(found) == total
    for endpoint_id, events in written.items():
        mine = [row for row in found if row["endpoint_id"] == endpoint_id]
        assert [(row["event_id"], row["sequence"]) for row in mine] == [
            (event, number) for number, event in enumerate(events, 1)
        ]
    times = Counter(each.event for each in world.receiver.arrived)
    assert set(times) == {event for events in written.values() for event in events}
    ids = {(each.event, each.id) for each in world.receiver.arrived}
    assert len(ids) == total  # what came twice came under the same id
    again = {event for event, count in times.items() if count > 1}
    assert {row["event_id"] for row in found if row["attempts"] > 1} >= again


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_commit_that_overtakes_another_takes_nothing_from_it(world: World, url: str) -> None:
    """PostgreSQL gives numbers before the commit: the reader must not pass what is not visible yet."""
    made = await world.endpoint(path="/hook")
    other = opened(url)
    async with world.running(poll_seconds=0.02):
        async with other.scoped(OURS).transaction() as slow:
            late = await append_event(slow, NewEvent("messaging", "OrderChanged", "sor_slow", None, {}))
            (quick,) = await world.happen()
            await slow.connection.execute(text("SELECT pg_sleep(0.1)"))
            await asyncio.sleep(0)
            assert await world.deliveries() == []
        found = await world.until_settled(2)
    await other.close()
    assert [(row["event_id"], row["sequence"]) for row in found] == [(late, 1), (quick, 2)]
    assert {row["endpoint_id"] for row in found} == {made.id}
