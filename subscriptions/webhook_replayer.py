"""The replayer of webhooks in a process: goes on with replays, step by step, for as long as there are any."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from datasources.database.engine import Database
from datasources.database.webhook_replays import RunningReplay, running_replays, step

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.25
"""How long it lets others write between two steps, and what is due be posted."""
RESTING_SECONDS = 1.0
"""How long it waits while receivers have enough to do as it is: that can be for days."""


class WebhookReplayer:
    """Goes on with the replays of all organizations, each by a step in turn; ``made`` is called after each step.

    All processes do so: the steps of one replay are kept apart by the database. ``poll_seconds``: how long a replay
    that was asked for elsewhere can go unnoticed.
    """

    def __init__(
        self, database: Database, made: Callable[[], None], *, clock: Callable[[], datetime], poll_seconds: float
    ) -> None:
        self._database = database
        self._made = made
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Has it look for replays now."""
        self._wake.set()

    async def run(self) -> None:
        """Goes on with what there is until it is cancelled."""
        while True:
            self._wake.clear()
            pause = self._poll_seconds
            try:
                if running := await running_replays(self._database):
                    made = [await self._step(each) for each in running]
                    pause = PAUSE_SECONDS if any(made) else min(RESTING_SECONDS, pause)
            except Exception:
                logger.exception("looking for replays of webhooks failed; trying again in %s s", pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _step(self, running: RunningReplay) -> bool:
        """One step of a replay, if it is time for one; says whether it was made."""
        try:
            made = await step(self._database, running, self._clock())
        except Exception:
            # A step is one transaction, and is made again whole. That of one organization holds up no other's.
            logger.exception("a step of the replay of %s failed; it is tried again", running.endpoint_id)
            return False
        if made:
            self._made()
        return made
