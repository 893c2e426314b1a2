"""Redis as a bell between the processes of an installation: one channel, and messages that say no more than "look".

What happened is in the database. A message that is lost, because Redis was away or because nobody listened yet, costs
time and never an event.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from random import random
from typing import Self
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 3.0
"""How long the line may be silent before Redis is asked whether it is there, and how long it has to answer."""
GATHER_SECONDS = 0.01
"""The least time between two messages of one process."""
FLUSH_SECONDS = 1.0
"""How long a process that stops waits for its last message to be taken."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


def require_redis_url(url: str) -> None:
    """Raises ``ValueError`` for what is no address of a Redis; the message repeats nothing of it, for secrets' sake."""
    message = "must be like redis://user:password@host:6379/0, or rediss:// for TLS"
    try:
        parts = urlsplit(url)
        port = parts.port  # looks at it
    except ValueError:
        raise ValueError(message) from None
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or port == 0:
        raise ValueError(message)


def pause_after(failures: int, *, chance: Callable[[], float] = random) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, up to 5, give or take a half.

    The chance keeps processes that lost Redis together from coming back together.
    """
    return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures - 1, 20)) * (0.5 + chance()))


class Channel:
    """One channel, for a process to ring and to hear the others. Enter it to start, leave it to stop.

    ``name``: the same for all processes of an installation, and for no others: Redis has one set of channels, whatever
    the number of the database. ``heard`` is called in the thread of the loop when another process has rung, and once
    whenever the line is there again, for what was rung meanwhile was not heard. ``silence_seconds`` as the constant.
    """

    def __init__(
        self, url: str, name: str, heard: Callable[[], None], *, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._redis = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=silence_seconds,
            socket_connect_timeout=silence_seconds,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # the pauses are ours, between whole attempts
        )
        self._name = name
        self._heard = heard
        self._silence_seconds = silence_seconds
        self._me = secrets.token_hex(8).encode()
        self._due = asyncio.Event()
        self._told = asyncio.Event()
        self._told.set()
        self._broken: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def works(self) -> bool:
        """Whether Redis could be reached the last time, as far as it was tried."""
        return not self._broken

    async def __aenter__(self) -> Self:
        """Begins to listen; does not wait for Redis."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="redis-listen"),
            asyncio.create_task(self._tell(), name="redis-tell"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Sends what waits, if Redis takes it within a moment, and hangs up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._told.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # there is nothing left that could be done
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis.aclose()

    def ring(self) -> None:
        """Has the others told, soon and once however often it is called until then; takes no time and cannot fail."""
        self._told.clear()
        self._due.set()

    async def _tell(self) -> None:
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._redis.publish(self._name, self._me)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the message waits and is sent when that works
                self._due.set()
                self._lost("tell", error)
                failures += 1
                await asyncio.sleep(pause_after(failures))
            else:
                self._found("tell")
                failures = 0
                if not self._due.is_set():
                    self._told.set()
                await asyncio.sleep(GATHER_SECONDS)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._redis.pubsub() as line:
                    await line.subscribe(self._name)
                    async for message in _messages(line, self._silence_seconds):
                        failures = 0
                        self._take(message)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the log is still looked at every second
                self._lost("hear", error)
            failures += 1
            await asyncio.sleep(pause_after(failures))

    def _take(self, message: dict[str, object]) -> None:
        if message["type"] == "subscribe":
            self._found("hear")
            self._heard()
        elif message["type"] == "message" and message["data"] != self._me:
            self._heard()

    def _lost(self, way: str, error: Exception) -> None:
        if not self._broken:
            # Its words could hold parts of the address.
            logger.warning(
                "Redis cannot be reached (%s): events of other processes come within a second instead of at once",
                type(error).__name__,
            )
        self._broken.add(way)

    def _found(self, way: str) -> None:
        if self._broken:
            self._broken.discard(way)
            if not self._broken:
                logger.warning("Redis can be reached again")


async def _messages(line: PubSub, silence_seconds: float) -> AsyncGenerator[dict[str, object], None]:
    """What comes on a line, without end; raises ``TimeoutError`` when Redis does not even answer."""
    asked = False
    while True:
        message: dict[str, object] | None = await line.get_message(timeout=silence_seconds)
        if message is not None:
            asked = False
            yield message
        elif asked:
            raise TimeoutError
        else:
            # A Redis that hangs, or is behind a wall that drops packets, leaves the connection open.
            await line.ping()
            asked = True
