"""A real Redis: the one a variable names, else the system's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import ConnectionError as NotConnectedError

from tests.servers.process import ServerNotStartedError, free_port, running, scratch_folder

VARIABLE = "TRIBUTARY_TEST_REDIS_URL"

_ADVICE = f"""the tests need a real Redis and found none. Do one of:
  - install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)
  - set {VARIABLE}=redis://... to a server, with the number of a database that tests may empty"""


def _answers(url: str) -> bool:
    with Redis.from_url(url) as client:
        try:
            client.ping()
        except NotConnectedError:
            return False
        return True


def empty(url: str) -> None:
    """Removes all keys of the database at ``url``."""
    with Redis.from_url(url) as client:
        client.flushdb()


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of this run's server.

    Raises:
        ServerNotStartedError: there is none to be had; the message says what to do.
    """
    if given := os.environ.get(VARIABLE):
        yield given
        return
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise ServerNotStartedError(_ADVICE)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with scratch_folder() as folder:
        command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        with running([*command, "--dir", str(folder)], folder, answers=lambda: _answers(url)):
            yield url
