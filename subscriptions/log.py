"""The event log of the process: one reader of the table, many followers.

The tail reads each event once, in commit order, when it is told of a commit and at least every second, and hands it to
the followers of its organization. A follower that resumes first replays from the table up to the place where the tail
stood when it joined, then takes what the tail has put into its queue since: nothing is missed at the seam and nothing
comes twice.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from datasources.database.audit import HEAD_MOVED
from datasources.database.engine import Announced, Database, Scope
from datasources.database.events import BEGINNING, EventPosition, EventRow, all_events_after, events_after, head

logger = logging.getLogger(__name__)
BATCH = 500
RETRY_SECONDS = 1.0
SOON_SECONDS = 0.01


class FellBehind(Exception):
    """The follower took events too slowly; it may resume from the last one that it took."""

    def __init__(self, last: EventPosition) -> None:
        super().__init__("the follower fell behind")
        self.last = last


@dataclass(eq=False)
class _Follower:
    queue: asyncio.Queue[EventRow]
    fell_behind: bool = False

    def offer(self, event: EventRow) -> None:
        # After the first event that it has no room for it gets no other: what it takes never has a hole.
        if self.queue.full():
            self.fell_behind = True
        elif not self.fell_behind:
            self.queue.put_nowait(event)


class EventLog:
    """Reads the log for this process. Enter it to start the tail; leave it to stop.

    ``poll_seconds``: how long an event of another process can go unnoticed. ``queue_size``: how many events a follower
    may lag behind before it is let go.
    """

    def __init__(self, database: Database, *, poll_seconds: float = 1.0, queue_size: int = 1000) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._queue_size = queue_size
        self._followers: dict[str, set[_Follower]] = {}
        self._position = BEGINNING
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.observers: list[Callable[[EventRow], None]] = []
        """Told of every event of every organization, in order, whoever wrote it."""

    async def __aenter__(self) -> Self:
        """Begins at the present end of the log."""
        self._position = await head(self._database)
        self._database.after_commit.append(self._told)
        self._task = asyncio.create_task(self._run(), name="event-log-tail")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops the tail."""
        self._database.after_commit.remove(self._told)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Has it look for events now."""
        self._wake.set()

    def _told(self, announced: Sequence[Announced]) -> None:
        if any(each.type != HEAD_MOVED for each in announced):
            self.wake()

    @property
    def followers(self) -> int:
        """How many follow now."""
        return sum(len(followers) for followers in self._followers.values())

    async def follow(self, scope: Scope, after: EventPosition | None) -> AsyncGenerator[EventRow, None]:
        """The organization's events after ``after``, or from now on: first what was missed, then live, without end.

        Raises ``FellBehind`` when the caller takes them too slowly.
        """
        organization = scope.organization_id or ""
        follower = _Follower(asyncio.Queue(self._queue_size))
        self._followers.setdefault(organization, set()).add(follower)
        seam = self._position
        last = seam if after is None else after
        try:
            while last < seam:
                missed = await events_after(scope, last, BATCH)
                for event in missed:
                    if event.place > seam:
                        break
                    last = event.place
                    yield event
                if not missed or missed[-1].place >= seam or len(missed) < BATCH:
                    last = max(last, seam)
            while True:
                event = await self._next(follower, last)
                if event.place > last:
                    last = event.place
                    yield event
        finally:
            followers = self._followers[organization]
            followers.discard(follower)
            if not followers:
                del self._followers[organization]

    @staticmethod
    async def _next(follower: _Follower, last: EventPosition) -> EventRow:
        if follower.fell_behind and follower.queue.empty():
            raise FellBehind(last)
        return await follower.queue.get()

    async def _run(self) -> None:
        pause = self._poll_seconds
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            told = self._wake.is_set()
            self._wake.clear()
            try:
                found = await self._read()
            except Exception:
                # Nothing is lost by waiting: the position has not moved past what was not handed out.
                logger.exception("reading the event log failed; trying again in %s s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # Told of a commit and nothing to see: an older transaction holds it back, so look again soon, then later.
            held_back = not found and (told or pause < self._poll_seconds)
            pause = min(self._poll_seconds, SOON_SECONDS if told else pause * 2) if held_back else self._poll_seconds

    async def _read(self) -> int:
        """Hands out what is new; returns how many events that were."""
        handed_out = 0
        while True:
            batch = await all_events_after(self._database, self._position, BATCH)
            for event in batch:
                for observe in self.observers:
                    observe(event)
                for follower in self._followers.get(event.organization_id, ()):
                    follower.offer(event)
                self._position = event.place
            handed_out += len(batch)
            if len(batch) < BATCH:
                return handed_out
