"""A real SMTP server that takes mail and can be told to refuse it, with or without encryption and logins."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.process import free_port

USER, PASSWORD = "gateway", "p@ss:w/rd %"


class Delivered(NamedTuple):
    """A mail as the server took it."""

    message: EmailMessage
    raw: bytes
    sender: str
    receivers: list[str]
    encrypted: bool
    user: str | None


class SmtpServerUnderTest:
    """What the server has taken, and what it is to answer.

    ``answers``: by command (``EHLO``, ``MAIL``, ``RCPT``, ``DATA``) what it says instead, once each, in order.
    ``silent_for``: how many mails get no answer after they were received; those whose senders left are in ``left``.
    """

    def __init__(self) -> None:
        self.url = ""
        self.delivered: list[Delivered] = []
        self.received: list[str] = []
        self.left: list[str] = []
        self.answers: dict[str, list[str]] = {}
        self.silent_for = 0

    def _told(self, command: str) -> str | None:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._told("MAIL") or "250 2.1.0 OK"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:  # noqa: N802
        told = self._told("RCPT")
        if told is None:
            envelope.rcpt_tos.append(address)
        return told or "250 2.1.5 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.original_content or b""
        message = message_from_bytes(raw, _class=EmailMessage, policy=default)
        self.received.append(str(message["Message-ID"]))
        if self.silent_for:
            self.silent_for -= 1
            try:
                await asyncio.Event().wait()
            finally:
                self.left.append(self.received[-1])
        told = self._told("DATA")
        if told is None:
            user: Any = session.auth_data  # what _login gives it
            sender, encrypted = envelope.mail_from or "", session.ssl is not None
            self.delivered.append(Delivered(message, raw, sender, envelope.rcpt_tos, encrypted, user and user.decode()))
        return told or "250 2.0.0 queued"


def _login(_: SMTP, __: Session, ___: Envelope, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    if known and mechanism in ("PLAIN", "LOGIN"):
        return AuthResult(success=True, auth_data=USER.encode())
    return AuthResult(success=False, handled=False)


@contextmanager
def smtp_server(
    scheme: str = "smtp", *, login: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[SmtpServerUnderTest]:
    """Serves on a free port; ``scheme`` as in SMTP_URL, ``tls`` what it shows itself with."""
    handler, port = SmtpServerUnderTest(), free_port()
    handler.url = f"{scheme}://localhost:{port}"
    starttls = scheme == "smtp+starttls"
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        ssl_context=tls if scheme == "smtps" else None,
        tls_context=tls if starttls else None,
        require_starttls=starttls,
        auth_required=login,
        auth_require_tls=starttls,
        authenticator=_login if login else None,
    )
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()


class Certificate(NamedTuple):
    """A certificate for localhost that speaks for itself: one context shows it, the other believes it."""

    shown: ssl.SSLContext
    believed: ssl.SSLContext


def certificate(folder: Path) -> Certificate:
    """Makes a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(path)
    return Certificate(shown, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode()))
