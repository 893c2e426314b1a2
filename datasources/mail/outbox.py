"""The outbox of a process: posts mail, and sends what is due, its own and what other processes have left."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from random import random
from typing import Self

from datasources.database.engine import Database, Transaction
from datasources.database.outbox import (
    GIVE_UP,
    Claimed,
    Failure,
    Posting,
    claim,
    next_due,
    post,
    read_letter,
    settle,
    tidy,
)
from datasources.keyring import Keyring, Unreadable
from datasources.mail.addresses import NotAnAddress
from datasources.mail.notices import Notice
from datasources.mail.sending import MailSender, Misconfigured, TryAgain, Undeliverable, email_message
from datasources.mail.template import Letterhead

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
"""How long a mail is one process's; longer than any way to send takes."""
AT_ONCE = 4
"""Mails that are sent at the same time, so that a slow one holds up few others."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
GRACE_SECONDS = 2.0
"""How long a process that stops waits for what it is sending; all of it has to stop within ten seconds."""
TIDY_SECONDS = 3_600.0
_FIRST_REST, _LONGEST_REST = 5.0, 300.0
_STUMBLE_SECONDS = 1.0


def pause_after(attempts: int, *, chance: Callable[[], float] = random) -> timedelta:
    """How long to wait after this many attempts: 1, 3, 9 … minutes up to 6 hours, give or take a fifth.

    The chance keeps what failed together from being tried together again.
    """
    steady = min(LONGEST_PAUSE, FIRST_PAUSE * float(3 ** min(attempts - 1, 10)))
    return steady * (0.8 + 0.4 * chance())


class Outbox:
    """Posts mail for this process and, while it is entered, sends what is due; enter it when the gateway starts.

    ``sender``: how; without one mail waits, until it is too old. ``mail_from``: the address that mail comes from, by
    whose name the gateway calls itself in it; ``url``: where the gateway is. ``lease``: how long what another process
    has taken is left alone. ``poll_seconds``: how long mail that another process has posted can wait.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        sender: MailSender | None,
        *,
        mail_from: Address,
        url: str,
        lease: timedelta = LEASE,
        poll_seconds: float = 5.0,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._sender = sender
        self._mail_from = mail_from
        self._letterhead = Letterhead(mail_from.display_name or mail_from.domain, url)
        self._lease = lease
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._rest_until = 0.0
        self._rests = 0

    async def post(self, transaction: Transaction, notice: Notice) -> str:
        """Writes a mail and puts it into the transaction of its cause; it is sent once that has committed.

        Returns the id of the mail. Raises ``ValueError`` where the values are not those that its template wants.
        """
        letter = notice.template.letter(self._letterhead, notice.to, notice.values)
        mail = Posting(letter, notice.template.name, self._mail_from.domain, notice.user_id)
        identity = await post(transaction, self._keyring, mail)
        transaction.after_commit.append(self.wake)
        return identity

    def wake(self) -> None:
        """Has it look for mail now."""
        self._wake.set()

    async def __aenter__(self) -> Self:
        """Begins to send."""
        self._tasks = [asyncio.create_task(self._tidy(), name="outbox-tidy")]
        if self._sender is None:
            logger.warning("no mail is sent: set SMTP_URL or SENDGRID_API_KEY. What is posted waits for 72 hours.")
        else:
            self._tasks.append(asyncio.create_task(self._run(self._sender), name="outbox"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Takes no more mail, and waits for a moment for what is being sent."""
        await _end(self._tasks)
        if self._sending:
            await asyncio.wait(self._sending, timeout=GRACE_SECONDS)
        await _end([*self._sending])

    async def _run(self, sender: MailSender) -> None:
        while True:
            self._wake.clear()
            try:
                pause = await self._send_what_is_due(sender)
            except Exception:
                # The mail stays where it is: what was taken and not sent is due again after its lease.
                logger.exception("looking for mail to send failed; trying again in %s s", self._poll_seconds)
                pause = self._poll_seconds
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _send_what_is_due(self, sender: MailSender) -> float:
        """Takes up what is due as long as there is room; returns after how many seconds to look again."""
        while len(self._sending) < AT_ONCE:
            resting = self._rest_until - asyncio.get_running_loop().time()
            if resting > 0:
                return min(resting, self._poll_seconds)
            due = await next_due(self._database)
            ahead = self._poll_seconds if due is None else (due - datetime.now(UTC)).total_seconds()
            if ahead > 0:
                return min(ahead, self._poll_seconds)
            mail = await claim(self._database, self._lease)
            if mail is None:
                return self._poll_seconds  # another process was quicker
            task = asyncio.create_task(self._send(sender, mail), name=f"send-{mail.id}")
            self._sending.add(task)
            task.add_done_callback(self._done)
        return self._poll_seconds

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wake.set()

    async def _send(self, sender: MailSender, mail: Claimed) -> None:
        failure = await self._tried(sender, mail)
        while True:
            try:
                await settle(self._database, mail, failure)
            except Exception:
                # What is known now must not be lost, or the mail would be sent again.
                logger.exception("noting what became of the mail %s failed; trying again", mail.id)
                await asyncio.sleep(_STUMBLE_SECONDS)
            else:
                return

    async def _tried(self, sender: MailSender, mail: Claimed) -> Failure | None:
        """Sends it; ``None`` when that is done."""
        try:
            letter = read_letter(self._keyring, mail)
            message = email_message(
                letter, sender=self._mail_from, message_id=mail.message_id, written_at=mail.created_at
            )
            await sender.send(message)
        except TryAgain as error:
            return self._later(mail, error)
        except Undeliverable as error:
            return _never(mail, str(error))
        except Unreadable:
            return _never(mail, "the key that it was encrypted under is gone")
        except NotAnAddress:
            return _never(mail, "no mail can be sent to its address")
        except Exception as error:
            logger.exception("sending the mail %s failed", mail.id)
            return self._later(mail, TryAgain(f"a fault of the gateway ({type(error).__name__})"))
        self._rests = 0
        return None

    def _later(self, mail: Claimed, error: TryAgain) -> Failure:
        logger.log(
            logging.ERROR if isinstance(error, Misconfigured) else logging.WARNING,
            "the mail %s (attempt %s) has to wait: %s",
            mail.id,
            mail.attempts,
            error,
        )
        if error.all_mail:
            self._rest(error.retry_after)
        asked = timedelta(seconds=error.retry_after or 0)
        at = datetime.now(UTC) + max(pause_after(mail.attempts), min(asked, LONGEST_PAUSE))
        if at > mail.created_at + GIVE_UP:
            return _never(mail, str(error))
        return Failure(str(error), at)

    def _rest(self, seconds: float | None) -> None:
        """Takes up no mail for a while: others would fare no better, and stay due instead of using up attempts."""
        now = asyncio.get_running_loop().time()
        if now >= self._rest_until:
            rest = seconds or _FIRST_REST * 2 ** min(self._rests, 10)
            self._rest_until = now + min(rest, _LONGEST_REST)
            self._rests += 1

    async def _tidy(self) -> None:
        while True:
            try:
                await tidy(self._database)
            except Exception:
                logger.exception("tidying up old mail failed; trying again in %s s", TIDY_SECONDS)
            await asyncio.sleep(TIDY_SECONDS)


def _never(mail: Claimed, error: str) -> Failure:
    logger.error("the mail %s is given up: %s", mail.id, error)
    return Failure(error, None)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
