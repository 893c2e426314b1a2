"""A demo gateway, started as a person starts it, from a folder that looks like the checkout and is not."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.demo import _MARK, PASSWORD
from tests.repository.checkout import ROOT

ADDRESS = "127.0.0.1:8000"
"""What the documentation calls the demo by."""

_LAUNCHER = """#!/bin/sh
# Every command as it is, but for `serve`, which goes on in the background once it is ready.
if [ "$1" != serve ]; then exec "$CHECKOUT/tributary" "$@"; fi
"$CHECKOUT/tributary" "$@" --port "$PORT" --quiet >serve.log 2>&1 &
echo $! >serve.pid
until curl --silent --fail "http://127.0.0.1:$PORT/readyz" >/dev/null; do
    kill -0 $! || { cat serve.log >&2; exit 1; }
    sleep 0.1
done
"""
_MAKE = """#!/bin/sh
# What make would do, without doing it.
exec "$REAL_MAKE" --dry-run --directory "$CHECKOUT" "$@" >/dev/null
"""


@dataclass(frozen=True)
class Demo:
    """A folder with the launcher and the examples, and the port of its gateway."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def environment(self) -> dict[str, str]:
        """What commands find: no settings but those of their folder."""
        own = {"CHECKOUT": str(ROOT), "PORT": str(self.port), "REAL_MAKE": shutil.which("make") or "make"}
        own["TRIBUTARY_URL"] = self.url
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"HOME": str(self.folder), "LANG": "C.UTF-8", "PATH": path, **own}

    def listens(self) -> bool:
        """Whether its gateway takes connections."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, command: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a command line with bash in the folder."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],  # noqa: S607
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The answer to an operation as Ada."""
        login = "mutation ($i: LoginInput!) { login(input: $i) { session { accessToken } } }"
        body = {"query": login, "variables": {"i": {"email": "ada@example.com", "password": PASSWORD}}}
        token = httpx.post(self.url, json=body, timeout=60).json()["data"]["login"]["session"]["accessToken"]
        headers = {"authorization": f"Bearer {token}"}
        body = {"query": query, "variables": dict(variables or {})}
        answer: dict[str, Any] = httpx.post(self.url, json=body, headers=headers, timeout=60).json()
        return answer


def checkout(folder: Path) -> Demo:
    """A folder to run commands in, with a free port; nothing runs yet."""
    (folder / "bin").mkdir(parents=True)
    for path, text in ((folder / "tributary", _LAUNCHER), (folder / "bin" / "make", _MAKE)):
        path.write_text(text)
        path.chmod(0o755)
    for name in (".venv", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return Demo(folder, listener.getsockname()[1])


@contextmanager
def stopped_afterwards(demo: Demo) -> Iterator[Demo]:
    """Ends the gateway that a command left behind, and waits for it."""
    try:
        yield demo
    finally:
        pid_file = demo.folder / "serve.pid"
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
            while demo.listens():
                time.sleep(0.05)


def seeded(demo: Demo, data: Path) -> None:
    """Gives the demo its data from a file that is already made, marked as the demo's own."""
    target = demo.folder / "var" / "demo.db"
    target.parent.mkdir()
    shutil.copy(data, target)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(f"PRAGMA application_id = {_MARK}")
