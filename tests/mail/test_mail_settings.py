"""How mail is sent, by the settings; and a gateway of these settings that sends it."""

from pathlib import Path

import pytest

from datasources.database.engine import Database
from datasources.keyring import Keyring
from datasources.mail.folder import MailFolder
from datasources.mail.sendgrid import SendGridSender
from datasources.mail.smtp import SmtpSender
from gateway.mail import mail_from, mail_sender, outbox
from gateway.settings import Settings, SettingsError, load
from tests.mail.post import notice, post, rows, until_settled
from tests.mail.sendgrid import API_KEY, send_grid
from tests.mail.smtp_server import smtp_server

SECRET = "hunter2"
FROM = "Lakeside <no-reply@lakeside.example>"
SMTP = f"smtp+starttls://user:{SECRET}@mail.example:587"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to start in, and none of our variables in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def loaded(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load()


@pytest.mark.parametrize(
    ("values", "way"),
    [
        ({}, type(None)),
        ({"DEMO": "true"}, MailFolder),
        ({"MAIL_TRANSPORT": "folder"}, MailFolder),
        ({"MAIL_TRANSPORT": "none", "DEMO": "true"}, type(None)),
        ({"SMTP_URL": SMTP, "MAIL_FROM": FROM}, SmtpSender),
        ({"SMTP_URL": SMTP, "DEMO": "true"}, MailFolder),
        ({"SENDGRID_API_KEY": SECRET, "MAIL_FROM": FROM}, SendGridSender),
        ({"SENDGRID_API_KEY": SECRET, "SMTP_URL": SMTP, "MAIL_FROM": FROM, "MAIL_TRANSPORT": "smtp"}, SmtpSender),
    ],
)
def test_the_way_mail_is_sent(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], way: type) -> None:
    settings = loaded(monkeypatch, values)
    assert type(mail_sender(settings)) is way
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"MAIL_TRANSPORT": "pigeon"}, "MAIL_TRANSPORT"),
        ({"MAIL_TRANSPORT": "smtp", "MAIL_FROM": FROM}, "needs SMTP_URL and MAIL_FROM"),
        ({"MAIL_TRANSPORT": "sendgrid", "MAIL_FROM": FROM}, "needs SENDGRID_API_KEY and MAIL_FROM"),
        ({"SMTP_URL": SMTP}, "needs SMTP_URL and MAIL_FROM"),
        ({"SMTP_URL": SMTP, "SENDGRID_API_KEY": SECRET, "MAIL_FROM": FROM}, "say MAIL_TRANSPORT=smtp or"),
        ({"SMTP_URL": f"smtp://user:{SECRET}@mail.example"}, "SMTP_URL: must not send a password unencrypted"),
        ({"SMTP_URL": SECRET}, "SMTP_URL: must be like"),
        ({"MAIL_FROM": SECRET}, "MAIL_FROM: must be an address"),
        ({"SENDGRID_API_KEY": f"{SECRET} x"}, "SENDGRID_API_KEY: must be a key"),
        ({"SENDGRID_URL": f"http://{SECRET}.example"}, "SENDGRID_URL: must be like https://"),
        ({"SENDGRID_URL": f"https://[{SECRET}"}, "SENDGRID_URL: must be like https://"),
    ],
)
def test_a_mistake_is_told_at_the_start_without_a_value(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, values)
    assert told in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({}, "Tributary <no-reply@localhost>"),
        ({"PUBLIC_URL": "https://api.example.com:8443/x"}, "Tributary <no-reply@api.example.com>"),
        ({"PUBLIC_URL": "http://[::1]:8000"}, "Tributary <no-reply@localhost>"),
        ({"MAIL_FROM": FROM}, FROM),
    ],
)
def test_the_address_that_mail_comes_from(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], address: str
) -> None:
    assert str(mail_from(loaded(monkeypatch, values))) == address


@pytest.mark.anyio
async def test_mail_goes_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAIL_FROM", FROM)
    with smtp_server() as server, send_grid() as sendgrid:
        monkeypatch.setenv("SMTP_URL", server.url)
        monkeypatch.setenv("SENDGRID_API_KEY", API_KEY)
        monkeypatch.setenv("SENDGRID_URL", sendgrid.url)
        monkeypatch.setenv("DATA_DIR", str(tmp_path))
        for way in ("smtp", "sendgrid", "folder"):
            async with outbox(load(mail_transport=way), database, keyring) as posting:
                await post(posting, database, notice())
                await until_settled(database)
        found = await rows(database)
        (delivered,), (accepted,) = server.delivered, sendgrid.accepted
    (filed,) = await MailFolder(tmp_path / "mail").newest(5)
    subjects = {str(delivered.message["Subject"]), accepted["subject"], filed.subject}
    assert subjects == {"Choose a new password for Lakeside"}
    message_ids = [str(delivered.message["Message-ID"]), accepted["headers"]["Message-ID"]]
    assert {*message_ids, f"<{filed.id}@lakeside.example>"} == {each["message_id"] for each in found.values()}
    assert {each["attempts"] for each in found.values()} == {1}
