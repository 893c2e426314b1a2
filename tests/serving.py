"""A gateway on a free port with the demo data, on SQLite and on PostgreSQL, for tests that use it as a client does."""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.passwords import Passwords
from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.seed import seed
from gateway.app import create_app
from gateway.demo import PASSWORD
from gateway.serve import PING_SECONDS, UNACKNOWLEDGED_SECONDS, GatewayServer, listeners, server_config
from gateway.settings import Settings
from schema.platform import Platform
from tests.keys import make_keys
from tests.servers.postgres import PostgresServer

ADA, GRACE = "ada@example.com", "grace@example.com"
LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) { session { accessToken user { id } organization { id } } userErrors { message } }
}"""


# What people wait for, and what asks strangers, is of no interest to most tests. Passwords are hashed as in ``fill``.
# Visitors say where they come from as a proxy on this machine would.
_QUICK: Mapping[str, Any] = {
    "anonymous_per_minute": 100_000,
    "argon2_memory_kib": 64,
    "argon2_time_cost": 1,
    "breached_passwords_url": "off",
    "trusted_proxies": ("127.0.0.1",),
}

# One for all: making a client reads the machine's certificates, which costs more than a query.
_HTTP = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))

# Where the statements of the request at hand are written down; those of the gateway's own work are of no request.
_counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)


def is_counted() -> bool:
    """Whether what runs now is done for a request of a block that counts statements."""
    return _counted.get() is not None


class _Marked:
    """Marks what an application does for the requests that come while their statements are counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            _counted.set(getattr(scope["app"].state, "counting", None))
        await self._app(scope, receive, send)


@dataclass
class Running:
    """A gateway that answers at ``url``; ``database_url`` is its database, for looking behind its back."""

    url: str
    database_url: str
    app: Starlette
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def graphql(self) -> str:
        """The address of the API."""
        return f"{self.url}/graphql"

    @property
    def socket(self) -> str:
        """The address of the API for sockets."""
        return self.graphql.replace("http", "ws", 1)

    def token(self, email: str) -> str:
        """An access token of a seeded person."""
        if email not in self._tokens:
            answer = self.query(LOGIN, {"input": {"email": email, "password": PASSWORD}})
            self._tokens[email] = answer["data"]["login"]["session"]["accessToken"]
        return self._tokens[email]

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL of all that is done for the requests of the block, and of nothing that the gateway does beside them.

        Its readers and workers (mail, the log, the heads of the audit trail) come by when they like.
        """
        found: list[str] = []

        def observe(sql: str) -> None:
            if _counted.get() is found:
                found.append(sql)

        observers = self.app.state.gateway.services.database.observers
        observers.append(observe)
        self.app.state.counting = found
        try:
            yield found
        finally:
            self.app.state.counting = None
            observers.remove(observe)

    def query(
        self, query: str, variables: Mapping[str, Any] | None = None, *, as_: str | None = None
    ) -> dict[str, Any]:
        """The whole answer to an operation, as a seeded person or as nobody."""
        headers = {} if as_ is None else {"authorization": f"Bearer {self.token(as_)}"}
        body = {"query": query, "variables": variables or {}}
        answer = _HTTP.post(self.graphql, json=body, headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    def data(self, query: str, variables: Mapping[str, Any] | None = None, *, as_: str | None = None) -> dict[str, Any]:
        """The data of an operation that must have no errors."""
        answer = self.query(query, variables, as_=as_)
        assert "errors" not in answer, answer["errors"]
        found: dict[str, Any] = answer["data"]
        return found


@contextmanager
def running(
    database_url: str,
    folder: Path,
    *,
    platforms: Sequence[Platform] | None = None,
    ping_seconds: float = PING_SECONDS,
    unacknowledged_seconds: float = UNACKNOWLEDGED_SECONDS,
    **settings: Any,
) -> Iterator[Running]:
    """Serves on a free port, as ``serve`` does, until the block ends."""
    (listener,) = listeners("127.0.0.1", 0, unacknowledged_seconds=unacknowledged_seconds)
    port: int = listener.getsockname()[1]
    chosen = Settings(
        _env_file=None,
        database_url=database_url,
        data_dir=folder,
        port=port,
        demo=False,
        signing_key_file=make_keys(folder),
        **{**_QUICK, **settings},
    )
    with listener:
        app = create_app(chosen, platforms=platforms)
        app.add_middleware(_Marked)
        config = server_config(app, chosen, log_level="error", ping_seconds=ping_seconds, grace_seconds=2)
        server = GatewayServer(config, app.state.gateway)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        listener.listen(config.backlog)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the gateway did not start"
            time.sleep(0.01)
        try:
            yield Running(f"http://127.0.0.1:{port}", database_url, app)
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def fill(database_url: str) -> None:
    """Makes the tables and the demo data at scale 1."""

    async def run() -> None:
        database = Database(database_url)
        try:
            await upgrade(database, BUILT_IN)
            await seed(database, password_hash=Passwords(memory_kib=64, time_cost=1).hash_now(PASSWORD))
        finally:
            await database.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def seeded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the demo data, to be copied."""
    path = tmp_path_factory.mktemp("seeded") / "demo.db"
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of the module's own with the demo data: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("database") / "demo.db"
        shutil.copy(request.getfixturevalue("seeded_sqlite"), path)
        yield f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("demo", fill)) as url:
            yield url


@pytest.fixture(scope="module")
def gateway(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with every built-in platform over the demo data, one on each database."""
    with running(database_url, tmp_path_factory.mktemp("gateway")) as server:
        yield server
