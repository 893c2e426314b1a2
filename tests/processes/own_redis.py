"""A Redis of a test's own, to be killed, started again and made to hang."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotConnectedError

from tests.servers.process import ServerNotStartedError, free_port, running, scratch_folder


class OwnRedis:
    """One server on one port, which is not always there."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            message = "these tests stop and start a Redis of their own: install redis-server (see CONTRIBUTING.md)"
            raise ServerNotStartedError(message)
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        self._folder = folder
        self._command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        self._stack = ExitStack()
        self._pid: int | None = None

    def start(self) -> None:
        """Starts it, and comes back when it answers."""
        self._stack.enter_context(running(self._command, self._folder, answers=self._answers))
        with Redis.from_url(self.url, decode_responses=True) as client:
            self._pid = client.info("server")["process_id"]

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self._signal(signal.SIGKILL)
        self._pid = None
        self._stack.close()

    def pause(self) -> None:
        """Has it hang: connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Has it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._pid is not None
        os.kill(self._pid, number)

    def _answers(self) -> bool:
        with Redis.from_url(self.url) as client:
            try:
                client.ping()
            except NotConnectedError:
                return False
            return True

    def close(self) -> None:
        """Ends it, however it is."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                self.resume()
        self._stack.close()


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """A Redis that runs at the start."""
    with scratch_folder() as folder:
        server = OwnRedis(folder)
        try:
            server.start()
            yield server
        finally:
            server.close()
