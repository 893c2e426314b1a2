"""What a way to send mail is, what it may answer, and how a letter becomes a message."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Protocol

from datasources.mail.addresses import mailbox
from datasources.mail.template import Letter


class TryAgain(Exception):
    """The mail could not be sent now, and may be later.

    ``retry_after``: seconds, where the other side says it or it is known that less makes no sense. ``all_mail``: it
    has nothing to do with this mail; others would not get through either. The message is kept and shown to operators:
    it has no secrets and no addresses.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, all_mail: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.all_mail = all_mail


class Misconfigured(TryAgain):
    """The other side refuses us, not the mail: an operator has to see to it. The mail waits."""

    RETRY_AFTER_SECONDS = 900.0

    def __init__(self, reason: str, *, all_mail: bool = True) -> None:
        super().__init__(reason, retry_after=self.RETRY_AFTER_SECONDS, all_mail=all_mail)


class Undeliverable(Exception):
    """The mail will never be sent; the message is as that of ``TryAgain``."""


class MailSender(Protocol):
    """A way to send mail."""

    async def send(self, message: EmailMessage) -> None:
        """Hands ``message``, which has one receiver, to who delivers it.

        Raises ``TryAgain``, ``Misconfigured`` or ``Undeliverable``. Ends within ``datasources.mail.outbox.LEASE``.
        """


def email_message(letter: Letter, *, sender: Address, message_id: str, written_at: datetime) -> EmailMessage:
    """The message of a letter (RFC 5322), the same at every try; raises ``NotAnAddress`` for one that goes nowhere."""
    receiver = mailbox(letter.to)
    # What is before the @ has no form in ASCII: such an address makes it a mail for servers that know RFC 6531.
    message = EmailMessage(policy=SMTP if receiver.username.isascii() and sender.username.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = receiver
    message["Subject"] = letter.subject
    message["Date"] = written_at
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered to it
    # Quoted-printable passes every server, also those that take seven bits only and lines of 998 characters.
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    # The characters "=_" never stand in quoted-printable text (RFC 2045, 6.7), so that nobody can write the boundary.
    message.set_boundary(f"=_{message_id.strip('<>').partition('@')[0]}")
    return message
