"""A process that sends mail, to be killed: ``python -m tests.mail.program <database> <keys> <SMTP URL>``."""

import asyncio
import sys
from pathlib import Path

from datasources.database.engine import Database
from datasources.keyring import Keyring
from datasources.mail.smtp import SmtpSender, SmtpServer
from tests.mail.post import an_outbox


async def main(database_url: str, keys: str, smtp_url: str) -> None:
    """Sends what is due until it is killed."""
    sender = SmtpSender(SmtpServer.parse(smtp_url))
    async with an_outbox(Database(database_url), Keyring(Path(keys)), sender, poll_seconds=0.05):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
