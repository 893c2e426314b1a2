"""Somebody follows a link out of a mail: a page opens that runs nothing but its own file, and no other address does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import httpx
import pytest
from starlette.applications import Starlette

from auth import mail
from auth.mail import AccountPage
from gateway.account_pages import FOLDER, AccountPages

WEB = Path(__file__).parents[2] / "web"
PAGES = get_args(AccountPage)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What a build leaves behind of these pages: the file of web/ as it is."""
    (tmp_path / "account.html").write_text((WEB / "account.html").read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def served(dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser-like client of an application with these pages, and nothing else."""
    transport = httpx.ASGITransport(Starlette(routes=AccountPages(dist).routes()))
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway.example.com") as browser:
        yield browser


class _Markup(HTMLParser):
    """What in a page would need a policy that lets in what stands in the page itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.scripts = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        self.scripts += tag == "script"
        if (tag == "script" and "src" not in names) or tag in {"style", "base", "form", "iframe", "object"}:
            self.inline.append(tag)
        self.inline += [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.anyio
@pytest.mark.parametrize("page", PAGES)
async def test_the_address_in_a_mail_is_that_of_a_page(dist: Path, page: AccountPage) -> None:
    link = mail.AccountPages(f"https://gateway.example.com{FOLDER}").link(page, "t0ken")
    async with served(dist) as browser:
        answer = await browser.get(link)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<main id="page">' in answer.text
    assert b"t0ken" not in answer.request.url.raw_path


@pytest.mark.anyio
@pytest.mark.parametrize("page", ["", "login", "confirm/more", "reset-password.html", "Confirm", "..%2fgraphql"])
async def test_no_other_address_is(dist: Path, page: str) -> None:
    async with served(dist) as browser:
        answer = await browser.get(f"{FOLDER}/{page}")
    assert answer.status_code == 404
    assert "<main" not in answer.text


@pytest.mark.anyio
async def test_the_page_runs_only_its_own_file_and_can_be_put_in_no_other(dist: Path) -> None:
    async with served(dist) as browser:
        page = await browser.get(f"{FOLDER}/reset-password")
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.anyio
async def test_nothing_stands_in_the_page_that_its_policy_would_stop(dist: Path) -> None:
    async with served(dist) as browser:
        page = await browser.get(f"{FOLDER}/confirm")
    markup = _Markup(page.text)
    assert markup.scripts == 1
    assert markup.inline == []


@pytest.mark.anyio
async def test_nothing_of_the_address_comes_back_in_the_page(dist: Path) -> None:
    async with served(dist) as browser:
        plain = await browser.get(f"{FOLDER}/confirm")
        attacked = await browser.get(f"{FOLDER}/confirm", params={"token": "</main><script>alert(1)</script>"})
    assert attacked.text == plain.text


@pytest.mark.anyio
async def test_opening_a_link_is_all_that_a_scanner_can_do(dist: Path) -> None:
    async with served(dist) as browser:
        looked = await browser.head(f"{FOLDER}/confirm")
        sent = await browser.post(f"{FOLDER}/confirm", json={"token": "t0ken"})
    assert (looked.status_code, looked.content) == (200, b"")
    assert sent.status_code == 405


@pytest.mark.anyio
async def test_a_browser_that_has_the_page_is_told_so(dist: Path) -> None:
    async with served(dist) as browser:
        first = await browser.get(f"{FOLDER}/confirm")
        again = await browser.get(f"{FOLDER}/confirm", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


@pytest.mark.anyio
async def test_without_a_build_the_page_says_whom_to_tell_and_that_the_link_still_holds(tmp_path: Path) -> None:
    async with served(tmp_path) as browser:
        page = await browser.get(f"{FOLDER}/reset-password")
        unknown = await browser.get(f"{FOLDER}/login")
    assert page.status_code == 503
    assert "Your link is not used up" in page.text
    assert "<code>make pages</code>" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "script-src" not in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert unknown.status_code == 404
