"""What each client should have seen, read from the table, beside what it saw."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from datasources.database.engine import Database
from datasources.database.events import BEGINNING, EventPosition, EventRow, all_events_after
from subscriptions.cursors import Cursors
from tests.chaos.subscribers import Subscriber

_ALL = 10_000_000
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """An event of the table with its cursor."""

    event: EventRow
    cursor: bytes


class Log:
    """The whole log as the table has it, in the order of commits."""

    def __init__(self, entries: Sequence[Entry], cursors: Cursors, written: Mapping[str, float]) -> None:
        self.entries = entries
        self._cursors = cursors
        self._written = written
        self._events = {entry.cursor: entry.event for entry in entries}
        self._allowed: dict[tuple[object, ...], list[Entry]] = {}
        self._of: dict[str, list[Entry]] = {}
        for entry in entries:
            self._of.setdefault(entry.event.organization_id, []).append(entry)

    @property
    def overtaken(self) -> int:
        """How many events have a higher number than the one that comes after them."""
        return sum(a.event.position > b.event.position for a, b in pairwise(self.entries))

    def allowed(self, subscriber: Subscriber) -> list[Entry]:
        """What the client may see in all, from the cursor on that it began with."""
        organization_id, ask = subscriber.person.organization_id, subscriber.ask
        key = (organization_id, subscriber.start, ask.name, *ask.variables.values())
        if key not in self._allowed:
            begin = BEGINNING if subscriber.start is None else self._cursors.decode(organization_id, subscriber.start)
            assert begin is not None
            self._allowed[key] = [
                entry for entry in self._of[organization_id] if entry.event.place > begin and ask.wants(entry.event)
            ]
        return self._allowed[key]

    def expected(self, subscriber: Subscriber) -> list[Entry]:
        """What it must have seen: all of that, or without a beginning, what came since it first saw something.

        What was committed once its line was open must be part of it.
        """
        allowed = self.allowed(subscriber)
        if subscriber.start is not None:
            return allowed
        first = len(allowed)
        if subscriber.seen:
            first = next((at for at, entry in enumerate(allowed) if entry.cursor == subscriber.seen[0]), first)
        if subscriber.opened_at is not None:
            since = (at for at, entry in enumerate(allowed) if self._moment(entry) > subscriber.opened_at)
            first = min(first, next(since, first))
        return allowed[first:]

    def _moment(self, entry: Entry) -> float:
        return self._written.get(entry.event.id, float("-inf"))

    def complete(self, subscriber: Subscriber) -> bool:
        """Whether it has the last of what it is to see; says nothing of the rest."""
        if subscriber.seen:
            allowed = self.allowed(subscriber)
            last = subscriber.seen[-1]
            return bool(allowed) and (last == allowed[-1].cursor or self._is_later(subscriber, last))
        return not self.expected(subscriber)

    def complaints(self, subscriber: Subscriber, until: EventPosition | None = None) -> list[str]:
        """What is wrong with what it saw; with ``until`` it may have stopped anywhere before."""
        events, found = self._events, list(subscriber.faults)
        expected = [entry.cursor for entry in self.expected(subscriber) if until is None or entry.event.place < until]
        # What happened after the log was read is another story.
        seen = [cursor for cursor in subscriber.seen if cursor in events or not self._is_later(subscriber, cursor)]
        if until is not None:
            expected = expected[: len(seen)]
        found += [f"{cursor!r} came with another event" for cursor in seen if self._is_mistaken(subscriber, cursor)]
        if seen == expected:
            return found
        repeated = [cursor for cursor, count in Counter(seen).items() if count > 1]
        foreign = set(seen) - set(expected)
        missing = set(expected) - set(seen)
        for what, cursors in (("repeated", repeated), ("not to be seen", foreign), ("missing", missing)):
            if cursors:
                shown = sorted(_shown(events.get(cursor), seen, cursor) for cursor in cursors)[:_SHOWN]
                found.append(f"{len(cursors)} {what}: {', '.join(shown)}")
        if not (repeated or foreign or missing):
            found.append("the same events in another order")
        return found

    def _is_later(self, subscriber: Subscriber, cursor: bytes) -> bool:
        place = self._cursors.decode(subscriber.person.organization_id, cursor.decode())
        return place is not None and place > self.entries[-1].event.place

    def _is_mistaken(self, subscriber: Subscriber, cursor: bytes) -> bool:
        event = self._events.get(cursor)
        return event is not None and subscriber.event_of(cursor) != event.id.encode()


def _shown(event: EventRow | None, seen: Sequence[bytes], cursor: bytes) -> str:
    where = [at for at, each in enumerate(seen) if each == cursor]
    return f"{event.place if event else '(no such event)'} {event.type if event else cursor!r} at {where}"


async def read_log(database: Database, cursors: Cursors, written: Mapping[str, float]) -> Log:
    """The log, as far as it has settled."""
    entries = [
        Entry(event, cursors.encode(event.organization_id, event.place).encode())
        for event in await all_events_after(database, BEGINNING, _ALL)
    ]
    return Log(entries, cursors, written)
