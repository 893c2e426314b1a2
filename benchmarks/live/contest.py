"""Measures the contenders by turns, round after round, each time in a fresh process with a CPU of its own."""

import asyncio
import gc
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import uvloop

from benchmarks.contest import AnswersDiffer, difference
from benchmarks.data import global_id
from benchmarks.live import memory, pace
from benchmarks.live.audience import QUIET_SECONDS, Audience
from benchmarks.live.contenders import Contender
from benchmarks.live.pace import Pace
from benchmarks.live.publisher import Publisher
from benchmarks.servers import Server, apart

R = TypeVar("R")
Message: TypeAlias = Mapping[str, Any]
"""A ``next`` message, as it was told."""
SUBSCRIPTION = "subscription { orderChanged { id at from to } }"
EVENT: Mapping[str, Any] = {"orderId": global_id("sor", 0), "from": "PENDING", "to": "CANCELLED"}
RATES = (20, 200)
"""Events a second."""
_FEWEST_EVENTS = 40
_TELLING_SECONDS = 10.0
_MAKING_SHARE = 0.4
"""How many events are made for nobody, of those that are made for the audience."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured; ``seconds`` of each pace, ``events`` instead where that is given."""

    subscribers: int = 500
    seconds: float = 5.0
    events: int | None = None
    sockets: int = 2_000
    """For the memory of one; it is not measured when there are none."""
    quiet_seconds: float = QUIET_SECONDS
    """How long nothing comes before it is taken that nothing will."""

    def events_at(self, rate: int) -> int:
        """How many events a round has at a rate."""
        return self.events or max(_FEWEST_EVENTS, round(rate * self.seconds))


@dataclass
class Standing:
    """What came of one contender, round by round."""

    contender: Contender
    rates: Mapping[int, list[Pace]] = field(default_factory=lambda: {rate: [] for rate in RATES})
    most: list[Pace] = field(default_factory=list)
    bytes_per_socket: float | None = None
    """Nothing as long as it was not measured."""


@dataclass(frozen=True)
class LiveContest:
    """The contenders, none of which runs yet. ``token`` is good for those that ask for one."""

    contenders: Sequence[Contender]
    token: str
    folder: Path
    cpu: int

    def measure(self, sizes: Sizes, rounds: int) -> Sequence[Standing]:
        """Everything of everybody.

        Raises ``AnswersDiffer``, ``FellShort`` when subscribers hear nothing or not what they should, ``WrongAnswer``
        when a server refuses something, and ``ServerNotStartedError``.
        """
        standings = [Standing(contender) for contender in self.contenders]
        message: Message | None = None
        for _ in range(rounds):
            for standing in standings:
                with standing.contender.running(self.folder, self.cpu) as server:
                    message = _run(self._round(server, standing, sizes, message))
        for standing in standings if sizes.sockets else ():
            with standing.contender.running(self.folder, self.cpu) as server:
                needed = memory.bytes_per_socket(server, sizes.sockets, SUBSCRIPTION, self.token, EVENT)
                standing.bytes_per_socket = _run(needed)
        return standings

    async def _round(self, server: Server, standing: Standing, sizes: Sizes, message: Message | None) -> Message:
        """Measures one contender once; returns a message, as all must send it."""
        costs = {}
        for rate in RATES:
            events = max(1, round(sizes.events_at(rate) * _MAKING_SHARE))
            await pace.making(server, EVENT, min(2, events), rate)  # the first ones fill caches
            costs[rate] = await pace.making(server, EVENT, events, rate)
        with Audience(server.port, SUBSCRIPTION, self.token, sizes.quiet_seconds) as audience:
            await audience.gather(sizes.subscribers, EVENT)
            message = await self._compared(server, audience, standing, sizes, message)
            stage = pace.Stage(server, audience, sizes.subscribers, EVENT)
            slow, fast = RATES
            with _undisturbed():
                # The rate that some cannot keep up with comes last: what has piled up then is nobody's any more.
                standing.rates[slow].append(await stage.at_rate(sizes.events_at(slow), slow, costs[slow]))
                standing.most.append(await stage.at_most(sizes.seconds, sizes.events))
                standing.rates[fast].append(await stage.at_rate(sizes.events_at(fast), fast, costs[fast]))
        return message

    async def _compared(
        self, server: Server, audience: Audience, standing: Standing, sizes: Sizes, told: Message | None
    ) -> Message:
        """Has the event published that the contender before has told of; raises ``AnswersDiffer``."""
        event = EVENT if told is None else {**EVENT, **event_of(told)}
        async with Publisher(server.port, event) as publisher:
            publisher.publish()
            await audience.heard(sizes.subscribers, _TELLING_SECONDS)
        found: Message = audience.message()
        if told is not None:
            agree(standing.contender, found, told)
        return found


def event_of(message: Message) -> Mapping[str, str]:
    """The event in a message."""
    event: Mapping[str, str] = message["payload"]["data"]["orderChanged"]
    return event


def agree(contender: Contender, found: Message, told: Message) -> None:
    """Raises ``AnswersDiffer`` when a contender does not tell of an event as the one before it.

    The gateway writes events itself and gives each an id and a moment of its own: these are not compared.
    """
    event = event_of(told)
    if contender.ours:
        event = {**event, **{name: event_of(found).get(name, "") for name in ("id", "at")}}
    wanted = {**told, "payload": {"data": {"orderChanged": event}}}
    if found != wanted:
        raise AnswersDiffer(f"q6: {difference(found, wanted, names=(contender.name, 'the one before'))}")


@contextmanager
def live_contest(contenders: Sequence[Contender], token: str, folder: Path) -> Iterator[LiveContest]:
    """Gives servers one CPU, and this process and what it has started the others, for the length of the block."""
    with apart() as cpu:
        yield LiveContest(contenders, token, folder, cpu)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collecting of garbage by the one that counts: there is none, and looking for it takes its time."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _run(work: Coroutine[Any, Any, R]) -> R:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
