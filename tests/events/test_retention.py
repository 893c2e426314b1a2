"""What the log keeps: whatever is removed is its beginning, the horizon says where that ended, nothing needed goes."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from datasources.database import event_retention
from datasources.database.access import ACCESS_CHANGED
from datasources.database.engine import Database
from datasources.database.event_retention import Busy, Limits, horizon_of, organizations_beyond, remove_oldest
from datasources.database.events import BEGINNING, EventPosition, NewEvent, append_event
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints, webhook_reader, webhook_replays
from subscriptions import retention
from subscriptions.retention import Retention
from tests.events import program
from tests.events.rows import NOW, OURS, THEIRS, delivery, empty, endpoint, event, kept, put
from tests.gateway.program import ROOT, environment

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AGES = [timedelta(0), HOUR / 2, 2 * HOUR, 30 * HOUR, 5 * DAY, 9 * DAY, 40 * DAY]
FEW = Limits(10 * DAY, 1_000_000)


def now() -> datetime:
    return NOW


def retaining(database: Database, limits: Limits) -> Retention:
    return Retention(database, limits, pause_seconds=0, clock=now)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events in a transaction."""
    monkeypatch.setattr(event_retention, "BATCH", 3)


@dataclass
class Log:
    """What an organization has: the ages of its events in their order, and what webhooks make of them."""

    ages: list[timedelta]
    statuses: dict[int, str] = field(default_factory=dict)
    untold: set[int] = field(default_factory=set)
    endpoint_since: int | None = None

    def removed(self, limits: Limits, places: list[EventPosition], read: EventPosition | None) -> int:
        """How many go from the beginning; the rule once more, said by counting."""
        too_old = next((index for index, age in enumerate(self.ages) if age <= limits.age), len(self.ages))
        running = next((index for index, age in enumerate(self.ages) if age <= HOUR), len(self.ages))
        bounds = [max(too_old, len(self.ages) - limits.rows), running]
        bounds += [index for index, status in self.statuses.items() if status == "PENDING"]
        if self.endpoint_since is not None:
            seen = read if read is not None else EventPosition(0, self.endpoint_since)
            bounds.append(sum(place <= seen for place in places))
        return max(0, min(bounds))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    found = Log(draw(st.lists(st.sampled_from(AGES), max_size=14)))
    if draw(st.booleans()):
        found.ages.sort(reverse=True)
    indexes = st.integers(0, max(0, len(found.ages) - 1))
    if found.ages:
        found.untold = draw(st.sets(indexes, max_size=4))
    if draw(st.booleans()):
        found.endpoint_since = draw(st.integers(0, 20))
        if found.ages:
            found.statuses = draw(st.dictionaries(indexes, st.sampled_from(["PENDING", "DELIVERED", "FAILED"])))
    return found


@given(
    ours=logs(),
    theirs=logs(),
    days=st.sampled_from([4, 6, 20, 365]),
    rows=st.integers(1, 16),
    read=st.none() | st.integers(0, 30),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_left_is_a_suffix_with_all_that_is_needed_and_the_horizon_is_exact(
    small_steps: None, database: Database, ours: Log, theirs: Log, days: int, rows: int, read: int | None
) -> None:
    await empty(database)
    limits, reader = Limits(timedelta(days=days), rows), None if read is None else EventPosition(read // 3, read)
    written: dict[str, list[dict[str, Any]]] = {}
    for nth, (name, log) in enumerate(((OURS, ours), (THEIRS, theirs))):
        places = [EventPosition(index // 2, 2 * index + nth + 1) for index in range(len(log.ages))]
        written[name] = [event(name, place, age) for place, age in zip(places, log.ages, strict=True)]
        for index in log.untold:
            written[name][index]["type"] = ACCESS_CHANGED
        await put(database, events, written[name])
        if log.endpoint_since is not None:
            await put(database, webhook_endpoints, [endpoint(name, EventPosition(0, log.endpoint_since))])
            deliveries = [delivery(written[name][index], status) for index, status in log.statuses.items()]
            await put(database, webhook_deliveries, deliveries)
    if reader is not None:
        await put(database, webhook_reader, [{"id": 1, "tx": reader.tx, "position": reader.position}])
    left, horizons = {}, {}
    for name, log in ((OURS, ours), (THEIRS, theirs)):
        places = [EventPosition(row["tx"], row["position"]) for row in written[name]]
        gone = log.removed(limits, places, reader)
        left[name] = written[name][gone:]
        horizons[name] = places[gone - 1] if gone else None
    all_left = sorted(left[OURS] + left[THEIRS], key=lambda row: (row["tx"], row["position"]))
    young = next((index for index, row in enumerate(all_left) if NOW - row["at"] <= DAY), len(all_left))
    untold = {row["id"] for row in all_left[:young] if row["type"] == ACCESS_CHANGED}

    await retaining(database, limits).round()

    for name in (OURS, THEIRS):
        assert await kept(database, name) == [row["id"] for row in left[name] if row["id"] not in untold]
        assert await horizon_of(database.scoped(name)) == horizons[name]


async def test_twenty_thousand_events_go_in_steps_between_which_others_write(database: Database) -> None:
    for nth, (name, age) in enumerate(((OURS, 40 * DAY), (THEIRS, 2 * DAY))):
        rows = [event(name, EventPosition(1, 2 * number + nth + 1), age) for number in range(10_000)]
        await put(database, events, rows)
    await put(database, events, [event(OURS, EventPosition(2, 10**6), HOUR / 2)])
    deletes: list[str] = []
    database.observers.append(lambda sql: deletes.append(sql) if sql.startswith("DELETE FROM events") else None)

    assert await retaining(database, Limits(30 * DAY, 4_500)).round() == 10_000 + 5_500

    assert len(deletes) == 10 + 6, "each step is a transaction of a thousand events at the most"
    assert len(await kept(database, OURS)) == 1
    assert len(await kept(database, THEIRS)) == 4_500
    assert await horizon_of(database.scoped(OURS)) == EventPosition(1, 19_999)
    assert await horizon_of(database.scoped(THEIRS)) == EventPosition(1, 2 * 5_499 + 2)
    deletes.clear()
    assert await retaining(database, Limits(30 * DAY, 4_500)).round() == 0
    assert deletes == []


async def test_two_processes_at_once_remove_what_one_would(small_steps: None, url: str, database: Database) -> None:
    rows = [event(OURS, EventPosition(1, number + 1), 40 * DAY) for number in range(100)]
    await put(database, events, [*rows, event(OURS, EventPosition(2, 200), 2 * HOUR)])
    other = Database(url)
    first, second = retaining(database, FEW), retaining(other, FEW)
    removed = 0
    while len(await kept(database, OURS)) > 1:
        removed += sum(await asyncio.gather(first.round(), second.round()))
    assert removed == 100
    assert await horizon_of(database.scoped(OURS)) == EventPosition(1, 100)
    await other.close()


async def test_what_a_replay_has_still_to_deliver_stays(database: Database) -> None:
    rows = [event(OURS, EventPosition(0, number), 40 * DAY) for number in range(1, 11)]
    await put(database, events, [*rows, event(THEIRS, EventPosition(0, 11), 40 * DAY)])
    await put(database, webhook_endpoints, [endpoint(OURS, EventPosition(0, 10))])
    await put(database, webhook_reader, [{"id": 1, "tx": 0, "position": 11}])
    going_on = {
        "endpoint_id": f"whe_{OURS}",
        "organization_id": OURS,
        "tx": 0,
        "position": 4,
        "until_tx": 0,
        "until_position": 11,
        "scheduled": 4,
        "total": 10,
        "requested_at": NOW,
    }
    await put(database, webhook_replays, [going_on])
    await retaining(database, FEW).round()
    assert await kept(database, OURS) == [row["id"] for row in rows[4:]]
    assert await kept(database, THEIRS) == []


async def test_nothing_goes_that_is_not_settled(on_postgresql: Database) -> None:
    """An event whose number is not settled can still get one before it, which no horizon may have passed."""
    ours = on_postgresql.scoped(OURS)
    in_a_year = Retention(on_postgresql, FEW, pause_seconds=0, clock=lambda: datetime.now(UTC) + 365 * DAY)
    async with ours.transaction() as slow:
        await append_event(slow, NewEvent("messaging", "OrderChanged", "slow", None, {}))
        async with ours.transaction() as quick:
            await append_event(quick, NewEvent("messaging", "OrderChanged", "quick", None, {}))
        assert await in_a_year.round() == 0
    assert await in_a_year.round() == 2
    assert await horizon_of(ours) is not None


async def test_whoever_finds_another_process_at_it_leaves_it_to_that_one(on_postgresql: Database) -> None:
    await put(on_postgresql, events, [event(OURS, EventPosition(1, 10**6), 40 * DAY)])
    async with on_postgresql.scoped(OURS).transaction() as busy:
        assert await busy.fetch(event_retention._TAKE_TURN, bool) == [True]
        with pytest.raises(Busy):
            await remove_oldest(on_postgresql.scoped(OURS), EventPosition(2, 0))
        assert await retaining(on_postgresql, FEW).round() == 0
    assert await retaining(on_postgresql, FEW).round() == 1


async def test_a_process_that_is_killed_leaves_the_rows_and_the_horizon_agreeing(url: str, database: Database) -> None:
    rows = [event(OURS, EventPosition(1, number + 1), 2 * DAY) for number in range(4_000)]
    await put(database, events, [*rows, event(THEIRS, EventPosition(1, 10**6), 2 * DAY)])
    ours, found = database.scoped(OURS), [str(row["id"]) for row in rows]
    for _ in range(2):
        before = await horizon_of(ours) or BEGINNING
        command = [sys.executable, "-P", "-m", program.__name__, url]
        process = subprocess.Popen(command, cwd=ROOT, env=environment({}))  # noqa: ASYNC220 -- as short as fork
        try:
            while (await horizon_of(ours) or BEGINNING) < EventPosition(1, before.position + 100):
                assert process.poll() is None, "it ended too early to be killed in the middle"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        found, horizon = await kept(database, OURS), await horizon_of(ours)
        assert horizon is not None
        assert len(found) > 1, "nothing was left to be killed for"
        assert found == [row["id"] for row in rows[horizon.position :]]
    async with database.writer.connect() as connection:
        assert await connection.scalar(select(func.count()).where(events.c.organization_id == THEIRS)) == 1
    assert await retaining(database, Limits(3_000 * DAY, 1)).round() == len(found) - 1
    assert await kept(database, OURS) == [rows[-1]["id"]]
    assert await horizon_of(ours) == EventPosition(1, 3_999)


async def test_it_starts_stops_and_survives_a_database_that_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "FIRST_SECONDS", 0)
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)
    await put(database, events, [event(OURS, EventPosition(1, 1), 40 * DAY)])
    failing = asyncio.Event()

    async def fails_once(*arguments: Any) -> list[str]:
        if not failing.is_set():
            failing.set()
            raise ConnectionError
        return await organizations_beyond(*arguments)

    monkeypatch.setattr(retention, "organizations_beyond", fails_once)
    async with retaining(database, FEW):
        while await kept(database, OURS):  # noqa: ASYNC110 -- a condition for one test
            await asyncio.sleep(0.005)
    assert "could not be removed" in caplog.text
