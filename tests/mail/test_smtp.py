"""Mail over SMTP, to a real server: what arrives, what is encrypted, and what each refusal means."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from datasources.mail import smtp
from datasources.mail.sending import Misconfigured, TryAgain, Undeliverable
from datasources.mail.smtp import SmtpSender, SmtpServer
from tests.mail.post import a_message, until
from tests.mail.smtp_server import PASSWORD, USER, Certificate, SmtpServerUnderTest, certificate, smtp_server

pytestmark = pytest.mark.anyio
SECRET = "hunter2"


@pytest.fixture(scope="module")
def shared_server() -> Iterator[SmtpServerUnderTest]:
    """A server without encryption."""
    with smtp_server() as found:
        yield found


@pytest.fixture
def server(shared_server: SmtpServerUnderTest) -> SmtpServerUnderTest:
    """As it was at the beginning."""
    shared_server.delivered.clear()
    shared_server.received.clear()
    shared_server.answers.clear()
    shared_server.left.clear()
    shared_server.silent_for = 0
    return shared_server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What servers on this machine show themselves with."""
    return certificate(tmp_path_factory.mktemp("tls"))


def sender(url: str, trusted: Certificate | None = None) -> SmtpSender:
    """The way to send to a server, which may want us to know its certificate."""
    return SmtpSender(SmtpServer.parse(url), tls=None if trusted is None else trusted.believed)


def with_login(url: str, user: str = USER, password: str = PASSWORD) -> str:
    """The address of a server with a user and a password."""
    scheme, _, place = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{place}"


async def test_a_mail_arrives_as_it_was_written(server: SmtpServerUnderTest) -> None:
    message = a_message()
    await sender(server.url).send(message)
    (delivered,) = server.delivered
    assert (delivered.sender, delivered.receivers) == ("no-reply@gateway.example.com", ["ada@example.com"])
    assert delivered.message["Subject"] == "Grüße"
    assert delivered.message["Message-ID"] == "<mai_1@gateway.example.com>"
    assert delivered.message["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        arrived, written = (each.get_body((kind,)) for each in (delivered.message, message))
        assert arrived is not None
        assert written is not None
        assert arrived.get_content().replace("\r\n", "\n") == written.get_content()
    assert delivered.raw.isascii()
    assert max(len(line) for line in delivered.raw.split(b"\r\n")) <= 78


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_mail_goes_encrypted_with_a_login(tls: Certificate, scheme: str) -> None:
    with smtp_server(scheme, login=scheme != "smtps", tls=tls.shown) as server:
        url = server.url if scheme == "smtps" else with_login(server.url)
        await sender(url, tls).send(a_message())
        (delivered,) = server.delivered
        assert delivered.user == (None if scheme == "smtps" else USER)
        assert delivered.encrypted or scheme == "smtps"
        if scheme == "smtps":
            return
        with pytest.raises(Misconfigured, match=r"user or password of SMTP_URL \(535\)") as refused:
            await sender(with_login(server.url, password=SECRET), tls).send(a_message())
        assert SECRET not in str(refused.value)
        with pytest.raises(Misconfigured, match="wants a login"):
            await sender(server.url, tls).send(a_message())


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_with_a_certificate_of_nobody_gets_nothing(tls: Certificate, scheme: str) -> None:
    with smtp_server(scheme, tls=tls.shown) as server:
        with pytest.raises(Misconfigured, match="CERTIFICATE_VERIFY_FAILED"):
            await sender(server.url).send(a_message())
        assert server.received == []


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_under_another_name_gets_nothing(tls: Certificate, scheme: str) -> None:
    with smtp_server(scheme, tls=tls.shown) as server:
        with pytest.raises(Misconfigured, match="CERTIFICATE_VERIFY_FAILED"):
            await sender(server.url.replace("localhost", "127.0.0.1"), tls).send(a_message())
        assert server.received == []


async def test_encryption_is_never_negotiated_away(server: SmtpServerUnderTest) -> None:
    """As somebody in between would like: the server no longer offers STARTTLS."""
    with pytest.raises(Misconfigured, match="does not offer"):
        await sender(with_login(server.url.replace("smtp:", "smtp+starttls:"))).send(a_message())
    assert server.received == []


@pytest.mark.parametrize(
    ("command", "answer", "meaning"),
    [
        ("RCPT", "550 5.1.1 <ada@example.com> unknown", Undeliverable),
        ("RCPT", "553 what is that", Undeliverable),
        ("RCPT", "450 4.2.0 greylisted", TryAgain),
        ("RCPT", "451 local trouble", TryAgain),
        ("RCPT", "552 5.2.2 the mailbox of ada@example.com is full", TryAgain),
        ("RCPT", "550 5.7.1 relaying denied", Misconfigured),
        ("RCPT", "530 5.7.0 sign in first", Misconfigured),
        ("RCPT", "421 4.3.2 going down", TryAgain),
        ("MAIL", "452 4.3.1 no room", TryAgain),
        ("MAIL", "550 5.7.60 not as no-reply@gateway.example.com", Misconfigured),
        ("MAIL", "552 5.3.4 too large", Undeliverable),
        ("DATA", "554 5.6.0 looks like spam to ada@example.com", Undeliverable),
        ("DATA", "451 4.7.1 later", TryAgain),
        ("DATA", "421 4.3.2 going down", TryAgain),
    ],
)
async def test_what_a_refusal_means(
    server: SmtpServerUnderTest, command: str, answer: str, meaning: type[Exception]
) -> None:
    server.answers[command] = [answer]
    with pytest.raises((TryAgain, Undeliverable)) as refused:
        await sender(server.url).send(a_message())
    assert type(refused.value) is meaning
    assert answer[:3] in str(refused.value)
    assert "example.com" not in str(refused.value)
    assert not isinstance(refused.value, TryAgain) or refused.value.all_mail == (
        meaning is Misconfigured and "relaying" not in answer
    )
    assert server.delivered == []
    await sender(server.url).send(a_message())
    assert len(server.delivered) == 1


async def test_where_nobody_listens_all_mail_waits() -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TryAgain, match="ConnectionRefusedError") as refused:
            await sender(f"smtp://127.0.0.1:{closed.getsockname()[1]}").send(a_message())
    assert refused.value.all_mail


@pytest.mark.parametrize(
    ("greeting", "meaning"),
    [
        (b"554 we know you\r\n", Misconfigured),
        (b"421 too many\r\n", TryAgain),
        (b"", TryAgain),
        (b"hello\r\n", Misconfigured),
    ],
)
async def test_who_is_refused_at_the_door_waits_with_all_mail(greeting: bytes, meaning: type[Exception]) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TryAgain) as refused:
            await sender(f"smtp://127.0.0.1:{port}").send(a_message())
    assert type(refused.value) is meaning
    assert refused.value.all_mail


async def test_a_server_that_never_answers_is_left(
    server: SmtpServerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "ACCEPT_SECONDS", 0.05)
    server.silent_for = 1
    with pytest.raises(TryAgain) as refused:
        await sender(server.url).send(a_message())
    assert not refused.value.all_mail
    monkeypatch.setattr(smtp, "ACCEPT_SECONDS", 20.0)
    monkeypatch.setattr(smtp, "WHOLE_SECONDS", 0.2)
    server.silent_for = 1
    with pytest.raises(TryAgain, match="took too long"):
        await sender(server.url).send(a_message())


async def test_who_stops_waiting_leaves_no_conversation_behind(
    server: SmtpServerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "ACCEPT_SECONDS", 30.0)
    server.silent_for = 1
    sending = asyncio.create_task(sender(server.url).send(a_message()))
    await until(lambda: bool(server.received))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await until(lambda: bool(server.left), within=15)


async def test_an_address_beyond_ascii_is_sent_where_the_server_takes_it(server: SmtpServerUnderTest) -> None:
    await sender(server.url).send(a_message(to="jörg@bücher.example"))
    (delivered,) = server.delivered
    assert delivered.receivers == ["jörg@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://localhost", SmtpServer("localhost", 25, "smtp")),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525, "smtp")),
        ("smtps://m.example", SmtpServer("m.example", 465, "smtps")),
        ("smtp+starttls://a%40b:c%2Fd@m.example/", SmtpServer("m.example", 587, "smtp+starttls", "a@b", "c/d")),
    ],
)
async def test_the_address_of_a_server(url: str, server: SmtpServer) -> None:
    assert SmtpServer.parse(url) == server


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"smtp://user:{SECRET}@m.example",
        f"smtp+starttls://user:{SECRET}@m.example:port",
        f"smtp+starttls://{SECRET}@m.example",
        f"smtp+starttls://user:{SECRET}@",
        f"smtp+starttls://user:{SECRET}/x@m.example",
        f"smtps://m.example/{SECRET}",
        f"http://user:{SECRET}@m.example",
        f"smtps://user:{SECRET}@[m.example",
    ],
)
async def test_what_is_no_address_of_a_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs") as refused:
        SmtpServer.parse(url)
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(SmtpServer("m.example", 25, "smtp", "user", SECRET))
