"""Removes what the log keeps no longer, beside the requests and in small steps, so that nobody who writes waits for it.

Every process looks by itself; whoever finds another one at it leaves it to that one until the next round.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from datasources.database.engine import Database
from datasources.database.event_retention import (
    Busy,
    Limits,
    first_kept,
    old_from,
    organizations_beyond,
    remove_oldest,
    remove_untold,
)
from datasources.database.events import BEGINNING

logger = logging.getLogger(__name__)

FIRST_SECONDS, EVERY_SECONDS = 60.0, 3_600.0
"""When it looks first after a start, and how often then."""
PAUSE_SECONDS = 0.1
"""How long it lets others write after each transaction of its own."""


def _now() -> datetime:
    return datetime.now(UTC)


class Retention:
    """The worker of one process. Enter it to start; leave it to stop after the transaction that it is in."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._limits = limits
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._swept = BEGINNING
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._task = asyncio.create_task(self._run(), name="event-retention")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        await self._wait(FIRST_SECONDS)
        while not self._stopping.is_set():
            try:
                removed = await self.round()
                if removed:
                    logger.info("removed %d events from the log that are kept no longer", removed)
            except Exception:
                # What one round leaves the next one takes.
                logger.exception("old events could not be removed; trying again in %s s", EVERY_SECONDS)
            await self._wait(EVERY_SECONDS)

    async def round(self) -> int:
        """Removes all that is kept no longer; returns how many events that clients saw.

        Ends early when another process is at it.
        """
        removed = 0
        with contextlib.suppress(Busy):
            for organization_id in await organizations_beyond(self._database, self._limits, self._clock()):
                scope = self._database.scoped(organization_id)
                until = await first_kept(scope, self._limits, self._clock())
                while not self._stopping.is_set() and (count := await remove_oldest(scope, until)):
                    removed += count
                    await self._wait(self._pause_seconds)
            span = await old_from(self._database, self._swept, self._clock())
            while span.place < span.until and not self._stopping.is_set():
                span = await remove_untold(self._database, span)
                self._swept = span.place
                await self._wait(self._pause_seconds)
        return removed

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
