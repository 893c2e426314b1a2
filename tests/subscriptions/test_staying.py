"""Clients that follow for long: what each event leaves behind is what is remembered of it, and that is bounded."""

import asyncio
import gc
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasources.database.engine import Database
from datasources.database.events import NewEvent, append_event
from datasources.database.ids import new_id
from gateway.graphql import responses, shared_execution
from subscriptions import cursors
from tests.orders.desk import organization_of
from tests.serving import GRACE, Running, running
from tests.subscriptions.streams import Stream, over_events, over_socket

pytestmark = pytest.mark.anyio

EVENTS, REMEMBERED = 200, 50
MOST_BYTES = 400
"""Of memory that one answer to the first query is to take; it has some 150."""
QUERIES = (
    "subscription { orderChanged { id cursor from to } }",
    "subscription { orderChanged { to platform { key name } } }",
)
"""What reads nothing: connections of SQLite have the last 200 cursors of each noted."""


@pytest.fixture
def gateway(seeded_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A gateway that remembers little, so that all it remembers is full soon."""
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    for each in (cursors, shared_execution):
        monkeypatch.setattr(each, "_REMEMBERED", REMEMBERED)
    with running(f"sqlite:///{tmp_path / 'demo.db'}", tmp_path) as server:
        server.app.state.gateway.services.events._remembered = REMEMBERED
        yield server


@pytest.fixture
def traced() -> Iterator[None]:
    """Notes where memory is taken."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def happen(gateway: Running, streams: list[Stream]) -> None:
    """Some hundred events, until all clients have been told of all of them."""
    database = Database(gateway.database_url, pool_size=1)
    try:
        async with database.scoped(await organization_of(database, GRACE)).transaction() as transaction:
            for _ in range(EVENTS):
                details = {"from": "PENDING", "to": "CANCELLED"}
                await append_event(
                    transaction, NewEvent("messaging", "OrderChanged", new_id("sor"), "biz_nothing", details)
                )
    finally:
        await database.close()
    for _ in range(EVENTS):
        for answer in await asyncio.gather(*(each.next() for each in streams)):
            assert answer["data"]["orderChanged"]["to"] == "CANCELLED", answer


async def test_events_do_not_pile_up_in_those_who_follow(gateway: Running) -> None:
    async with (
        over_socket(gateway, GRACE, query=QUERIES[0]) as one,
        over_events(gateway, GRACE, query=QUERIES[1]) as two,
    ):
        counts = []
        for _ in range(3):
            await happen(gateway, [one, two])
            gc.collect()
            counts.append(len(gc.get_objects()))
    # What is remembered was full before; what clients wait with is in this process, too.
    assert counts[2] < counts[1] + EVENTS * 2, counts


async def test_an_answer_that_is_remembered_takes_the_room_that_it_needs(gateway: Running, traced: None) -> None:
    async with over_socket(gateway, GRACE, query=QUERIES[0]) as one:
        await happen(gateway, [one])
        only = tracemalloc.Filter(inclusive=True, filename_pattern=responses.__file__)
        found = tracemalloc.take_snapshot().filter_traces([only]).statistics("filename")
    (kept,) = found
    assert kept.count >= REMEMBERED
    assert kept.size < kept.count * MOST_BYTES
