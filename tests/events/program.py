"""A process that removes all but the newest event of each organization, in small steps, until it is killed."""

import asyncio
import sys
from datetime import timedelta

from datasources.database import event_retention
from datasources.database.engine import Database
from datasources.database.event_retention import Limits
from subscriptions.retention import Retention

STEP = 20


async def _run(url: str) -> None:
    database = Database(url)
    await Retention(database, Limits(timedelta(days=3_000), 1), pause_seconds=0).round()
    await database.close()


if __name__ == "__main__":
    event_retention.BATCH = STEP
    asyncio.run(_run(sys.argv[1]))
