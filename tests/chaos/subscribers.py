"""Clients that follow something through every break, and remember what they saw."""

import asyncio
import re
from collections import Counter, deque
from random import Random
from typing import Any

from tests.chaos.lines import EventLine, Line, SocketLine
from tests.chaos.world import Ask, Person

_CURSOR = re.compile(rb'"cursor":"([\w-]{43})"')
_ID = re.compile(rb'^{"data":{"\w+":{"id":"(evt_\w{26})"')
_PASSING = ("closed 1001", "closed 1011", "closed 1013", "closed 4408", "cut", "the connection was lost")
"""Ends that a client has to put up with: 1011 is what a frozen one is told, 4408 one that begins too slowly, and on a
machine that is busy with other things that may be any of them."""
_FORBIDDEN = frozenset({"FORBIDDEN", "UNAUTHENTICATED"})


class Known:
    """Cursors and the events that they were seen with, shared by all clients: one of each is kept."""

    def __init__(self) -> None:
        self.cursors: dict[bytes, bytes] = {}
        self.events: dict[bytes, bytes] = {}

    def cursor(self, cursor: bytes, event_id: bytes) -> bytes | None:
        """The cursor; ``None`` when it was seen with another event."""
        if self.events.setdefault(cursor, event_id) != event_id:
            return None
        return self.cursors.setdefault(cursor, cursor)


class Subscriber:
    """One client.

    ``start`` is the cursor that it begins after; when absent it begins now, or from where it is told that it has begun.
    ``place`` is the last cursor that it knows, of an event or of a sign of life. ``seen`` are the cursors that it got,
    ``opened_at`` when the line was open over which the first of them came, ``refused`` how often it was told that it
    may not, ``faults`` what should not have happened at all.
    """

    def __init__(
        self, number: int, person: Person, ask: Ask, start: str | None, known: Known, *, over_socket: bool
    ) -> None:
        self.number = number
        self.person = person
        self.ask = ask
        self.start = start
        self.place: str | None = None
        self.over_socket = over_socket
        self.seen: list[bytes] = []
        self.opened_at: float | None = None
        self.first_at: float | None = None
        self.refused = 0
        self.faults: list[str] = []
        self.ends: Counter[str] = Counter()
        self.story: deque[str] = deque(maxlen=60)
        self.is_open = False
        self._known = known
        self._line: Line | None = None
        self._loop = asyncio.get_running_loop()

    def __str__(self) -> str:
        transport = "socket" if self.over_socket else "event stream"
        role = self.person.role or "newcomer"
        begins = "now" if self.start is None else "after a cursor"
        asked = f"{self.ask.name} {dict(self.ask.variables)}"
        return f"#{self.number} ({transport}, {role} of {self.person.organization_id[-4:]}, {asked}, {begins})"

    async def follow(self, port: int, draw: Random) -> None:
        """Follows until it is cancelled, over one line after another."""
        try:
            while True:
                line = self._next_line()
                refused = self.refused
                self._tell(f"asks after {(self.place or self.start or 'nothing')[:8]}")
                try:
                    await self._loop.create_connection(lambda line=line: line, "127.0.0.1", port)  # type: ignore[misc]
                except OSError:
                    self.ends["not connected"] += 1
                else:
                    self._line = line
                    self._ended_with(await line.over)
                self.is_open = False
                pause = 1.0 if self.refused > refused else draw.choice((0.0, 0.05, 0.3, 0.3, 2.0))
                await asyncio.sleep(draw.uniform(0, pause))
        finally:
            if self._line is not None:
                self._line.cut()

    def cut(self) -> None:
        """Loses its line."""
        if self._line is not None:
            self._line.cut()

    def freeze(self) -> None:
        """Reads nothing for the moment, and then loses its line."""
        if self._line is not None:
            self._line.freeze()
            self._loop.call_later(1.0, self._line.cut)

    def _next_line(self) -> Line:
        after = self.place or self.start
        if self.over_socket:
            return SocketLine(self, self.person.token, self.ask.query, {**self.ask.variables, "after": after})
        by_header = self.number % 4 == 1 and self.place is not None
        variables = {**self.ask.variables, "after": self.start if by_header else after}
        return EventLine(
            self,
            self.person.token,
            self.ask.query,
            variables,
            last_event_id=after if by_header else None,
            gzip=self.number % 10 == 1,
        )

    def event_of(self, cursor: bytes) -> bytes | None:
        """The id of the event that a cursor came with."""
        return self._known.events.get(cursor)

    def opened(self, place: str | None = None) -> None:
        """Its line is open; the first that counts is the one over which the first event comes."""
        if place is not None:
            self.place = place
            if self.start is None and not self.seen:
                self.start = place
        if not self.is_open:
            self.is_open = True
            self._tell("is open")
            if not self.seen:
                self.opened_at = self._loop.time()

    def response(self, body: bytes, event_id: bytes | None) -> None:
        """Notes which event came."""
        cursor, identity = _CURSOR.search(body), _ID.match(body)
        if cursor is None or identity is None or b'"errors":' in body:
            self._fault(f"a response without an event: {body[:300]!r}")
            return
        if not self.over_socket and event_id != cursor[1]:
            self._fault(f"the event {cursor[1]!r} has the id {event_id!r}")
        found = self._known.cursor(cursor[1], identity[1])
        if found is None:
            self._fault(f"the cursor {cursor[1]!r} was another event's")
            return
        if not self.seen:
            self.first_at = self._loop.time()
            if not self.is_open:
                self.opened_at = None  # it came before there was a sign that the line is open
        self.seen.append(found)
        self.place = found.decode()

    def ended(self, errors: list[dict[str, Any]]) -> None:
        """Notes that it was refused, or let go."""
        extensions = errors[0].get("extensions", {})
        self._tell(f"is told {extensions}")
        if extensions.get("code") in _FORBIDDEN:
            self.refused += 1
        elif "resumeAfter" in extensions:
            self.ends["fell behind"] += 1
        else:
            self._fault(f"ended with {errors}")

    def _ended_with(self, why: str) -> None:
        self._tell(why)
        self.ends[why[:30]] += 1
        if why.startswith("closed 4403") or " 401 " in why or " 403 " in why:
            self.refused += 1
        elif not why.startswith((*_PASSING, "refused", "completed", "the stream ended")):
            self._fault(why)

    def _fault(self, what: str) -> None:
        if len(self.faults) < 10:
            self.faults.append(what)
        self._tell(what)

    def _tell(self, what: str) -> None:
        self.story.append(f"{self._loop.time():.3f} {what}, {len(self.seen)} seen")
