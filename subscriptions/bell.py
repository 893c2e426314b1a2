"""The bell between processes: who has written events rings, and the others look into the log at once.

It carries nothing. The log is what tells of events, and its look every second finds what no bell was heard for.
"""

from collections.abc import Sequence
from typing import Self

from datasources.database.audit import HEAD_MOVED
from datasources.database.engine import Announced, Database
from datasources.redis import Channel
from subscriptions.log import EventLog


class Bell:
    """Rings after commits of this process, and wakes its log when another has rung.

    Enter it before all that writes events, so that it is left after them and the last ones are told too. ``name``: of
    the channel, the same for all processes of an installation and for no others.
    """

    def __init__(self, url: str, name: str, database: Database, log: EventLog) -> None:
        self.channel = Channel(url, f"tributary:events:{name}", log.wake)
        self._database = database

    async def __aenter__(self) -> Self:
        """Begins; does not wait for Redis."""
        self._database.after_commit.append(self._committed)
        await self.channel.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Sends the last message, and stops."""
        self._database.after_commit.remove(self._committed)
        await self.channel.__aexit__()

    def _committed(self, announced: Sequence[Announced]) -> None:
        if any(each.type != HEAD_MOVED for each in announced):
            self.channel.ring()
