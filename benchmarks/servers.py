"""The processes that are measured: started, watched for their CPU time, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
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

    def waited_seconds(self) -> float:
        """How long its main thread could have worked while something else had the CPU."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def resident_bytes(self) -> int:
        """The memory that its processes have at the moment."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _tree(self.pid))
        return pages * os.sysconf("SC_PAGE_SIZE")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread that has just ended
            for child in children.read_text().split():
                yield from _tree(int(child))


@contextmanager
def apart() -> Iterator[int]:
    """Keeps this process, and all that it has started, off one CPU within the block; yields that CPU, for servers.

    Raises ``ServerNotStartedError`` where there is only one.
    """
    before = os.sched_getaffinity(0)
    if len(before) < 2:  # noqa: PLR2004 -- one for the server, one for the rest
        raise ServerNotStartedError("a server gets a CPU of its own, and another is needed for the load: there is one")
    servers, *others = sorted(before)
    _keep_on(others)
    try:
        yield servers
    finally:
        _keep_on(before)


def _keep_on(cpus: Collection[int]) -> None:
    for pid in _tree(os.getpid()):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(task.name), cpus)


def serving(
    module: str, environment: Mapping[str, str], folder: Path, *arguments: str
) -> AbstractContextManager[Server]:
    """Runs ``python -m module arguments``, see ``running``."""
    return running((sys.executable, "-m", module, *arguments), environment, folder)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, cpu: int | None = None
) -> Iterator[Server]:
    """Runs a command until the block ends, with PORT and ``environment``, on one CPU or on any; logs to ``folder``.

    Raises ``ServerNotStartedError`` when it does not answer.
    """
    if not sys.platform.startswith("linux"):
        raise ServerNotStartedError("the CPU time of another process is read from Linux: run the benchmarks there")
    port = free_port()
    log_path = folder / f"{Path(command[-1]).name}.{port}.log"
    before = os.sched_getaffinity(0)
    with log_path.open("wb") as log:
        # What is started inherits where it may run; setting that afterwards would miss threads.
        os.sched_setaffinity(0, before if cpu is None else {cpu})
        try:
            process = subprocess.Popen(  # noqa: S603 -- our own modules
                command,
                cwd=ROOT,
                env={**os.environ, **environment, "PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, before)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerNotStartedError(f"{command[-1]} did not start:\n{log_path.read_text()[-4_000:]}")
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
