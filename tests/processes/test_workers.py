"""``serve --workers``: several processes behind one port, none of which is missed when it dies."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.program import PATIENCE_SECONDS, command, environment, run, wait_until_ready
from tests.keys import make_keys
from tests.servers.process import free_port

IDLE = [sys.executable, "-P", "-m", "tests.processes.idle"]
_STARTED = re.compile(r"Started server process \[(\d+)\]")


class Serving:
    """A gateway of several processes, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self._log = log

    def said(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def workers(self) -> set[int]:
        """Those that serve now."""
        begun = {int(found) for found in _STARTED.findall(self.said())}
        return {pid for pid in begun if alive(pid)}

    def until_said(self, words: str) -> None:
        """Waits until it has said something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def until(self, count: int, *, without: AbstractSet[int] = frozenset()) -> set[int]:
        """Waits until so many serve, and none of those that should not; returns them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.workers()
            if len(found) == count and not found & without:
                return found
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether a new connection is answered."""
        found = httpx.post(f"{self.url}/graphql", json={"query": '{ echo(text: "on") }'}, timeout=60, trust_env=False)
        return bool(found.json() == {"data": {"echo": "on"}})


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def begun(folder: Path, arguments: Sequence[str], url: str, **settings: str) -> Iterator[Serving]:
    """A program of several processes whose words go into a file, until the block ends."""
    log = folder / "log"
    with log.open("w") as words:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment(settings), stdout=words, stderr=subprocess.STDOUT, text=True
        )
    found = Serving(process, url, log)
    try:
        yield found
    finally:
        for pid in {process.pid, *found.workers()}:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@contextmanager
def workers(folder: Path, count: int, database_url: str) -> Iterator[Serving]:
    """A gateway that answers."""
    make_keys(folder)
    port = free_port()
    arguments = command("serve", "--port", str(port), "--workers", str(count))
    with begun(folder, arguments, f"http://127.0.0.1:{port}", DATABASE_URL=database_url, DATA_DIR=".") as gateway:
        wait_until_ready(gateway.process, gateway.url)
        yield gateway


def test_workers_that_die_are_replaced_and_all_of_them_stop_together(postgres_demo: str, tmp_path: Path) -> None:
    with workers(tmp_path, 3, postgres_demo) as gateway:
        first = gateway.until(3)
        assert gateway.answers()

        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        healed = gateway.until(3, without={killed})
        assert first - {killed} < healed
        assert gateway.answers()

        gateway.process.send_signal(signal.SIGHUP)
        replaced = gateway.until(3, without=healed)
        assert gateway.answers()

        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        assert not any(alive(pid) for pid in replaced)
        assert "Traceback" not in gateway.said()


def test_workers_stop_when_the_one_that_looks_after_them_is_killed(postgres_demo: str, tmp_path: Path) -> None:
    with workers(tmp_path, 2, postgres_demo) as gateway:
        gateway.until(2)
        gateway.process.kill()
        gateway.process.wait()
        gateway.until(0)


def test_one_that_cannot_begin_again_ends_no_other_and_is_tried_until_it_can(tmp_path: Path) -> None:
    """As when the database is away for a moment."""
    with begun(tmp_path, IDLE, "") as idle:
        first = idle.until(2)
        (tmp_path / "broken").touch()
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        idle.until_said("ended (3), another begins")
        assert idle.workers() == first - {killed}
        idle.process.send_signal(signal.SIGHUP)
        idle.until_said("ended before it served; the others stay as they are")
        assert idle.workers() == first - {killed}
        (tmp_path / "broken").unlink()
        assert first - {killed} < idle.until(2, without={killed})


def test_workers_that_cannot_begin_at_all_end_it(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with begun(tmp_path, IDLE, "") as idle:
        assert idle.process.wait(PATIENCE_SECONDS) == 1
        assert "none started" in idle.said()


def test_one_that_does_not_stop_is_ended(tmp_path: Path) -> None:
    (tmp_path / "deaf").touch()
    with begun(tmp_path, IDLE, "") as idle:
        idle.until(2)
        idle.process.send_signal(signal.SIGTERM)
        assert idle.process.wait(PATIENCE_SECONDS) == 0
        assert idle.said().count("did not stop in time") == 2
        assert idle.workers() == set()


@pytest.mark.parametrize("arguments", [("--demo",), ()])
def test_workers_are_refused_where_they_bring_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The demo is one process, and so is what has SQLite."""
    make_keys(tmp_path)
    result = run(tmp_path, "serve", "--workers", "2", *arguments, DATA_DIR=".", PORT=str(free_port()))
    assert result.returncode == 1
    assert "WORKERS" in result.stderr
    assert list(tmp_path.glob("*.db")) == []
