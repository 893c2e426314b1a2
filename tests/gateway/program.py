"""The program as people start it: a process of its own, in a folder of its own, with an environment of its own."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.cli import main

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
"""How long a test waits for what should come at once; no test measures time."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What the program finds: where programs are, and the settings; nothing else of ours."""
    path = os.environ.get("PATH", "")
    return {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **settings}


def command(*arguments: str) -> list[str]:
    """The program with these arguments."""
    return [sys.executable, "-P", "-m", "gateway", *arguments]


# Most of what a command costs is reading its modules. This process has read them, and does nothing but fork: what runs
# in a fork is a process of its own like any other, and may die as any other.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["gateway.cli", "gateway.platforms", __name__])


def _forked(folder: Path, said: Path, complained: Path, arguments: Sequence[str], settings: Mapping[str, str]) -> None:
    os.chdir(folder)
    for descriptor, path in ((1, said), (2, complained)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment(settings))
    sys.argv = ["tributary", *arguments]
    sys.exit(main(arguments))


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end, in a process that need not read the program anew."""
    with tempfile.TemporaryDirectory() as aside:
        said, complained = Path(aside, "said"), Path(aside, "complained")
        process = _FORKS.Process(target=_forked, args=(folder, said, complained, arguments, settings))
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, PATIENCE_SECONDS)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(arguments, code, said.read_text(), complained.read_text())


def start(folder: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    """Starts a command; what it says goes into one pipe."""
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until_ready(process: subprocess.Popen[str], url: str) -> None:
    """Waits until the gateway answers; fails when it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the gateway did not start"
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.02)


@contextmanager
def serving(folder: Path, port: int, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A gateway that answers on a port of loopback, until the block ends or the test ends it."""
    process = start(folder, "serve", "--port", str(port), *arguments, **settings)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()
