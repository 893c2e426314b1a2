"""Followers of the event log, in groups that share one execution of each event.

A group is of one selection, one set of variables (but for where to begin), one organization and one set of scopes.
What depends on the person who asks is executed once for each person: whether it does, the execution itself has seen.
A follower that resumes replays by itself up to where its group stands, then joins it, within one step of the loop:
nothing is missed at the seam, and nothing comes twice. A group that has no room for all that happens reads it from the
log again when its turn comes; only a client that does not take what it is given is let go.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import islice

from auth.caller import Caller
from auth.principal import Principal
from datasources.database.events import EventPosition, EventRow
from gateway.graphql.masking import RequestError
from gateway.graphql.opened import Opened, Opening, Person, Reader, Response, Viewer
from gateway.graphql.payload import Batch, Payload
from gateway.graphql.shared_execution import Remembered, SharedExecution
from schema.errors import CursorTooOld, FellTooFarBehind
from schema.streams import EventStream
from subscriptions.log import TooOld

AT_ONCE, PERSONS_AT_ONCE = 16, 4
"""Events that a group executes at the same time, and for how many persons where answers depend on them."""


class Fanout:
    """All followers of a process, by their groups."""

    def __init__(self) -> None:
        self.groups: dict[Hashable, Group] = {}
        self.followers: set[Follower] = set()
        self.remembered = Remembered()

    def group(self, opened: Opened) -> "Group":
        """The group for such a subscription; made on first use."""
        found = self.groups.get(opened.key)
        if found is None:
            found = self.groups[opened.key] = Group(opened, partial(self.groups.pop, opened.key, None), self.remembered)
        return found

    async def flush(self) -> None:
        """Returns once all groups have handed out what they were given."""
        await asyncio.gather(*(group.idle.wait() for group in self.groups.values()))


class Group:
    """Those who get the same. It listens to the log while somebody is in it, or on the way to it."""

    def __init__(self, opened: Opened, forget: Callable[[], object], remembered: Remembered) -> None:
        self.opened = opened
        self._stream = stream = opened.stream
        self._forget = forget
        self._present: dict[Follower, Viewer] = {}
        self._on_the_way = 0
        self._waiting: deque[EventRow] = deque()
        self._skipped: EventPosition | None = None
        """Up to here it had no room for what happened, and reads it from the log again."""
        self._handed_out = stream.log.position
        self._executions = SharedExecution(opened, remembered)
        self._task: asyncio.Task[None] | None = None
        self._readings = 0
        self._refreshed_at = float("-inf")
        self.idle = asyncio.Event()
        self.idle.set()
        self._stop_listening = stream.log.listen(stream.scope.organization_id or "", self._take)

    @property
    def position(self) -> EventPosition:
        """Those who are in it have got everything up to here."""
        return self._stream.log.position if self.idle.is_set() else self._handed_out

    def cursor(self, place: EventPosition) -> str:
        """The cursor of a place."""
        return self._stream.log.cursors.encode(self._stream.scope.organization_id or "", place)

    def expect(self) -> None:
        """Somebody is on the way, so that the group must stay; ``arrived`` follows."""
        self._on_the_way += 1

    def add(self, follower: "Follower", viewer: Viewer) -> None:
        """Takes in a follower that has all up to ``position``, or more."""
        self._present[follower] = viewer

    def arrived(self, _: object) -> None:
        """Who was on the way has come, or does not."""
        self._on_the_way -= 1
        self._close_if_empty()

    def remove(self, follower: "Follower") -> None:
        """Lets a follower go."""
        if self._present.pop(follower, None) is not None:
            self._close_if_empty()

    def refusal(self, error: Exception) -> RequestError:
        """What followers are told of a failure."""
        if isinstance(error, TooOld):
            error = CursorTooOld(self.cursor(error.oldest))
        return error if isinstance(error, RequestError) else RequestError.of_exception(error)

    async def responses(self, events: Sequence[EventRow], viewer: Viewer) -> Sequence[Response]:
        """What events come to for somebody; executed once however many ask, at whatever time."""
        return await asyncio.gather(*(self._executions.response(event, viewer) for event in events))

    async def opening(self, viewer: Viewer) -> tuple[int, Opening]:
        """What it begins with for somebody, and the number of this reading: what has a higher one is no older."""
        self._readings += 1
        number = self._readings
        return number, await self.opened.opening(viewer)

    def _close_if_empty(self) -> None:
        if not self._present and not self._on_the_way:
            self._stop_listening()
            self._forget()
            if self._task is not None:
                self._task.cancel()
            self._executions.close()

    def _take(self, events: Sequence[EventRow]) -> None:
        try:
            wanted = [event for event in events if self._stream.interest.fits(event)]
        except Exception as error:  # noqa: BLE001 -- as in _run; the reader of the log must go on for all others
            self._fail(error)
            return
        if not wanted:
            return
        if self.idle.is_set():
            self.idle.clear()
            self._handed_out = self._stream.log.position
            self._task = asyncio.create_task(self._run(), name="fan-out")
        if self._stream.every is not None:
            self._waiting.clear()  # the last is enough
            del wanted[:-1]
        self._waiting.extend(wanted)
        if len(self._waiting) > self._stream.log.queue_size:
            self._waiting.clear()
            self._skipped = events[-1].place

    async def _run(self) -> None:
        try:
            while self._waiting or self._skipped is not None:
                if self._stream.every is not None:
                    await self._refresh(self._stream.every)
                elif (until := self._skipped) is not None:
                    await self._catch_up(until)
                else:
                    await self._hand_out([self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))])
        except Exception as error:  # noqa: BLE001 -- told to all who follow, and logged where it is masked
            self._waiting.clear()
            self._skipped = None
            self._fail(error)
        finally:
            self.idle.set()

    def _fail(self, error: Exception) -> None:
        refusal = self.refusal(error)
        for follower in tuple(self._present):
            follower.end(refusal)

    async def _catch_up(self, until: EventPosition) -> None:
        """Hands out what it had no room for. What happens meanwhile waits, or is skipped in its turn."""
        async with aclosing(_replayed(self._stream, self._handed_out, until)) as missed:
            async for events in missed:
                if not self._present:
                    break  # who is on the way reads it by itself
                await self._hand_out(events)
        self._handed_out = until
        if self._skipped == until:
            self._skipped = None

    async def _hand_out(self, events: Sequence[EventRow]) -> None:
        """Executes what comes next, as often as persons make that necessary, and gives it to all."""
        places = [event.place for event in events]
        if self._present:
            await self._give(events, places)
        self._handed_out = places[-1]

    async def _give(self, events: Sequence[EventRow], places: Sequence[EventPosition]) -> None:
        some = next(iter(self._present.values()))
        found = await self.responses(events, some)
        first, last = places[0], places[-1]
        batches: dict[Person, Batch] = {some.person: Batch([each.payload for each in found])}
        shared = not any(each.personal for each in found)

        def person(viewer: Viewer) -> Person:
            return some.person if shared else viewer.person

        # Whoever joins while this waits is to get these events too.
        while wanting := {person(each): each for each in self._present.values() if person(each) not in batches}:
            some_of_them = dict(islice(wanting.items(), PERSONS_AT_ONCE))
            responses = (self.responses(events, viewer) for viewer in some_of_them.values())
            for who, theirs in zip(some_of_them, await asyncio.gather(*responses), strict=True):
                batches[who] = Batch([each.payload for each in theirs])
        for follower, viewer in tuple(self._present.items()):
            batch = batches[person(viewer)]
            rest = batch if follower.last < first else _after(follower.last, places, batch)
            if rest is not None and follower in self._present:
                follower.offer(rest, last)

    async def _refresh(self, every: float) -> None:
        """Sends the opening again, once for all events of ``every`` seconds."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._refreshed_at + every - loop.time()))
        self._refreshed_at = loop.time()
        place = self._waiting[-1].place
        self._waiting.clear()
        known: dict[Person, tuple[int, Opening]] = {}
        for follower, viewer in tuple(self._present.items()):
            shared = next((each for each in known.values() if not each[1].personal), None)
            found = shared or known.get(viewer.person)
            if found is None:
                found = known[viewer.person] = await self.opening(viewer)
            number, opening = found
            if follower in self._present:
                follower.refresh(opening.payloads, number, place)
        self._handed_out = max(self._handed_out, place)


class Follower:
    """One subscription of one client.

    ``begin`` opens it for whom it is now (raises RequestError); ``last`` is the place of the last event that the client
    was given. While it is suspended nothing reaches the client; when it is started again it begins where it stopped.
    """

    __slots__ = (
        "_begin",
        "_caller",
        "_fanout",
        "_group",
        "_opening_sent",
        "_reader",
        "_reading",
        "_sent",
        "_started",
        "_task",
        "last",
    )

    def __init__(self, fanout: Fanout, reader: Reader, caller: Caller, begin: Callable[[Principal], Opened]) -> None:
        self._fanout = fanout
        self._reader = reader
        self._caller = caller
        self._begin = begin
        self._group: Group | None = None
        self._task: asyncio.Task[None] | None = None
        self._sent: Sequence[Payload] = ()
        self._reading = 0
        self._opening_sent = False
        self._started = False
        self.last = EventPosition(-1, -1)

    @property
    def cursor(self) -> str | None:
        """Where a client that has taken all that it was given would resume; ``None`` where that makes no sense."""
        if self._group is None or self._group.opened.stream.every is not None:
            return None
        self._reached()
        return self._group.cursor(self.last)

    def start(self, principal: Principal) -> None:
        """Begins, or goes on as ``principal``; raises RequestError when that may not be."""
        opened = self._begin(principal)
        stream = opened.stream
        if not self._started:
            self.last = stream.log.position if stream.after is None else stream.after
            self._started = True
        self._fanout.followers.add(self)
        # From here on the group's own is used, so that what is the same for all is kept once.
        group = self._group = self._fanout.group(opened)
        self._reading = 0
        viewer = Viewer(principal, self._caller)
        if self.last >= group.position and stream.opening is None:
            group.add(self, viewer)
        else:
            group.expect()
            self._task = asyncio.create_task(self._arrive(group, viewer), name="catching-up")
            # Not at its own end: it may be cancelled before it has begun.
            self._task.add_done_callback(group.arrived)

    def suspend(self) -> None:
        """Stops for now, at once."""
        self._reached()
        if self._task is not None:
            if self._task is not asyncio.current_task():
                self._task.cancel()
            self._task = None
        if self._group is not None:
            self._group.remove(self)
        self._group = None
        self._fanout.followers.discard(self)

    def offer(self, batch: Batch, last: EventPosition) -> None:
        """Takes what is next; lets the client go when it has no room for more."""
        self.last = last
        if not self._reader.take(batch):
            self.fall_behind()

    def refresh(self, payloads: Sequence[Payload], number: int, last: EventPosition) -> None:
        """Takes the opening as it is now, unless the client has just that, or one that was read later."""
        if number < self._reading:
            return
        self._reading = number
        if payloads != self._sent:
            self._sent = payloads
            self.offer(Batch(payloads), last)

    def fall_behind(self) -> None:
        """Ends it because the client is too slow; it is told where to resume."""
        if self._group is not None:
            self._reached()
            self.end(RequestError.of_exception(FellTooFarBehind(self._group.cursor(self.last))))

    def end(self, refusal: RequestError) -> None:
        """Ends it for good; of a fault of ours the client is told where to resume."""
        cursor = self.cursor
        self.suspend()
        self._reader.end(refusal if cursor is None else refusal.resumable(cursor))

    def _reached(self) -> None:
        """Moves on to where the group is, past what was not for it: that may be far, and not kept for long."""
        if self._group is not None and self._task is None:
            self.last = max(self.last, self._group.position)

    async def _arrive(self, group: Group, viewer: Viewer) -> None:
        """Gives the client what comes first and what it has missed, then joins the group."""
        stream = group.opened.stream
        try:
            if stream.every is not None:
                group.add(self, viewer)  # what happens while the opening is read is told by the group
                await self._open(group, viewer)
            else:
                if stream.opening is not None and not self._opening_sent:
                    await self._open(group, viewer)
                while self.last < (until := group.position):
                    await self._replay(group, viewer, until)
                self._go_on()
                group.add(self, viewer)
            self._task = None
        except Exception as error:  # noqa: BLE001 -- told to the client, and logged where it is masked
            self._fail(group.refusal(error))

    async def _open(self, group: Group, viewer: Viewer) -> None:
        number, opening = await group.opening(viewer)
        self._go_on()
        self._opening_sent = True
        self.refresh(opening.payloads, number, self.last)

    def _go_on(self) -> None:
        """Raises CancelledError when it was suspended: what failed at that moment goes before a cancellation."""
        if self._task is not asyncio.current_task():
            raise asyncio.CancelledError

    def _fail(self, refusal: RequestError) -> None:
        self._go_on()
        self.end(refusal)

    async def _replay(self, group: Group, viewer: Viewer, until: EventPosition) -> None:
        async with aclosing(_replayed(group.opened.stream, self.last, until)) as missed:
            async for events in missed:
                found = await group.responses(events, viewer)
                await self._reader.room()
                self._go_on()
                self._reader.take(Batch([each.payload for each in found]))
                self.last = events[-1].place
        self.last = until


async def _replayed(
    stream: EventStream, after: EventPosition, until: EventPosition
) -> AsyncGenerator[Sequence[EventRow], None]:
    """What a stream has between two places, in batches; raises ``TooOld``."""
    async with aclosing(stream.log.replay(stream.scope, stream.interest, after, until)) as missed:
        events: list[EventRow] = []
        async for event in missed:
            events.append(event)
            if len(events) == AT_ONCE:
                yield events
                events = []
        if events:
            yield events


def _after(last: EventPosition, places: Sequence[EventPosition], batch: Batch) -> Batch | None:
    """The part of a batch that comes after a place."""
    rest = [payload for place, payload in zip(places, batch.payloads, strict=True) if place > last]
    return Batch(rest) if rest else None
