"""The event log of the process: one reader of the table, many followers.

The tail reads each event once, in commit order, when it is told of a commit and at least every second, and hands it to
the listeners of its organization. Who joins later replays from the place that they know: from memory what is recent,
from the table what is not. Nothing is missed at the seam and nothing comes twice.
"""

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Self

from datasources.database.audit import HEAD_MOVED
from datasources.database.engine import Announced, Database, Scope
from datasources.database.event_retention import horizon_of
from datasources.database.events import (
    BEGINNING,
    EventPosition,
    EventRow,
    all_events_after,
    any_held_back,
    events_after,
    head,
    newest_events,
)
from subscriptions.cursors import Cursors
from subscriptions.interest import Interest

logger = logging.getLogger(__name__)
BATCH = 500
REMEMBERED_AT_START = 2_000
RETRY_SECONDS = 1.0
SOON_SECONDS = 0.01

Take = Callable[[Sequence[EventRow]], None]
"""Is given what has happened in an organization, in order; must not block or fail."""

_PLACE = attrgetter("place")


class FellBehind(Exception):
    """The follower took events too slowly; it may resume from the last one that it took."""

    def __init__(self, last: EventPosition) -> None:
        super().__init__("the follower fell behind")
        self.last = last


class TooOld(Exception):
    """What comes after the place is not all kept any more; ``oldest`` is the first place from which it is."""

    def __init__(self, oldest: EventPosition) -> None:
        super().__init__("the log begins later")
        self.oldest = oldest


class EventLog:
    """Reads the log for this process. Enter it to start the tail; leave it to stop.

    ``poll_seconds``: how long an event of another process can go unnoticed. ``pause_seconds``: for how long it lets
    events gather after it has handed out some, so that many go out together when many happen. ``queue_size``: how many
    events wait in memory for one follower, or for one group of them. ``remembered``: how many it keeps for those who
    come back.
    """

    def __init__(
        self,
        database: Database,
        cursors: Cursors,
        *,
        poll_seconds: float = 1.0,
        pause_seconds: float = 0.02,
        queue_size: int = 1_000,
        remembered: int = 5_000,
    ) -> None:
        self.cursors = cursors
        self.queue_size = queue_size
        self.observers: list[Callable[[EventRow], None]] = []
        """Told of every event of every organization, in order, whoever wrote it."""
        self.position = BEGINNING
        """Everything up to here was handed out."""
        self._database = database
        self._poll_seconds = poll_seconds
        self._pause_seconds = pause_seconds
        self._remembered = remembered
        self._recent: list[EventRow] = []
        self._forgotten = BEGINNING
        self._listeners: dict[str, dict[object, Take]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins at the end of the log, with what happened last in memory: after a start all come back at once."""
        self.position = self._forgotten = await head(self._database)
        self._recent = await newest_events(self._database, self.position, min(REMEMBERED_AT_START, self._remembered))
        if self._recent:
            self._forgotten = self._recent[0].place
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
    def listeners(self) -> int:
        """How many listen now."""
        return sum(len(listeners) for listeners in self._listeners.values())

    def listen(self, organization_id: str, take: Take) -> Callable[[], None]:
        """Gives ``take`` all that happens in an organization after ``position``; returns how to stop that."""
        key = object()
        self._listeners.setdefault(organization_id, {})[key] = take

        def stop() -> None:
            listeners = self._listeners.get(organization_id, {})
            listeners.pop(key, None)
            if not listeners:
                self._listeners.pop(organization_id, None)

        return stop

    async def replay(
        self, scope: Scope, interest: Interest, after: EventPosition, until: EventPosition
    ) -> AsyncGenerator[EventRow, None]:
        """What the organization's log has between two places, ``until`` included, as far as it is of interest.

        Raises ``TooOld`` when some of it is not kept any more.
        """
        while after < until:
            if after >= self._forgotten:
                for event in self._remembered_between(after, until):
                    if event.organization_id == scope.organization_id and interest.fits(event):
                        yield event
                return
            missed = await events_after(scope, after, BATCH, until=until, types=interest.types)
            oldest = await horizon_of(scope)
            if oldest is not None and after < oldest:
                raise TooOld(oldest)
            for event in missed:
                if interest.fits(event):
                    yield event
            after = missed[-1].place if len(missed) == BATCH else until

    async def follow(
        self, scope: Scope, interest: Interest, after: EventPosition | None = None
    ) -> AsyncGenerator[EventRow, None]:
        """The organization's events after ``after``, or from now on: first what was missed, then live, without end.

        Raises ``FellBehind`` when the caller takes them too slowly, and what ``replay`` raises.
        """
        seam = self.position
        last = seam if after is None else after
        waiting: deque[EventRow] = deque()
        arrived, behind = asyncio.Event(), False

        def take(events: Sequence[EventRow]) -> None:
            nonlocal behind
            # After the first event that there is no room for it takes no other: what it has never has a hole.
            for event in () if behind else events:
                if interest.fits(event):
                    if len(waiting) >= self.queue_size:
                        behind = True
                        break
                    waiting.append(event)
            arrived.set()

        stop = self.listen(scope.organization_id or "", take)
        try:
            async with contextlib.aclosing(self.replay(scope, interest, last, seam)) as missed:
                async for event in missed:
                    last = event.place
                    yield event
            while True:
                while waiting:
                    event = waiting.popleft()
                    if event.place > last:
                        last = event.place
                        yield event
                if behind:
                    raise FellBehind(last)
                arrived.clear()
                await arrived.wait()
        finally:
            stop()

    def _remembered_between(self, after: EventPosition, until: EventPosition) -> Sequence[EventRow]:
        recent = self._recent
        return recent[bisect_right(recent, after, key=_PLACE) : bisect_right(recent, until, key=_PLACE)]

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
                held_back = (told or pause < self._poll_seconds) and await any_held_back(self._database, self.position)
            except Exception:
                # Nothing is lost by waiting: the position has not moved past what was not handed out.
                logger.exception("reading the event log failed; trying again in %s s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if found:
                await asyncio.sleep(self._pause_seconds)
            # What an older transaction holds back is looked for again soon, then later.
            pause = min(self._poll_seconds, SOON_SECONDS if told else pause * 2) if held_back else self._poll_seconds

    async def _read(self) -> int:
        """Hands out what is new; returns how many events that were."""
        handed_out = 0
        while True:
            batch = await all_events_after(self._database, self.position, BATCH)
            if batch:
                self._hand_out(batch)
            handed_out += len(batch)
            if len(batch) < BATCH:
                return handed_out

    def _hand_out(self, batch: Sequence[EventRow]) -> None:
        by_organization: dict[str, list[EventRow]] = {}
        for event in batch:
            for observe in self.observers:
                try:
                    observe(event)
                except Exception:
                    logger.exception("an observer of the event log failed")
            by_organization.setdefault(event.organization_id, []).append(event)
        for organization_id, events in by_organization.items():
            for take in tuple(self._listeners.get(organization_id, _NOBODY).values()):
                try:
                    take(events)
                except Exception:
                    logger.exception("a listener of the event log failed")
        self._remember(batch)
        self.position = batch[-1].place

    def _remember(self, batch: Sequence[EventRow]) -> None:
        self._recent.extend(batch)
        if len(self._recent) >= 2 * self._remembered:
            surplus = len(self._recent) - self._remembered
            self._forgotten = self._recent[surplus - 1].place
            del self._recent[:surplus]


_NOBODY: Mapping[object, Take] = {}
