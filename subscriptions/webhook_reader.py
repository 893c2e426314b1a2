"""The reader of webhooks in a process: makes the deliveries of what happens, as the log tells of it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from datasources.database.engine import Announced, Database
from datasources.database.events import EventRow
from datasources.database.webhook_reader import BATCH, organizations_with_endpoints, read_on
from datasources.database.webhooks import ENDPOINTS_CHANGED

logger = logging.getLogger(__name__)


class WebhookReader:
    """Reads the log for webhooks, whenever no other process does; ``made`` is called when it has read something.

    An event of an organization without an endpoint wakes nobody. ``poll_seconds``: how long an endpoint that another
    process has made can go unnoticed.
    """

    def __init__(
        self, database: Database, made: Callable[[], None], *, clock: Callable[[], datetime], poll_seconds: float
    ) -> None:
        self._database = database
        self._made = made
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._organizations: frozenset[str] = frozenset()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Has it read now."""
        self._wake.set()

    def observe(self, event: EventRow) -> None:
        """Is told of every event, in order (see ``EventLog.observers``)."""
        if event.organization_id in self._organizations:
            self._wake.set()

    def committed(self, announced: Sequence[Announced]) -> None:
        """Is told of what a transaction of this process has written (see ``Database.after_commit``)."""
        if any(each.type == ENDPOINTS_CHANGED for each in announced):
            self._wake.set()

    async def run(self) -> None:
        """Reads until it is cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._read()
            except Exception:
                # The place has not moved past what has no deliveries, so nothing is lost by waiting.
                logger.exception("reading the log for webhooks failed; trying again in %s s", self._poll_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()

    async def _read(self) -> None:
        self._organizations = await organizations_with_endpoints(self._database)
        count = BATCH if self._organizations else 0
        while count == BATCH:
            count = await read_on(self._database, self._clock())
            if count:
                self._made()
