"""A developer's mail: written to a folder whole or not at all, and read on a page that nobody else can open."""

import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from datasources.mail.folder import MailFolder
from datasources.mail.sending import TryAgain, Undeliverable
from gateway.mail_page import mail_routes
from gateway.settings import Settings
from tests.mail.post import a_message

pytestmark = pytest.mark.anyio

LINK = "https://api.example.com/reset?token=a_b-c&x=1"


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, **({"mail_transport": "folder"} | given))  # type: ignore[arg-type]


def browser(chosen: Settings, host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    """A browser at a gateway that has this page alone."""
    transport = httpx.ASGITransport(Starlette(routes=list(mail_routes(chosen))))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


async def test_mail_is_listed_the_newest_first_and_read_in_both_forms(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    files = MailFolder(chosen.mail_directory)
    for number in range(3):
        await files.send(a_message(to="jörg@bücher.example", name=f"mai_{number}", subject=f"Mail {number} für dich"))
    await files.send(a_message(name="mai_3", text=f"Go here:\n{LINK}\n"))
    async with browser(chosen) as client:
        listed = await client.get("/mail")
        assert re.findall(r"Mail \d", listed.text) == ["Mail 2", "Mail 1", "Mail 0"]
        assert "jörg@xn--bcher-kva.example" in listed.text
        links = [link["href"] for link in Elements(listed.text).all("a")]
        assert links == ["/mail/mai_3", "/mail/mai_2", "/mail/mai_1", "/mail/mai_0"]
        shown = await client.get("/mail/mai_3")
    page = Elements(shown.text)
    assert "<h1>Grüße</h1>" in shown.text
    assert LINK in [link["href"] for link in page.all("a")]
    (frame,) = page.all("iframe")
    assert frame["srcdoc"] is not None
    assert "<p>Jörg &amp; &lt;b&gt;</p>" in frame["srcdoc"]
    # A link leads the tab away, as in a mailbox; nothing else of the mail is let out.
    assert '<base target="_top">' in frame["srcdoc"]
    assert frame["sandbox"] is not None
    assert "allow-top-navigation-by-user-activation" in frame["sandbox"]
    assert not {"allow-scripts", "allow-same-origin", "allow-forms"} & set(frame["sandbox"].split())


async def test_where_there_is_no_mail_the_page_says_how_to_get_some(tmp_path: Path) -> None:
    async with browser(settings(tmp_path)) as client:
        empty = await client.get("/mail")
        missing = [await client.get(f"/mail/{name}") for name in ("mai_1", "..%2f..%2fsecret", ".hidden", "a" * 200)]
    assert (empty.status_code, "No mail yet" in empty.text) == (200, True)
    assert {answer.status_code for answer in missing} == {404}


async def test_nothing_beside_the_mail_can_be_read(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    await MailFolder(chosen.mail_directory).send(a_message())
    (tmp_path / "secret.eml").write_text("Subject: secret\n\nsecret")
    (chosen.mail_directory / "Secret Notes.eml").write_text("Subject: secret\n\nsecret")
    async with browser(chosen) as client:
        names = ("../secret", "..%2Fsecret", "%2e%2e%2fsecret", "Secret%20Notes", "")
        answers = [await client.get(f"/mail/{name}") for name in names] + [await client.get("/mail")]
    assert not any("secret" in answer.text for answer in answers)


async def test_a_hostile_mail_harms_nobody_on_the_page(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>'
    chosen = settings(tmp_path)
    message = a_message(subject=hostile, text=f"{hostile} {LINK}\"onmouseover='alert(1)' javascript:alert(1)")
    message.get_body(("html",)).set_content(f"</iframe>{hostile}", subtype="html")  # type: ignore[union-attr]
    await MailFolder(chosen.mail_directory).send(message)
    async with browser(chosen) as client:
        pages = [await client.get("/mail"), await client.get("/mail/mai_1")]
    for page in pages:
        assert Elements(page.text).all("script") == []
        assert not any(name.startswith("on") for _, attributes in Elements(page.text).found for name in attributes)
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert "script-src" not in policy
    assert LINK in [link["href"] for link in Elements(pages[1].text).all("a")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8000"},
        {"Host": "[::1"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
    ],
)
async def test_who_does_not_sit_at_the_machine_is_turned_away(tmp_path: Path, headers: dict[str, str]) -> None:
    """A name of somebody else's that resolves to this machine, or a proxy in front of it."""
    chosen = settings(tmp_path)
    await MailFolder(chosen.mail_directory).send(a_message())
    async with browser(chosen) as client:
        for path in ("/mail", "/mail/mai_1"):
            refused = await client.get(path, headers=headers)
            assert refused.status_code == 403
            assert "Grüße" not in refused.text


@pytest.mark.parametrize("host", ["localhost:8000", "[::1]:8000", "127.0.0.1"])
async def test_every_name_of_the_machine_is_taken(tmp_path: Path, host: str) -> None:
    async with browser(settings(tmp_path), host) as client:
        assert (await client.get("/mail")).status_code == 200


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ({}, True),
        ({"mail_transport": None, "demo": True}, True),
        ({"mail_transport": None}, False),
        ({"mail_transport": "none", "demo": True}, False),
        ({"mail_transport": "smtp", "smtp_url": "smtp://localhost", "mail_from": "a@b.example"}, False),
        ({"host": "0.0.0.0"}, False),  # noqa: S104 -- refused
        ({"public_url": "https://api.example.com"}, False),
    ],
)
def test_the_page_is_there_on_a_developers_machine_alone(
    tmp_path: Path, *, given: dict[str, object], there: bool
) -> None:
    assert bool(mail_routes(settings(tmp_path, **given))) is there


async def test_a_file_is_its_owners_and_sent_twice_is_there_once(tmp_path: Path) -> None:
    files = MailFolder(tmp_path / "mail")
    await files.send(a_message())
    await files.send(a_message())
    (path,) = (tmp_path / "mail").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes() == a_message().as_bytes()


async def test_a_mail_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    files = MailFolder(tmp_path / "mail")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TryAgain, match="OSError"):
        await files.send(a_message())
    assert list(files.path.iterdir()) == []
    monkeypatch.undo()
    await files.send(a_message())
    assert len(await files.newest(5)) == 1


async def test_only_the_names_of_the_outbox_become_files(tmp_path: Path) -> None:
    for name in ("../../x", "A", "mai-1", "x" * 81):
        message = a_message()
        del message["Message-ID"]
        message["Message-ID"] = f"<{name}@b.example>"
        with pytest.raises(Undeliverable):
            await MailFolder(tmp_path / "mail").send(message)
    assert not (tmp_path / "mail").exists()
