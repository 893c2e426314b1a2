"""The processes that are measured: started, watched for their CPU time, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import ServerNotStartedError, free_port

ROOT = Path(__file__).parents[1]
_START_SECONDS, _STOP_SECONDS = 120, 15
_PROCESS_CLOCK = 2
"""The kernel's CPUCLOCK_SCHED: the run time of all threads of a process, in nanoseconds."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of its processes until now."""
        return sum(time.clock_gettime((~pid << 3) | _PROCESS_CLOCK) for pid in _tree(self.pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread that has just ended
            for child in children.read_text().split():
                yield from _tree(int(child))


@contextmanager
def serving(module: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Server]:
    """Runs ``python -m module arguments`` until the block ends, with PORT and ``environment``; logs to ``folder``.

    Raises ``ServerNotStartedError`` when it does not answer.
    """
    if not sys.platform.startswith("linux"):
        raise ServerNotStartedError("the CPU time of another process is read from Linux: run the benchmarks there")
    port = free_port()
    log_path = folder / f"{module}.{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own modules
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerNotStartedError(f"{module} did not start:\n{log_path.read_text()[-4_000:]}")
            time.sleep(0.05)
        yield Server(process.pid, port)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
