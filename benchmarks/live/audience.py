"""The subscribers of one server."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.live.publisher import Publisher
from benchmarks.live.subscriber import Subscriber, Tally

_AT_ONCE = 25
"""How many sockets are opened at the same time: no server is measured on that."""
_SAMPLED = 25
"""Of how many subscribers each message is looked into; spread evenly, for servers tell one after the other."""
QUIET_SECONDS = 0.5
_TOLD_SECONDS, _PATIENCE_SECONDS = 5.0, 120.0


class FellShort(Exception):
    """Subscribers did not get what they should; the message says what is missing."""


class Audience:
    """Subscribers on sockets of their own, and how long events took to reach some of them. Leave it to hang up.

    ``quiet_seconds``: nothing is on the way any more when nothing has come for so long.
    """

    def __init__(self, port: int, query: str, token: str, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._quiet_seconds = quiet_seconds
        self._port = port
        self._query = query
        self._token = token
        self._subscribers: list[Subscriber] = []
        self.tally = Tally()

    def __enter__(self) -> Self:
        """Nobody is there yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hangs up on all sockets."""
        for subscriber in self._subscribers:
            subscriber.close()

    async def gather(self, count: int, event: Mapping[str, Any]) -> None:
        """Opens ``count`` sockets and returns when every one of them has got an event.

        Raises ``WrongAnswer`` or ``OSError`` when a socket cannot be opened, ``FellShort`` when events do not arrive.
        """
        loop = asyncio.get_running_loop()
        while len(self._subscribers) < count:
            made = [
                await loop.create_connection(
                    lambda: Subscriber(self._query, self._token, self.tally), "127.0.0.1", self._port
                )
                for _ in range(min(_AT_ONCE, count - len(self._subscribers)))
            ]
            self._subscribers += [subscriber for _, subscriber in made]
            await asyncio.gather(*(subscriber.subscribed for _, subscriber in made))
        # The server has read a subscription when its socket gets events, and there is no other sign of that.
        deadline = loop.time() + _PATIENCE_SECONDS
        async with Publisher(self._port, event) as publisher:
            while not all(subscriber.messages for subscriber in self._subscribers):
                if self.lost or loop.time() > deadline:
                    deaf = sum(not each.messages for each in self._subscribers)
                    raise FellShort(f"{deaf} subscribers hear nothing{self.lost}")
                await self.quiet()
                publisher.publish()
                await self.heard(self.tally.messages + count, _TOLD_SECONDS)
        self.forget()

    async def quiet(self) -> None:
        """Returns when nothing has come for a while."""
        before = -1
        while before != self.tally.messages:
            before = self.tally.messages
            await asyncio.sleep(self._quiet_seconds)

    async def heard(self, messages: int, seconds: float) -> bool:
        """Whether ``messages`` have come within so long; returns as soon as they have."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.tally.messages < messages:
            if self.lost or loop.time() > until:
                return False
            await asyncio.sleep(0.005)
        return True

    @property
    def lost(self) -> str:
        """What to say of sockets that are gone; nothing when all are there."""
        gone = [subscriber.lost for subscriber in self._subscribers if subscriber.lost is not None]
        return f"; {len(gone)} sockets were lost, the first because: {gone[0]}" if gone else ""

    def forget(self) -> None:
        """Counts from 0, and begins to sample."""
        self.tally.messages = 0
        for subscriber in self._subscribers:
            subscriber.messages = 0
            subscriber.samples = None
        for subscriber in self._subscribers[:: max(1, len(self._subscribers) // _SAMPLED)]:
            subscriber.samples = []
        self._subscribers[-1].samples = []

    def message(self) -> Any:
        """The newest message of one of them, as it came."""
        samples = self._subscribers[-1].samples
        if not samples:
            raise FellShort("there is no message")
        return orjson.loads(samples[-1][1])

    def latencies(self) -> Sequence[float]:
        """Seconds from the moment in each sampled event to when its message came.

        Raises ``FellShort`` when a message is no event, or one of them came twice.
        """
        found = []
        for subscriber in self._subscribers:
            ids: dict[str, None] = {}
            for came, text in subscriber.samples or ():
                event = _event(text)
                if event["id"] in ids:
                    raise FellShort(f"an event came twice: {text[:200]!r}")
                ids[event["id"]] = None
                found.append(came - datetime.fromisoformat(event["at"]).timestamp())
        return found


def _event(text: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = orjson.loads(text)["payload"]["data"]["orderChanged"]
    except (KeyError, TypeError, ValueError):
        raise FellShort(f"no event: {text[:200]!r}") from None
    return event
