"""Keeps the heads of the audit trail's chains where who changes the database does not reach: in a file, and in the log.

The file is for ``tributary audit verify --heads``; it is worth something once copies of it leave the machine, as by a
log shipper or a store that takes objects for good. The log is the second way out, for who ships logs already: the same
lines, from the logger ``tributary.audit`` at INFO. They have no personal data and no secret.

The file grows by about 250 bytes for each chain that moved within five seconds. To rotate it, rename it: the next batch
makes a new one. Keep what was renamed for as long as entries should be provable: ``audit verify`` takes several.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Self

from datasources.audit_heads import HeadsFile
from datasources.database.audit import HEAD_MOVED
from datasources.database.audit_reading import ChainHead, all_heads, heads_of
from datasources.database.engine import Announced, Database

logger = logging.getLogger(__name__)
ways_out = logging.getLogger("tributary.audit")

EVERY_SECONDS = 5.0
ROUNDS_BETWEEN_LOOKS = 60
"""Every so many rounds all chains are looked at, for the heads of a process that was killed before it kept them."""


class AuditHeads:
    """The worker of one process. Enter it to start, leave it to keep the last heads and stop.

    Each process keeps the heads that it moved itself, and at its start those that nobody has kept.
    """

    def __init__(self, database: Database, file: HeadsFile, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._database = database
        self._file = file
        self._every_seconds = every_seconds
        self._moved: set[str] = set()
        self._rounds = 0
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._database.after_commit.append(self._committed)
        self._task = asyncio.create_task(self._run(), name="audit-heads")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Keeps what has moved since the last round, and stops."""
        self._database.after_commit.remove(self._committed)
        self._stopping.set()
        if self._task is not None:
            await self._task
        await self._round()

    def _committed(self, announced: Sequence[Announced]) -> None:
        self._moved.update(each.subject_id for each in announced if each.type == HEAD_MOVED)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_seconds):
                    await self._stopping.wait()

    async def _round(self) -> None:
        moved, self._moved = self._moved, set()
        try:
            if self._rounds % ROUNDS_BETWEEN_LOOKS == 0:
                await self._keep(await self._unkept())
            elif moved:
                await self._keep(await heads_of(self._database, sorted(moved)))
            self._rounds += 1
        except Exception:
            # The next round tries again; until then the chains themselves hold.
            self._moved |= moved
            logger.exception("the heads of the audit trail could not be kept in %s", self._file.path)

    async def _unkept(self) -> list[ChainHead]:
        kept = await asyncio.to_thread(self._file.newest)
        heads = {head.organization_id: head for head in await all_heads(self._database)}
        shorter = [name for name, number in kept.items() if name not in heads or heads[name].sequence < number]
        if shorter:
            told = (
                "%d chains of the audit trail end before heads that were kept; run: tributary audit verify --heads %s"
            )
            logger.warning(told, len(shorter), self._file.path)
        return [head for name, head in heads.items() if head.sequence > kept.get(name, 0)]

    async def _keep(self, heads: Sequence[ChainHead]) -> None:
        if heads:
            for line in await asyncio.to_thread(self._file.append, heads):
                ways_out.info("%s", line)
