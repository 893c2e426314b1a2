"""Sends events to an audience at a pace, and says what each message cost and when it came."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.live.audience import Audience
from benchmarks.live.publisher import Publisher
from benchmarks.servers import Server

_IN_TIME_SECONDS = 0.25
"""A rate is sustained when no message comes later than this after the last event was due: nothing has piled up."""
_PATIENCE_SECONDS = 5.0
"""How long messages that are late are waited for, for the figures to have them; a server that cannot keep up is not
waited for until it is done."""
_AHEAD, _AHEAD_SECONDS, _MOST_AHEAD = 16, 0.2, 256
"""Events that wait to be delivered when as many as possible are wanted: this many, or what is delivered in so long."""


@dataclass(frozen=True)
class Made:
    """What it costs a server to make an event that nobody hears of, in seconds of CPU time."""

    seconds: float


@dataclass(frozen=True)
class Pace:
    """One round at one pace. ``lost``: what to say of sockets that are gone; moments in seconds."""

    events: int
    expected: int
    delivered: int
    cpu_seconds: float
    """The server's."""
    making_seconds: float
    """How much of it went into making the events."""
    elapsed: float
    """From the first event to the last message."""
    late: float
    """From when the last event was due to the last message."""
    server_share: float
    """How much of its CPU the server had."""
    waited_share: float
    """How much of the time the server could have worked, and something else had its CPU."""
    client_share: float
    """How much of a CPU the process had that counts."""
    latencies: Sequence[float]
    """Sorted; from an event's moment to its message."""
    lost: str = ""

    @property
    def microseconds(self) -> float:
        """CPU time of each message, beyond what it costs to make its event."""
        return (self.cpu_seconds - self.making_seconds) / max(1, self.delivered) * 1e6

    @property
    def per_cpu_second(self) -> float:
        """Messages delivered for each second of the server's CPU time, the making of events included."""
        return self.delivered / self.cpu_seconds

    @property
    def per_second(self) -> float:
        """Messages delivered a second."""
        return self.delivered / self.elapsed

    @property
    def sustained(self) -> bool:
        """Whether everybody got everything, and in time."""
        return self.delivered == self.expected and self.late <= _IN_TIME_SECONDS

    def percentile(self, share: float) -> float:
        """The latency that ``share`` of the messages do not exceed; endless when nothing came."""
        if not self.latencies:
            return float("inf")
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


async def making(server: Server, event: Mapping[str, Any], events: int, rate: float) -> Made:
    """Has events made for nobody, at a rate."""
    before = server.cpu_seconds()
    async with Publisher(server.port, event) as publisher:
        await publisher.at_rate(events, rate)
        await publisher.answered(_PATIENCE_SECONDS)
    return Made((server.cpu_seconds() - before) / events)


@dataclass(frozen=True)
class _Clocks:
    """What had been used at a moment."""

    at: float
    server: float
    waited: float
    client: float


class Stage:
    """A server, its audience, and the event that is told."""

    def __init__(self, server: Server, audience: Audience, subscribers: int, event: Mapping[str, Any]) -> None:
        self._server = server
        self._audience = audience
        self._subscribers = subscribers
        self._event = event

    async def at_rate(self, events: int, rate: float, made: Made) -> Pace:
        """Events at a rate, whether or not the server keeps up.

        Raises ``WrongAnswer`` when one is refused, and ``FellShort`` when what comes is no event or comes twice.
        """
        async with Publisher(self._server.port, self._event) as publisher:
            before = await self._begin()
            await publisher.at_rate(events, rate)
            return await self._done(publisher, before, made, before.at + (events - 1) / rate)

    async def at_most(self, seconds: float, events: int | None) -> Pace:
        """Events as fast as the server takes them, for so long, or for so many; raises what ``at_rate`` raises.

        Never so many that they pile up, never so few that it waits for one. Making them is part of it, so nothing is
        taken off.
        """
        tally, subscribers = self._audience.tally, self._subscribers
        async with Publisher(self._server.port, self._event) as publisher:
            before = await self._begin()

            def waiting() -> float:
                return publisher.published - tally.messages / subscribers

            def ahead() -> float:
                rate = tally.messages / subscribers / max(0.1, time.time() - before.at)
                return min(_MOST_AHEAD, max(_AHEAD, rate * _AHEAD_SECONDS))

            await publisher.at_most(seconds, events or float("inf"), waiting, ahead)
            return await self._done(publisher, before, Made(0.0), time.time())

    async def _begin(self) -> _Clocks:
        await self._audience.quiet()
        self._audience.forget()
        return self._clocks()

    def _clocks(self) -> _Clocks:
        server = self._server
        return _Clocks(time.time(), server.cpu_seconds(), server.waited_seconds(), time.process_time())

    async def _done(self, publisher: Publisher, before: _Clocks, made: Made, due: float) -> Pace:
        """Waits for what is late; ``due`` is when the last event was to be made."""
        expected = publisher.published * self._subscribers
        await self._audience.heard(expected, _PATIENCE_SECONDS)
        now, delivered = self._clocks(), self._audience.tally.messages
        lasted, until = now.at - before.at, self._audience.tally.at if delivered >= expected else now.at
        return Pace(
            events=publisher.published,
            expected=expected,
            delivered=delivered,
            cpu_seconds=now.server - before.server,
            making_seconds=made.seconds * publisher.answers,
            elapsed=until - before.at,
            late=until - due,
            server_share=(now.server - before.server) / lasted,
            waited_share=(now.waited - before.waited) / lasted,
            client_share=(now.client - before.client) / lasted,
            latencies=sorted(self._audience.latencies()),
            lost=self._audience.lost,
        )
