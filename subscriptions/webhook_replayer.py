"""The replayer of webhooks in a process: goes on with replays, step by step, for as long as there are any."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from datasources.database.engine import Database
from datasources.database.webhook_replays import running_replays, step

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.25
"""How long it lets others write between two steps, and what is due be posted."""


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
            try:
                if await self._step_each():
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
            except Exception:
                # A step is one transaction, and is made again whole.
                logger.exception("going on with replays of webhooks failed; trying again in %s s", self._poll_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()

    async def _step_each(self) -> bool:
        """One step of each replay for which it is time; returns whether there are any."""
        running = await running_replays(self._database)
        for each in running:
            if await step(self._database, each, self._clock()):
                self._made()
        return bool(running)
