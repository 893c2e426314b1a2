"""Client libraries in Node and GraphiQL in Chromium, as their users set them up, against a gateway in demo mode."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import jwt
import pytest

from gateway import demo
from tests.repository.checkout import ROOT
from tests.servers.process import free_port, running
from tests.serving import GRACE, LOGIN

HERE = Path(__file__).parent
OLDEST_NODE = (20, 19)
_INSTALL = ("npm", "ci", "--ignore-scripts", "--loglevel=error")


def _node_version() -> tuple[int, ...]:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return ()
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in told.strip().removeprefix("v").split("."))


@pytest.fixture(scope="session")
def installed() -> Callable[[Path], Path]:
    """Gives a folder its node_modules, unless it has those of its lock file already."""
    if _node_version() < OLDEST_NODE:
        pytest.fail(f"these tests need Node {'.'.join(map(str, OLDEST_NODE))} or newer, with npm, on the path")

    def install(folder: Path) -> Path:
        lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
        mark = folder / "node_modules" / ".installed"
        if not mark.is_file() or mark.read_text() != lock:
            done = subprocess.run(_INSTALL, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"npm ci failed in {folder}:\n{done.stdout}{done.stderr}"
            mark.write_text(lock)
        return folder

    return install


@pytest.fixture(scope="module")
def demo_url(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of `./tributary serve --demo`, in a process of its own."""
    yield from _demo(seeded_sqlite, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def mailing(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The same where people register by a link in a mail, and the folder that its mail is written to."""
    folder = tmp_path_factory.mktemp("mailing")
    for url in _demo(seeded_sqlite, folder, "REGISTRATION=confirmed"):
        yield url, folder / "mail"


def _demo(seeded_sqlite: Path, folder: Path, *more: str) -> Iterator[str]:
    shutil.copy(seeded_sqlite, folder / "demo.db")
    with closing(sqlite3.connect(folder / "demo.db")) as connection:
        connection.execute(f"PRAGMA application_id = {demo._MARK}")
    origin = f"http://127.0.0.1:{(port := free_port())}"

    def answers() -> bool:
        try:
            return httpx.get(f"{origin}/readyz").is_success
        except httpx.TransportError:
            return False

    own = ("DATABASE_URL=", "PUBLIC_URL=", "HOST=", "PLATFORMS=", "MAIL_TRANSPORT=", "MAIL_FOLDER=", "ACCOUNT_URL=")
    settings = ("env", f"DATA_DIR={folder}", *own, *more)
    with running((*settings, ROOT / "tributary", "serve", "--demo", "--port", str(port)), folder, answers=answers):
        yield f"{origin}/graphql"
        log = (folder / "log").read_text()
        assert "Internal error" not in log, log


def run_suite(folder: Path, suite: str, url: str, *, seconds: int = 60, mail: Path | None = None) -> None:
    """Runs one file of tests, ``seconds`` at the longest; what it prints says which of them failed, and how."""
    command = ("node", "--test", "--test-reporter=spec", f"--test-timeout={seconds * 1000}", suite)
    environment = {**os.environ, "TRIBUTARY_URL": url, "TRIBUTARY_MAIL": str(mail or ""), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{suite}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("suite", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_a_client_library_works(suite: str, installed: Callable[[Path], Path], demo_url: str) -> None:
    run_suite(installed(HERE), suite, demo_url)


def test_graphiql_works_in_a_browser(installed: Callable[[Path], Path], demo_url: str) -> None:
    assert (ROOT / "web" / "dist" / "index.html").is_file(), "the page is not built: run `make pages`"
    run_suite(installed(HERE / "graphiql"), "graphiql.test.mjs", demo_url, seconds=240)


def test_links_in_mails_work_in_a_browser(installed: Callable[[Path], Path], mailing: tuple[str, Path]) -> None:
    assert (ROOT / "web" / "dist" / "account.html").is_file(), "the page is not built: run `make pages`"
    url, mail = mailing
    run_suite(installed(HERE / "graphiql"), "account.test.mjs", url, seconds=240, mail=mail)


def test_live_events_work_in_a_browser(installed: Callable[[Path], Path], demo_url: str) -> None:
    assert (ROOT / "web" / "dist" / "events.html").is_file(), "the page is not built: run `make pages`"
    installed(HERE / "graphiql")
    run_suite(ROOT / "tests" / "pages", "events.test.mjs", demo_url, seconds=240)


def test_a_browsers_own_event_source_misses_nothing(installed: Callable[[Path], Path], demo_url: str) -> None:
    installed(HERE / "graphiql")
    run_suite(ROOT / "tests" / "pages", "event_source.test.mjs", demo_url, seconds=120)


def test_the_profile_for_outside_checks_names_somebody_of_the_demo(demo_url: str) -> None:
    login = {"query": LOGIN, "variables": {"input": {"email": GRACE, "password": demo.PASSWORD}}}
    token = httpx.post(demo_url, json=login).json()["data"]["login"]["session"]["accessToken"]
    claims = jwt.decode(token, options={"verify_signature": False})
    profile = json.loads((HERE / "profile.json").read_text())["auth"]
    named = {"aud": profile["aud"], "iss": profile["iss"], "sub": profile["sub"], "org": profile["claims"]["org"]}
    assert {name: claims[name] for name in named} == named
    assert claims.keys() - {"iat", "exp"} == {*named, *profile["claims"]}
    assert jwt.get_unverified_header(token)["kid"] == profile["kid"]
