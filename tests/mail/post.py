"""What the tests of mail share: an outbox, mail to post, and a look at what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from sqlalchemy import select, update

from datasources.database.engine import Database
from datasources.database.tables.access import outgoing_mails
from datasources.keyring import Keyring
from datasources.mail.addresses import mailbox
from datasources.mail.notices import Notice, in_words
from datasources.mail.outbox import Outbox
from datasources.mail.sending import MailSender, email_message
from datasources.mail.template import Letter, template

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should come at once; no test measures time."""
SECRET = "Zn3kY7secret"
LINK = f"https://api.example.com/reset?token={SECRET}"
SENDER = mailbox("no-reply@gateway.example.com", "Gateway")
COLUMNS = tuple(outgoing_mails.columns.keys())


class Recorder:
    """A way to send that keeps what it is given.

    ``answers`` are raised for a receiver, one at each try; mail to those in ``slow`` takes until ``released``.
    """

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.tried: list[EmailMessage] = []
        self.answers: dict[str, list[Exception]] = {}
        self.slow: set[str] = set()
        self.released = asyncio.Event()

    async def send(self, message: EmailMessage) -> None:
        """Keeps it, after the answers for its receiver have been used up."""
        self.tried.append(message)
        if str(message["To"]) in self.slow:
            await self.released.wait()
        answers = self.answers.get(str(message["To"]))
        if answers:
            raise answers.pop(0)
        self.sent.append(message)

    @property
    def receivers(self) -> list[str]:
        """Who has got mail, in order."""
        return [str(message["To"]) for message in self.sent]


def an_outbox(database: Database, keyring: Keyring, sender: MailSender | None, **options: Any) -> Outbox:
    """An outbox that finds mail of other processes only when it is told to."""
    options = {"poll_seconds": 3600.0, **options}
    return Outbox(database, keyring, sender, mail_from=SENDER, url="https://api.example.com", **options)


def notice(to: str = "ada@example.com", *, user_id: str = "usr_ada", name: str = "Ada") -> Notice:
    """A mail with a link that opens an account."""
    values = {"name": name, "link": LINK, "lifetime": in_words(timedelta(hours=1))}
    return Notice(template("reset_password"), to, values, user_id)


async def post(outbox: Outbox, database: Database, *notices: Notice) -> list[str]:
    """Posts mails in a transaction of their own; returns their ids."""
    async with database.unscoped("tests post mail").transaction() as transaction:
        return [await outbox.post(transaction, each) for each in notices]


async def rows(database: Database) -> dict[str, dict[str, Any]]:
    """The outbox as it is stored, by the ids of the mails."""
    async with database.unscoped("tests look at the outbox").transaction() as transaction:
        found = await transaction.fetch(
            select(*outgoing_mails.c), lambda *cells: dict(zip(COLUMNS, cells, strict=True))
        )
    return {row["id"]: row for row in found}


async def row(database: Database, mail_id: str) -> dict[str, Any]:
    """A mail as it is stored."""
    return (await rows(database))[mail_id]


async def change(database: Database, **values: Any) -> None:
    """Changes all rows, where tests would have to wait for days."""
    async with database.unscoped("tests let time pass").transaction() as transaction:
        await transaction.execute(update(outgoing_mails).values(**values))


async def make_due(database: Database, outbox: Outbox) -> None:
    """Lets the time pass until what waits is due."""
    async with database.unscoped("tests let time pass").transaction() as transaction:
        waiting = outgoing_mails.c.next_attempt_at.is_not(None)
        soon = datetime.now(UTC) - timedelta(seconds=1)
        await transaction.execute(update(outgoing_mails).where(waiting).values(next_attempt_at=soon))
    outbox.wake()


async def until(holds: Callable[[], bool], *, within: float = PATIENCE_SECONDS) -> None:
    """Waits until it does."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "what should come at once did not come"
        await asyncio.sleep(0.005)


async def until_settled(database: Database, *, waiting: int = 0) -> dict[str, dict[str, Any]]:
    """Waits until no mail but ``waiting`` is untried; returns the rows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = await rows(database)
        open_ = [each for each in found.values() if each["next_attempt_at"] is not None and each["error"] is None]
        if len(open_) == waiting:
            return found
        assert time.monotonic() < deadline, f"{len(open_)} mails are still open"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def posted_and_sent(
    database: Database, keyring: Keyring, sender: MailSender, *notices: Notice
) -> AsyncIterator[dict[str, dict[str, Any]]]:
    """Posts mail, and gives what became of each after a try."""
    async with an_outbox(database, keyring, sender) as outbox:
        ids = await post(outbox, database, *notices)
        found = await until_settled(database)
        yield {mail_id: found[mail_id] for mail_id in ids}


def a_message(
    *, to: str = "ada@example.com", subject: str = "Grüße", name: str = "mai_1", text: str = ".\nJörg & <b>"
) -> EmailMessage:
    """A mail as it is handed to a way to send, with what servers get wrong: lone dots and letters beyond ASCII."""
    letter = Letter(to, subject, f"{text}\n", "<!doctype html>\n<p>Jörg &amp; &lt;b&gt;</p>\n")
    message_id = f"<{name}@gateway.example.com>"
    return email_message(letter, sender=SENDER, message_id=message_id, written_at=datetime(2026, 11, 21, 9, tzinfo=UTC))
