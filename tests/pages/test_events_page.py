"""Somebody opens the page of live events: it runs nothing but its own files, and talks to nobody but its gateway."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from gateway.demo import DEMO_LOGINS
from gateway.events_page import EventsPage
from gateway.pages import DemoLogins

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What a build leaves behind of the page: the file of web/ as it is."""
    (tmp_path / "events.html").write_text((WEB / "events.html").read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def served(dist: Path, demo: DemoLogins | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A browser-like client of an application with this page, and nothing else."""
    transport = httpx.ASGITransport(Starlette(routes=EventsPage(dist, demo).routes()))
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway.example.com") as browser:
        yield browser


@pytest.mark.anyio
async def test_the_page_runs_only_its_own_files_and_talks_only_to_where_it_came_from(dist: Path) -> None:
    async with served(dist) as browser:
        page = await browser.get("/events")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self' ws://gateway.example.com wss://gateway.example.com",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_a_host_that_is_none_does_not_widen_the_policy(dist: Path) -> None:
    async with served(dist) as browser:
        page = await browser.get("/events", headers={"Host": "gateway.example.com https://evil.example.com"})
    assert "connect-src 'self';" in f"{page.headers['content-security-policy']};"
    assert "evil" not in str(page.headers) + page.text


@pytest.mark.anyio
async def test_nothing_of_the_address_comes_back_in_the_page(dist: Path) -> None:
    async with served(dist) as browser:
        plain = await browser.get("/events")
        attacked = await browser.get("/events", params={"type": "<script>alert(1)</script>", "after": "</script>"})
    assert attacked.text == plain.text


@pytest.mark.anyio
async def test_only_a_demo_names_accounts_to_sign_in_with(dist: Path) -> None:
    async with served(dist) as browser:
        real = await browser.get("/events")
    async with served(dist, DEMO_LOGINS) as browser:
        demo = await browser.get("/events")
    assert '"demoLogins":[]' in real.text
    assert DEMO_LOGINS[0].email not in real.text
    assert DEMO_LOGINS[0].email in demo.text


@pytest.mark.anyio
async def test_a_browser_that_has_the_page_is_told_so(dist: Path) -> None:
    async with served(dist) as browser:
        first = await browser.get("/events")
        again = await browser.get("/events", headers={"If-None-Match": first.headers["etag"]})
        sent = await browser.post("/events", json={})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert sent.status_code == 405


@pytest.mark.anyio
async def test_without_a_build_the_page_says_what_is_missing(tmp_path: Path) -> None:
    async with served(tmp_path) as browser:
        page = await browser.get("/events")
    assert page.status_code == 503
    assert "<code>make pages</code>" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|script-src", page.text + page.headers["content-security-policy"])


def test_a_build_of_other_sources_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "events.html").write_text("<!doctype html><title>an older one</title>", encoding="utf-8")
    with pytest.raises(ValueError, match="Build it again"):
        EventsPage(tmp_path)
