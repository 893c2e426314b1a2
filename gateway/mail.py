"""The gateway's mail, as its settings say."""

from email.headerregistry import Address
from urllib.parse import urlsplit

from datasources.database.engine import Database
from datasources.keyring import Keyring
from datasources.mail.addresses import NotAnAddress, mailbox, sender_mailbox
from datasources.mail.folder import MailFolder
from datasources.mail.outbox import Outbox
from datasources.mail.sendgrid import SendGridSender
from datasources.mail.sending import MailSender
from datasources.mail.smtp import SmtpSender, SmtpServer
from gateway.settings import Settings

NAME = "Tributary"


def mail_sender(settings: Settings) -> MailSender | None:
    """The way that mail is sent; ``None`` when there is none."""
    if settings.mail_way == "smtp" and settings.smtp_url is not None:
        return SmtpSender(SmtpServer.parse(settings.smtp_url.get_secret_value()))
    if settings.mail_way == "sendgrid" and settings.sendgrid_api_key is not None:
        return SendGridSender(settings.sendgrid_api_key.get_secret_value(), url=settings.sendgrid_url)
    if settings.mail_way == "folder":
        return MailFolder(settings.mail_directory)
    return None


def mail_from(settings: Settings) -> Address:
    """The address that mail comes from; by default one at the host of the gateway, good where no mail is sent."""
    if settings.mail_from is not None:
        return sender_mailbox(settings.mail_from)
    try:
        return mailbox(f"no-reply@{urlsplit(settings.base_url).hostname}", NAME)
    except NotAnAddress:
        return mailbox("no-reply@localhost", NAME)


def outbox(settings: Settings, database: Database, keyring: Keyring) -> Outbox:
    """Where mail is posted, and sent from once it is entered."""
    sender = mail_sender(settings)
    return Outbox(database, keyring, sender, mail_from=mail_from(settings), url=settings.base_url)
