"""Mail over SMTP (RFC 5321), with the standard library's client on a thread."""

import asyncio
import re
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from datasources.mail.sending import Misconfigured, TryAgain, Undeliverable

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 60.0
ACCEPT_SECONDS = 240.0
"""How long the server may think about a whole message. Who stops waiting sends it twice, so this is long."""
WHOLE_SECONDS = 420.0

_PLAIN, _STARTTLS, _TLS = "smtp", "smtp+starttls", "smtps"
_PORTS = {_PLAIN: 25, _STARTTLS: 587, _TLS: 465}
_HERE = ("localhost", "127.0.0.1", "::1")
# Who we are was refused, or is not said yet: RFC 4954, section 6.
_CREDENTIALS = frozenset({530, 534, 535, 538})
_TOO_LARGE = 552
_CLOSING = 421
_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in; ``security`` is ``smtp`` (none), ``smtp+starttls`` or ``smtps``."""

    host: str
    port: int
    security: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """From ``smtp+starttls://user:password@host:587``; user and password percent-encoded, the port optional.

        Raises ``ValueError`` with words that repeat nothing of it.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("must be like smtp+starttls://user:password@host:587") from None
        if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(
                "must be like smtp+starttls://user:password@host:587, or begin with smtps: or smtp:; "
                "special characters in user and password percent-encoded"
            )
        if (parts.username is None) != (parts.password is None):
            raise ValueError("needs both a user and a password, or neither")
        if parts.scheme == _PLAIN and parts.password is not None and host not in _HERE:
            raise ValueError("must not send a password unencrypted: begin it with smtp+starttls: or smtps:")
        return cls(
            host,
            port or _PORTS[parts.scheme],
            parts.scheme,
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
        )


class _Client(smtplib.SMTP):
    """Waits longer for the answer to a message than for others; encrypted from the start where there is ``tls``."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(timeout=CONNECT_SECONDS)
        self._host = host  # what certificates are checked against; to name it above would be to connect
        self._tls = tls

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname=host)

    def wait_at_most(self, seconds: float) -> None:
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.wait_at_most(ACCEPT_SECONDS)
        return super().data(msg)


class SmtpSender:
    """Hands each mail to one server, on a connection of its own.

    Encryption is never negotiated away: with ``smtp+starttls`` a server that does not offer it gets nothing. ``tls``
    is for servers whose certificates the machine does not know.
    """

    def __init__(self, server: SmtpServer, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls or ssl.create_default_context()

    async def send(self, message: EmailMessage) -> None:
        """As ``MailSender.send`` says."""
        attempt = _Attempt(self._server, self._tls)
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                await asyncio.to_thread(attempt.run, message)
        except TimeoutError:
            raise TryAgain("the mail server took too long") from None
        finally:
            attempt.abandon()


class _Attempt:
    """One conversation with the server."""

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        self._client: _Client | None = None
        self._abandoned = False

    def abandon(self) -> None:
        """Ends a conversation that still goes on, so that its thread does: whoever waited for it is gone."""
        self._abandoned = True
        connection = None if self._client is None else self._client.sock
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                connection.close()

    def run(self, message: EmailMessage) -> None:
        try:
            client = self._introduced()
            if self._abandoned:
                return
            try:
                client.send_message(message)
            except smtplib.SMTPException as error:
                _judge(error)
            except OSError as error:
                raise TryAgain(f"the connection to the mail server broke ({type(error).__name__})") from None
        finally:
            self._leave()

    def _introduced(self) -> smtplib.SMTP:
        """A client that is connected, encrypted as it should be and signed in."""
        server = self._server
        try:
            client = self._client = _Client(server.host, self._tls if server.security == _TLS else None)
            code, _ = client.connect(server.host, server.port)
            if code != 220:  # noqa: PLR2004
                _refused_at_the_door(code)
            client.wait_at_most(ANSWER_SECONDS)
            if server.security == _STARTTLS:
                client.ehlo_or_helo_if_needed()
                client.starttls(context=self._tls)
            if server.user is not None and server.password is not None:
                client.login(server.user, server.password)
        except smtplib.SMTPNotSupportedError:
            raise Misconfigured(
                "the mail server does not offer what SMTP_URL asks for (STARTTLS, or a login)"
            ) from None
        except smtplib.SMTPResponseException as error:
            _refused_at_the_door(error.smtp_code)
        except ssl.SSLError as error:
            raise Misconfigured(f"no encryption with the mail server ({error.reason or 'TLS'})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise TryAgain(f"the mail server cannot be reached ({type(error).__name__})", all_mail=True) from None
        return client

    def _leave(self) -> None:
        if self._client is None or self._client.sock is None:
            return
        try:
            # The mail is handed over, or refused, by now: what becomes of the goodbye changes nothing.
            self._client.wait_at_most(1)
            self._client.quit()
        except (smtplib.SMTPException, OSError):
            pass
        finally:
            self._client.close()


def _refused_at_the_door(code: int) -> NoReturn:
    if 400 <= code < 500:  # noqa: PLR2004
        raise TryAgain(f"the mail server is not ready ({code})", all_mail=True) from None
    if not _is_final(code):
        raise Misconfigured("what SMTP_URL leads to does not speak SMTP") from None
    what = "the user or password of SMTP_URL" if code in _CREDENTIALS else "us"
    raise Misconfigured(f"the mail server refuses {what} ({code})") from None


def _judge(error: smtplib.SMTPException) -> NoReturn:
    """What the answer to a mail means for it. Its words are not kept: servers repeat addresses in them."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise Undeliverable("the mail server takes no addresses outside ASCII") from None
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        ((code, words),) = error.recipients.values()
        _judge_receiver(code, words)
    if isinstance(error, smtplib.SMTPResponseException):
        words = error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
        said = _said(error.smtp_code, words)
        if error.smtp_code in _CREDENTIALS:
            raise Misconfigured(f"the mail server wants a login ({said})") from None
        if not _is_final(error.smtp_code):
            raise TryAgain(f"the mail server wants it later ({said})") from None
        if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != _TOO_LARGE:
            raise Misconfigured(f"the mail server refuses the sender in MAIL_FROM ({said})") from None
        raise Undeliverable(f"the mail server refuses the mail ({said})") from None
    raise TryAgain(f"the mail server broke off ({type(error).__name__})") from None


def _judge_receiver(code: int, words: bytes) -> NoReturn:
    said = _said(code, words)
    enhanced = _ENHANCED.search(words)
    if code in _CREDENTIALS:
        raise Misconfigured(f"the mail server wants a login ({said})") from None
    # RFC 5321, 4.5.3.1.10: a receiver whose mailbox is full was once answered so, and may have room tomorrow.
    if not _is_final(code) or code == _TOO_LARGE:
        raise TryAgain(f"the mail server takes nothing for the receiver now ({said})") from None
    # 5.7.x is a matter of policy (RFC 3463): mostly, that it relays nothing for us.
    if enhanced is not None and enhanced[0].startswith(b"5.7."):
        raise Misconfigured(f"the mail server may not send to the receiver ({said})", all_mail=False) from None
    raise Undeliverable(f"the mail server refuses the receiver ({said})") from None


def _is_final(code: int) -> bool:
    return 500 <= code < 600  # noqa: PLR2004


def _said(code: int, words: bytes) -> str:
    enhanced = _ENHANCED.search(words)
    return str(code) if enhanced is None else f"{code} {enhanced[0].decode()}"
