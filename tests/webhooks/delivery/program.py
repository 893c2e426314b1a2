"""A process with webhooks, to be killed: ``python -m tests.webhooks.delivery.program <database> <keys>``."""

import asyncio
import sys
from pathlib import Path

from datasources.database import webhook_replays
from datasources.keyring import Keyring
from subscriptions import webhook_replayer
from tests.webhooks.delivery.receiver import Receiver
from tests.webhooks.delivery.world import Clock, World, opened


async def main(database_url: str, keys: str) -> None:
    """Makes deliveries and posts them until it is killed; replays in small steps."""
    webhook_replays.STEP, webhook_replayer.PAUSE_SECONDS = 8, 0.01
    world = World(opened(database_url), Keyring(Path(keys)), Receiver(), Clock())
    async with world.running(poll_seconds=0.02):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
