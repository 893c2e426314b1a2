"""What came of the events of a group: executed once for all who ask, or once for each person, and kept for a while."""

import asyncio
from functools import partial
from typing import TypeAlias

from datasources.database.events import EventPosition, EventRow
from gateway.graphql.opened import Opened, Person, Response, Viewer

_REMEMBERED, _REMEMBERED_BYTES, _REMEMBERED_SECONDS = 512, 1 << 20, 30.0
"""Of how many events, and for how long, it is kept: clients that a break has sent away come back together."""
_REMEMBERED_BYTES_OF_ALL = 32 << 20
"""That much by all groups of a process, or a client with many subscriptions would have as many times the above."""
_OVERHEAD = 1_024
"""Bytes of memory that one response costs beside its body."""

_Running: TypeAlias = asyncio.Task[Response]


class _Known:
    """What came of one event, or is about to."""

    __slots__ = ("first", "others", "person", "size")

    def __init__(self, person: Person, first: _Running) -> None:
        self.person = person
        self.first = first
        self.others: dict[Person, _Running] = {}
        self.size = 0


class Remembered:
    """How much all groups of a process remember together."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class SharedExecution:
    """The executions of one group."""

    def __init__(self, opened: Opened, remembered: Remembered) -> None:
        self._opened = opened
        self._of_all = remembered
        self._known: dict[EventPosition, _Known] = {}
        self._running: set[_Running] = set()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._last_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def response(self, event: EventRow, viewer: Viewer) -> Response:
        """What an event comes to for somebody; executed once however many ask, at whatever time."""
        known = self._known.get(event.place)
        if known is None:
            self._make_room()
            known = self._known[event.place] = _Known(viewer.person, self._start(event, viewer))
            known.first.add_done_callback(partial(self._done, known, event.place, viewer.person))
        found = await asyncio.shield(known.first)
        if found.personal and known.person != viewer.person:
            other = known.others.get(viewer.person)
            if other is None:
                other = known.others[viewer.person] = self._start(event, viewer)
                other.add_done_callback(partial(self._done, known, event.place, viewer.person))
            found = await asyncio.shield(other)
        return found

    def close(self) -> None:
        """Nobody wants to know any more."""
        for task in self._running:
            task.cancel()
        self._known.clear()
        self._count(-self._bytes)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, event: EventRow, viewer: Viewer) -> _Running:
        async def run() -> Response:
            return await self._opened.execute(event, viewer)

        task = asyncio.create_task(run(), name="shared-execution")
        self._running.add(task)
        self._last_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(_REMEMBERED_SECONDS, self._look)
        return task

    def _done(self, known: _Known, place: EventPosition, person: Person, task: _Running) -> None:
        self._running.discard(task)
        # Whoever waits for it is told of its failure; when nobody does any more, that is no reason to complain.
        failed = task.cancelled() or task.exception() is not None
        if self._known.get(place) is not known:
            return  # forgotten meanwhile
        if not failed:
            size = len(task.result().payload.body) + _OVERHEAD
            known.size += size
            self._count(size)
        elif task is known.first:  # another try may fare better
            self._forget(place, known)
        else:
            del known.others[person]

    def _make_room(self) -> None:
        """For what comes next, of the oldest that are done."""
        while self._known and (
            len(self._known) >= _REMEMBERED
            or self._bytes > _REMEMBERED_BYTES
            or self._of_all.bytes > _REMEMBERED_BYTES_OF_ALL
        ):
            place, oldest = next(iter(self._known.items()))
            if not oldest.first.done():
                break
            self._forget(place, oldest)

    def _look(self) -> None:
        """Forgets everything once there was nothing new for long enough."""
        due = self._last_at + _REMEMBERED_SECONDS - self._loop.time()
        if due > 0:
            self._timer = self._loop.call_later(due, self._look)
            return
        self._timer = None
        for place, known in tuple(self._known.items()):
            if known.first.done():
                self._forget(place, known)

    def _forget(self, place: EventPosition, known: _Known) -> None:
        del self._known[place]
        self._count(-known.size)

    def _count(self, size: int) -> None:
        self._bytes += size
        self._of_all.bytes += size
