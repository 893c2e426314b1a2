"""The gateway within the loop of the test: asked as anybody, its statements written down."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from auth.caller import Caller
from auth.principal import ANONYMOUS, Principal
from auth.signin import SignInAttempt
from datasources.database.engine import Database
from datasources.database.events import EventPosition
from datasources.database.tables.metadata import metadata
from gateway.app import Gateway, create_app
from gateway.demo import PASSWORD
from gateway.graphql.engine import Engine
from gateway.graphql.masking import RequestError
from gateway.graphql.payload import Batch
from gateway.graphql.request import GraphQLRequest
from gateway.settings import Settings
from schema.composed import Composition
from tests.keys import make_keys

LONGEST_PAGE = 1_000
"""Rows of a page: more than Grace has of anything."""

Answer = dict[str, Any]
_written: ContextVar[list[str] | None] = ContextVar("statements", default=None)


def _write_down(statement: str) -> None:
    statements = _written.get()
    if statements is not None:
        statements.append(statement)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that the block causes; the reader of the event log, which nobody here asks, is not among them."""
    found: list[str] = []
    token = _written.set(found)
    try:
        yield found
    finally:
        _written.reset(token)


class Listener:
    """A reader of followed events that never has enough."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[Answer | RequestError] = asyncio.Queue()

    def take(self, batch: Batch) -> bool:
        for payload in batch.payloads:
            self._answers.put_nowait(json.loads(payload.body))
        return True

    async def room(self) -> None:
        pass

    def end(self, refusal: RequestError) -> None:
        self._answers.put_nowait(refusal)

    async def next(self) -> Answer:
        """The next answer; raises what ended it."""
        answer = await self._answers.get()
        if isinstance(answer, RequestError):
            raise answer
        return answer


@dataclass
class InProcess:
    """A gateway that runs in this loop."""

    gateway: Gateway
    client: httpx.AsyncClient
    _signed_in: dict[str, tuple[Principal, str]] = field(default_factory=dict)

    @property
    def composition(self) -> Composition:
        """The schema and the platforms behind it."""
        return self.gateway.composition

    @property
    def database(self) -> Database:
        """The database behind it."""
        return self.gateway.services.database

    @property
    def engine(self) -> Engine:
        """What every transport runs operations on; it takes principals that no token can have."""
        return self.gateway.endpoint._engine

    def cursor(self, who: Principal, place: EventPosition) -> str:
        """The cursor of a place, as somebody's organization sees it."""
        return self.gateway.services.events.cursors.encode(who.organization_id or "", place)

    async def person(self, email: str) -> Principal:
        """A seeded person, as their token has them."""
        return (await self._sign_in(email))[0]

    async def token(self, email: str) -> str:
        """The token of a seeded person."""
        return (await self._sign_in(email))[1]

    async def _sign_in(self, email: str) -> tuple[Principal, str]:
        if email not in self._signed_in:
            session = await self.gateway.services.accounts.sign_in.with_password(
                SignInAttempt(email, PASSWORD), Caller()
            )
            assert session is not None
            self._signed_in[email] = (session.principal, session.token.text)
        return self._signed_in[email]

    async def ask(
        self, query: str, variables: Mapping[str, object] | None = None, *, as_: Principal = ANONYMOUS
    ) -> Answer:
        """The whole answer to an operation, as anybody."""
        try:
            operation = self.engine.prepare(GraphQLRequest(query, None, variables or {}, {}))
            body = (await self.engine.execute(operation, as_)).body
        except RequestError as refused:
            return {"errors": list(refused.errors)}
        answer: Answer = json.loads(body)
        return answer

    async def post(
        self, query: str, variables: Mapping[str, object] | None = None, *, token: str | None = None
    ) -> Answer:
        """The whole answer to an operation over HTTP."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        body = {"query": query, "variables": variables or {}}
        answer: Answer = (await self.client.post("/graphql", json=body, headers=headers)).json()
        return answer

    async def data(
        self, query: str, variables: Mapping[str, object] | None = None, *, as_: Principal = ANONYMOUS
    ) -> Answer:
        """The data of an operation that must have no errors."""
        answer = await self.ask(query, variables, as_=as_)
        assert "errors" not in answer, (query, answer["errors"])
        found: Answer = answer["data"]
        return found

    async def stream(
        self, query: str, variables: Mapping[str, object] | None = None, *, as_: Principal = ANONYMOUS
    ) -> AsyncGenerator[Answer, None]:
        """The answers of a subscription; the errors alone when it is refused."""
        try:
            operation = self.engine.prepare(GraphQLRequest(query, None, variables or {}, {}))
            if operation.following is None:
                async for payload in self.engine.subscribe(operation, as_):
                    yield json.loads(payload.body)
                return
            reader = Listener()
            follower = self.engine.follow(operation, as_, reader)
            try:
                while True:
                    yield await reader.next()
            finally:
                follower.suspend()
        except RequestError as refused:
            yield {"errors": list(refused.errors)}

    async def rows(self, organization_id: str | None = None) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table, or those of one organization, for comparing before and after."""
        found: dict[str, list[tuple[object, ...]]] = {}
        async with self.database.writer.connect() as connection:
            for table in metadata.sorted_tables:
                if organization_id is not None and "organization_id" not in table.c:
                    continue
                where = "" if organization_id is None else " WHERE organization_id = :organization_id"
                statement = text(f"SELECT * FROM {table.name}{where}")  # noqa: S608 -- the names of our tables
                parameters = {} if organization_id is None else {"organization_id": organization_id}
                result = await connection.execute(statement, parameters)
                found[table.name] = sorted((tuple(row) for row in result.fetchall()), key=repr)
        return found


@asynccontextmanager
async def in_process(database_url: str, folder: Path) -> AsyncIterator[InProcess]:
    """Runs a gateway with every built-in platform until the block ends."""
    key_file = make_keys(folder)
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        data_dir=folder,
        demo=False,
        signing_key_file=key_file,
        page_limit=LONGEST_PAGE,
        argon2_memory_kib=64,
        argon2_time_cost=1,
        breached_passwords_url="off",
    )
    app = create_app(settings)
    gateway: Gateway = app.state.gateway
    for watch in gateway.services.health.values():
        watch._check = None  # asking a platform how it is depends on when somebody asked before
    gateway.services.database.observers.append(_write_down)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):
        yield InProcess(gateway, client)
