"""Pages of the log while others write, and by which index they are read."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from datasources.database.engine import Database
from datasources.database.event_pages import Chosen, EventWindow, count_events, event_page
from datasources.database.events import EventPosition, NewEvent, all_events_after, append_event, events_after
from datasources.database.reading import Reader
from datasources.database.tables.gateway import events
from tests.events.rows import OURS, THEIRS, event, put
from tests.scale.plans import Judge, Statement

pytestmark = pytest.mark.anyio

ALL = Chosen({"OrderChanged"}, {"messaging", "billing"})


class _RolledBack(Exception):
    pass


class _Recording:
    """Reads, and writes down what it is asked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.statements: list[Statement] = []

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        self.statements.append(Statement(sql, values))
        return await self._reader.fetch(sql, values)

    async def close(self) -> None:
        await self._reader.close()


async def test_paging_while_transactions_overlap_gives_every_event_once(on_postgresql: Database) -> None:
    """Each writer holds its transaction open for a while after it has its number, and some take it back."""
    draw, ours = Random(7), on_postgresql.scoped(OURS)  # noqa: S311
    committed: set[str] = set()

    async def write(number: int) -> None:
        await asyncio.sleep(draw.random() / 3)
        with suppress(_RolledBack):
            async with ours.transaction() as transaction:
                await append_event(transaction, NewEvent("messaging", "OrderChanged", str(number), None, {}))
                await asyncio.sleep(draw.random() / 20)
                if draw.random() < 0.1:
                    raise _RolledBack
            committed.add(str(number))

    writing = asyncio.gather(*(write(number) for number in range(120)))
    seen: list[str] = []
    last: EventPosition | None = None
    pages = 0
    while True:
        over = writing.done()
        page = await event_page(ours, ALL, EventWindow(4, after=last))
        seen += [row.subject_id for row in page.events]
        last = page.events[-1].place if page.events else last
        pages += 1
        if over and not page.events:
            break
    assert pages > 30
    assert sorted(seen) == sorted(committed)
    assert seen == [row.subject_id for row in (await event_page(ours, ALL, EventWindow(1_000))).events]
    assert await count_events(ours, ALL) == len(committed)


def sqlite_plans(url: str, statements: Sequence[Statement]) -> list[str]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return [
            step
            for sql, values in statements
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        ]


async def test_a_page_reads_what_it_returns_and_is_sorted_by_its_index(url: str, database: Database) -> None:
    rows, on_sqlite = [], database.dialect == "sqlite"
    for number in range(1, 8_001):
        of_business = {"business_id": f"biz_{number % 3}"} if number % 2 else {}
        platform = "billing" if number % 5 == 0 else "messaging"
        name = THEIRS if number % 4 == 0 else OURS
        place = EventPosition(0 if on_sqlite else number // 100, number)
        rows.append(event(name, place, timedelta(days=1), platform=platform, **of_business))
    await put(database, events, rows)
    async with database.writer.connect() as connection:
        await connection.execute(text("ANALYZE"))
        await connection.commit()
    database._reader = recorded = _Recording(database._reader)
    ours = database.scoped(OURS)
    middle = EventPosition(0 if on_sqlite else 40, 4_000)
    for chosen in (ALL, ALL._replace(business_id="biz_1"), ALL._replace(platforms={"billing"})):
        first = await event_page(ours, chosen, EventWindow(10))
        after = await event_page(ours, chosen, EventWindow(10, after=middle))
        before = await event_page(ours, chosen, EventWindow(10, from_end=True, before=middle))
        last = await event_page(ours, chosen, EventWindow(10, from_end=True))
        assert all(len(page.events) == 10 and page.more for page in (first, after, before, last))
        found = [row.place for row in (*first.events, *before.events, *after.events, *last.events)]
        assert found == sorted(set(found))
    assert len(recorded.statements) == 12, "a statement for each page"
    # Those who follow the log read it in the same way.
    assert (await all_events_after(database, middle, 1))[0].position == 4_001
    end = EventPosition(2**62, 2**62)
    (followed,) = await events_after(ours, middle, 1, until=end, types=ALL.types)
    assert followed.position == 4_001
    assert Judge(url, {"events": 8_000}).complaints(recorded.statements) == []
    if on_sqlite:  # where the judge lets statements with lists of parameters sort
        steps = sqlite_plans(url, recorded.statements)
        assert [step for step in steps if "ORDER BY" in step or "SCAN events" in step] == []
        assert [
            step for step in steps if "events USING" in step and "position>?" not in step and "rowid>?" not in step
        ] == []
