"""What was committed before an endpoint was asked for is not sent to it; what is committed once it is there is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from datasources.database.engine import Database
from datasources.database.events import BEGINNING, NewEvent, append_event
from tests.webhooks.delivery.test_replay import again
from tests.webhooks.delivery.world import OURS, World, opened, until

pytestmark = pytest.mark.anyio
WRITERS, ROUNDS = 6, 3


@pytest.fixture
async def elsewhere(url: str) -> AsyncIterator[Database]:
    """The database of another process."""
    found = opened(url)
    yield found
    await found.close()


@dataclass
class Marks:
    """What writers say of their events as one endpoint is made: committed before that, or not before it was there."""

    asked: bool = False
    there: bool = False
    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)


async def write(database: Database, marks: list[Marks], written: list[str], seconds: float) -> None:
    """Writes an event in a transaction of some length."""
    async with database.scoped(OURS).transaction() as transaction:
        event = await append_event(transaction, NewEvent("messaging", "OrderChanged", "sor_x", None, {}))
        await asyncio.sleep(seconds)
        late = [mark for mark in marks if mark.there]
    for mark in marks:
        if not mark.asked:
            mark.before.add(event)
    for mark in late:
        mark.after.add(event)
    written.append(event)


async def test_an_endpoint_gets_what_is_committed_from_then_on_whoever_writes_meanwhile(
    world: World, elsewhere: Database
) -> None:
    marks = [Marks() for _ in range(ROUNDS)]
    written: list[str] = []
    made: list[str] = []

    async def writing(database: Database, seconds: float) -> None:
        while not marks[-1].after:
            await write(database, marks, written, seconds)

    async def making() -> None:
        for mark in marks:
            seen = len(written)
            await until(lambda seen=seen: len(written) >= seen + 2 * WRITERS)  # type: ignore[misc]
            mark.asked = True
            made.append((await world.endpoint(path=f"/{len(made)}")).id)
            mark.there = True

    # Most write for a moment; one takes so long that whatever the others commit is not settled for a while.
    writers = [writing(each, 0.002) for each in (world.database, elsewhere) * (WRITERS // 2)]
    await asyncio.gather(making(), writing(elsewhere, 0.1), *writers)
    async with world.running():
        (last,) = await world.happen()
        await world.until_deliveries(
            lambda found: (
                [(row["event_id"], row["status"]) for row in found].count((last, "DELIVERED")) == ROUNDS
                and {row["status"] for row in found} == {"DELIVERED"}
            )
        )
    for endpoint_id, mark in zip(made, marks, strict=True):
        found = await world.deliveries(endpoint_id)
        got = {row["event_id"] for row in found}
        assert mark.before, "nothing was written before the endpoint was made"
        assert not got & mark.before
        assert mark.after <= got
        assert [row["sequence"] for row in found] == list(range(1, len(found) + 1))
        # A replay brings the rest, and nothing twice.
        assert await again(world, endpoint_id, BEGINNING) == len(written) + 1
        found = await world.deliveries(endpoint_id)
        assert [row["event_id"] for row in found if row["sequence"] is None] == [
            row["event_id"] for row in found if row["event_id"] not in got
        ]
        assert {row["event_id"] for row in found} == {*written, last}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_long_transaction_neither_brings_what_was_before_nor_keeps_its_own(
    world: World, elsewhere: Database
) -> None:
    """While it runs, the end of the log is not settled: the place in it does not say what came before the endpoint."""
    async with elsewhere.scoped(OURS).transaction() as slow:
        held = await append_event(slow, NewEvent("messaging", "OrderChanged", "sor_slow", None, {}))
        (before,) = await world.happen()
        made = await world.endpoint(path="/hook")
        # A replay reaches what nothing else brings, and leaves the rest to the reader.
        assert await again(world, made.id, BEGINNING) == 1
        (after,) = await world.happen()
    async with world.running():
        found = await world.until_settled(3)
    assert [(row["event_id"], row["sequence"]) for row in found] == [(held, 1), (before, None), (after, 2)]
    assert sorted(each.event for each in world.receiver.arrived) == sorted([held, before, after])
