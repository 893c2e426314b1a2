"""A browser opens the GraphQL address: it gets GraphiQL, its files, and nothing that could run by mistake."""

import asyncio
import contextlib
import gzip
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.pages import DemoLogin, Pages

WEB = Path(__file__).parents[2] / "web"
ADA = DemoLogin(label="Ada (owner)", email="ada@example.com", password="tributary demo")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What a build leaves behind, small: the real index.html of web/ and an asset of each kind."""
    built = tmp_path / "dist"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text((WEB / "index.html").read_text(encoding="utf-8"), encoding="utf-8")
    (built / "favicon.svg").write_text((WEB / "public/favicon.svg").read_text(encoding="utf-8"), encoding="utf-8")
    (built / "assets/index-a1b2.js").write_text("export const answer = 42;\n", encoding="utf-8")
    (built / "assets/index-a1b2.js.gz").write_bytes(gzip.compress(b"export const answer = 42;\n"))
    (built / "assets/index-c3d4.css").write_text("body { margin: 0 }\n", encoding="utf-8")
    (built / "assets/codicon-e5f6.ttf").write_bytes(b"\0\1\0\0")
    (tmp_path / "secret.txt").write_text("beside the build", encoding="utf-8")
    return built


@contextlib.asynccontextmanager
async def served(pages: Pages) -> AsyncIterator[httpx.AsyncClient]:
    """A browser-like client of a server on loopback that serves the pages, and nothing else."""
    routes = [*pages.pages_routes(), Route("/graphql", pages.graphiql_page)]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    serving = asyncio.create_task(server.serve([socket]))
    try:
        base = f"http://127.0.0.1:{socket.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, headers={"Accept": "text/html"}, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await serving
        socket.close()


class _ConfigBlock(HTMLParser):
    """What a browser finds in the page's JSON block, and how many scripts there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.config = ""
        self.scripts: list[dict[str, str | None]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs))
            self._inside = ("id", "page-config") in attrs

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.config += data


@pytest.mark.anyio
async def test_a_browser_gets_graphiql(dist: Path) -> None:
    async with served(Pages(dist)) as browser:
        page = await browser.get("/graphql")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<div id="root">' in page.text
    assert json.loads(_ConfigBlock(page.text).config) == {"demoLogins": []}


@pytest.mark.anyio
async def test_demo_mode_offers_its_accounts(dist: Path) -> None:
    async with served(Pages(dist, (ADA,))) as browser:
        page = await browser.get("/graphql")
    offered = {"label": "Ada (owner)", "email": "ada@example.com", "password": "tributary demo"}
    assert json.loads(_ConfigBlock(page.text).config) == {"demoLogins": [offered]}


@pytest.mark.anyio
async def test_no_name_of_an_account_becomes_markup(dist: Path) -> None:
    label = "</script><script>alert(1)</script><!-- & \u2028 {}"
    async with served(Pages(dist, (DemoLogin(label, "mallory@example.com", "x"),))) as browser:
        page = await browser.get("/graphql")
        plain = await browser.get("/graphql")
    parsed = _ConfigBlock(page.text)
    assert json.loads(parsed.config)["demoLogins"][0]["label"] == label
    assert len(parsed.scripts) == len(_ConfigBlock(plain.text).scripts) == 2
    assert "alert(1)</script>" not in page.text


@pytest.mark.anyio
async def test_nothing_of_the_address_comes_back_in_the_page(dist: Path) -> None:
    attack = "</script><script>alert('kit')</script>"
    names = ("query", "variables", "headers", "operationName", "title")
    async with served(Pages(dist, (ADA,))) as browser:
        plain = await browser.get("/graphql")
        attacked = await browser.get("/graphql", params=dict.fromkeys(names, attack))
    assert attacked.text == plain.text


@pytest.mark.anyio
async def test_the_page_runs_only_its_own_files_and_talks_only_to_its_own_host(dist: Path) -> None:
    async with served(Pages(dist)) as browser:
        page = await browser.get("/graphql")
        host = f"{browser.base_url.host}:{browser.base_url.port}"
        forged = await browser.get("/graphql", headers={"Host": "evil.example; script-src *"})
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["worker-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://{host} wss://{host}"
    assert policy["frame-ancestors"] == "'none'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "evil.example" not in forged.headers.get("content-security-policy", "")


@pytest.mark.anyio
async def test_a_browser_that_has_the_page_is_told_so(dist: Path) -> None:
    async with served(Pages(dist)) as browser:
        first = await browser.get("/graphql")
        again = await browser.get("/graphql", headers={"If-None-Match": f'"old", W/{first.headers["etag"]}'})
    async with served(Pages(dist, (ADA,))) as browser:
        in_demo_mode = await browser.get("/graphql", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    # JSON is served at the same address.
    assert first.headers["vary"] == "Accept"
    assert (again.status_code, again.content) == (304, b"")
    assert in_demo_mode.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("index-a1b2.js", "text/javascript; charset=utf-8"),
        ("index-c3d4.css", "text/css; charset=utf-8"),
        ("codicon-e5f6.ttf", "font/ttf"),
    ],
)
async def test_files_with_a_hash_in_their_name_are_kept_for_good(dist: Path, name: str, media_type: str) -> None:
    async with served(Pages(dist)) as browser:
        file = await browser.get(f"/graphql/assets/{name}")
    assert file.status_code == 200
    assert file.headers["content-type"] == media_type
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.content == (dist / "assets" / name).read_bytes()


@pytest.mark.anyio
async def test_the_icon_is_served(dist: Path) -> None:
    async with served(Pages(dist)) as browser:
        icon = await browser.get("/graphql/favicon.svg")
    assert icon.headers["content-type"] == "image/svg+xml"
    assert "<svg" in icon.text


@pytest.mark.anyio
async def test_large_files_travel_compressed_to_those_who_can_read_it(dist: Path) -> None:
    async with served(Pages(dist)) as browser:
        packed = await browser.get("/graphql/assets/index-a1b2.js", headers={"Accept-Encoding": "br, gzip"})
        refused = await browser.get("/graphql/assets/index-a1b2.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in refused.headers
    assert packed.headers["vary"] == refused.headers["vary"] == "Accept-Encoding"
    assert packed.text == refused.text == "export const answer = 42;\n"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "assets/index-0000.js",
        "assets/index-a1b2.js.gz",
        "assets/..%2f..%2fsecret.txt",
        "assets/..%2findex.html",
        "assets/%2e%2e/%2e%2e/secret.txt",
        "assets/",
    ],
)
async def test_only_files_of_the_build_are_served(dist: Path, path: str) -> None:
    async with served(Pages(dist)) as browser:
        answer = await browser.get(f"/graphql/{path}")
    assert answer.status_code == 404
    assert "beside the build" not in answer.text


@pytest.mark.anyio
async def test_without_a_build_the_page_says_what_to_install(tmp_path: Path) -> None:
    async with served(Pages(tmp_path / "dist", (ADA,))) as browser:
        page = await browser.get("/graphql", params={"query": "<script>alert(1)</script>"})
        asset = await browser.get("/graphql/assets/index-a1b2.js")
    assert page.status_code == 200
    assert "Node.js</a> 20.19 or later with npm" in page.text
    assert "<code>make run</code>" in page.text
    assert "<script" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert asset.status_code == 404


def test_a_build_that_does_not_fit_is_refused_at_the_start(dist: Path) -> None:
    (dist / "index.html").write_text("<!doctype html><title>something else</title>", encoding="utf-8")
    with pytest.raises(ValueError, match="npm run build"):
        Pages(dist)


def test_every_example_of_the_page_is_offered() -> None:
    offered = set(re.findall(r'"\./examples/([\w-]+\.graphql)\?raw"', (WEB / "src/examples.ts").read_text("utf-8")))
    assert offered == {path.name for path in (WEB / "src/examples").glob("*.graphql")}
