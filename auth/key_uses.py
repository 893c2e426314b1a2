"""When API keys were last used, written down now and then rather than with each request."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Self

from datasources.database.api_keys import note_uses
from datasources.database.engine import Database

logger = logging.getLogger(__name__)

PAUSE = timedelta(minutes=1)
"""How often the last use of a key is written at the most; it is known that exactly."""
GATHER_SECONDS = 1.0
"""How long uses are gathered, so that those of many keys are one statement."""
REMEMBERED = 20_000


class KeyUses:
    """Hears of each use of a key. Enter it to start writing; leave it to write what is left, and stop.

    To note a use takes no time and cannot fail.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._database = database
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._waiting: set[str] = set()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._task = asyncio.create_task(self._run(), name="uses of keys")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Writes what has been noted, and stops."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._write()

    def used(self, key_id: str) -> None:
        """Notes that a key is used now."""
        now = self._clock()
        noted = self._noted.get(key_id)
        if noted is not None and now - noted < PAUSE.total_seconds():
            return
        self._noted[key_id] = now
        self._noted.move_to_end(key_id)
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)
        self._waiting.add(key_id)
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._stopping.wait()
            self._wake.clear()
            await self._write()

    async def _write(self) -> None:
        ids, self._waiting = sorted(self._waiting), set()
        if not ids:
            return
        try:
            await note_uses(self._database, ids, datetime.now(UTC), pause=PAUSE)
        except Exception:
            # Nobody's request fails for it, and the next use of the key brings it up again.
            logger.exception("the last use of %d API keys could not be written", len(ids))
