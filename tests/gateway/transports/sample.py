"""A small schema that can do whatever a transport has to cope with, and who may ask it."""

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NewType

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from auth.caller import Caller
from auth.errors import InvalidToken, SignInRequired
from auth.principal import ANONYMOUS, Principal
from gateway.graphql import UploadedFile
from schema.errors import BadRequest, NotFound

SECRET = "hunter2 in /srv/secret.key"


@dataclass
class Probe:
    """What resolvers tell a test, across threads."""

    entered: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    saves: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    contexts: Iterator[int] = field(default_factory=itertools.count)


@dataclass
class Context:
    principal: Principal
    probe: Probe
    serial: int
    caller: Caller
    depends_on_viewer: bool = False


Info = strawberry.Info[Context, None]
Upload = NewType("Upload", object)
Even = NewType("Even", int)
Opaque = NewType("Opaque", object)
JSON = NewType("JSON", object)


def _file(value: object) -> object:
    if not isinstance(value, UploadedFile):
        raise BadRequest("An upload must come as a file of a multipart request.")
    return value


def _even(value: object) -> int:
    number = int(str(value))
    if number % 2:
        raise BadRequest("Only even numbers are served here.")
    return number


@strawberry.input(one_of=True)
class Pick:
    name: strawberry.Maybe[str]
    number: strawberry.Maybe[int]


@strawberry.input
class Patch:
    title: strawberry.Maybe[str]


@strawberry.type
class Thing:
    name: str = "thing"

    @strawberry.field
    def thing(self) -> "Thing":
        return Thing()


@strawberry.type
class FileReport:
    filename: str
    content_type: str
    size: int
    text: str


async def _report(file: UploadedFile) -> FileReport:
    whole = await file.read()
    streamed = b"".join([chunk async for chunk in file.stream(100_000)])
    assert streamed == whole
    return FileReport(filename=file.filename, content_type=file.content_type, size=file.size, text=whole.decode())


@strawberry.type
class Boom:
    @strawberry.field
    def fuse(self) -> str | None:
        raise RuntimeError(SECRET)


@strawberry.type
class Query(Thing):
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    async def later(self) -> int:
        await asyncio.sleep(0)
        return 1

    @strawberry.field
    def at(self) -> JSON:
        return JSON({"aware": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "naive": datetime(2026, 1, 2)})  # noqa: DTZ001

    @strawberry.field
    def boom(self) -> str | None:
        raise RuntimeError(SECRET)

    @strawberry.field
    def booms(self) -> list[Boom]:
        return [Boom(), Boom(), Boom()]

    @strawberry.field
    def not_null(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    def wrong_int(self) -> int | None:
        return SECRET  # type: ignore[return-value]

    @strawberry.field
    def opaque(self) -> Opaque | None:
        return Opaque(object())

    @strawberry.field
    def missing(self) -> str | None:
        raise NotFound("There is no such book.")

    @strawberry.field
    async def cancelled_inside(self) -> str | None:
        raise asyncio.CancelledError

    @strawberry.field
    def viewer(self, info: Info) -> str | None:
        if not info.context.principal.signed_in:
            raise SignInRequired
        return info.context.principal.user_id

    @strawberry.field
    def context(self, info: Info) -> int:
        return info.context.serial

    @strawberry.field
    def day(self, of: date) -> str:
        return of.isoformat()

    @strawberry.field
    def half(self, even: Even) -> int:
        return int(even) // 2

    @strawberry.field
    def echo(self, value: JSON | None = None) -> JSON | None:
        return value

    @strawberry.field
    def pick(self, pick: Pick) -> str:
        return "name" if pick.name else "number"

    @strawberry.field
    def patch(self, patch: Patch) -> bool:
        return patch.title is not None

    @strawberry.field
    async def wait(self, info: Info) -> str | None:
        probe = info.context.probe
        probe.entered.set()
        try:
            await asyncio.sleep(3600)
        finally:
            probe.stopped.set()
        return None


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, title: str) -> str:
        return title

    @strawberry.mutation
    async def save(self, info: Info) -> bool:
        probe = info.context.probe
        probe.entered.set()
        await asyncio.to_thread(probe.release.wait)
        probe.saves += 1
        return True

    @strawberry.mutation
    async def remember(self, info: Info) -> bool:
        """Whether a cookie could be set."""
        reply = info.context.caller.reply
        if reply is not None:
            reply.cookies.append("crumb=1; HttpOnly")
        return reply is not None

    @strawberry.mutation
    async def upload(self, file: Upload) -> FileReport:
        assert isinstance(file, UploadedFile)
        return await _report(file)

    @strawberry.mutation
    async def uploads(self, files: list[Upload]) -> list[FileReport]:
        return [await _report(file) for file in files if isinstance(file, UploadedFile)]


@strawberry.type
class Event:
    @strawberry.field
    def organization(self, info: Info) -> str | None:
        return info.context.principal.organization_id

    @strawberry.field
    def context(self, info: Info) -> int:
        return info.context.serial


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            await asyncio.sleep(0)
            yield number

    @strawberry.subscription
    async def hold(self, info: Info) -> AsyncGenerator[int, None]:
        """One event, then silence until the subscriber leaves."""
        probe = info.context.probe
        try:
            yield 1
            probe.entered.set()
            await asyncio.sleep(3600)
        finally:
            probe.stopped.set()

    @strawberry.subscription
    async def flood(self, info: Info) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x" * 10_000
        finally:
            info.context.probe.stopped.set()

    @strawberry.subscription
    async def things(self) -> AsyncGenerator[Event, None]:
        yield Event()
        yield Event()

    @strawberry.subscription
    async def ticks(self, info: Info) -> AsyncGenerator[Event, None]:
        """An event whenever the test says so, which tells who gets it."""
        while True:
            while not info.context.probe.release.is_set():  # noqa: ASYNC110 -- the test is in another thread
                await asyncio.sleep(0.005)
            info.context.probe.release.clear()
            yield Event()

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError(SECRET)

    @strawberry.subscription
    async def members(self, info: Info) -> AsyncGenerator[str, None]:
        if not info.context.principal.user_id:
            raise SignInRequired
        yield info.context.principal.user_id


def schema(subscription: type = Subscription) -> GraphQLSchema:
    """The schema as graphql-core sees it, with other subscriptions where a test has its own."""
    scalars: dict[object, Any] = {
        Upload: strawberry.scalar(name="Upload", serialize=lambda value: value, parse_value=_file),
        Even: strawberry.scalar(name="Even", serialize=int, parse_value=_even),
        Opaque: strawberry.scalar(name="Opaque", serialize=lambda value: value, parse_value=lambda value: value),
        JSON: strawberry.scalar(name="JSON", serialize=lambda value: value, parse_value=lambda value: value),
    }
    return strawberry.Schema(Query, Mutation, subscription, config=StrawberryConfig(scalar_map=scalars))._schema


class Doorman:
    """``Bearer <name>`` is that person, ``brief`` for a moment only; ``Bearer wrong`` is nobody.

    What a person may do can change while they are in: ``ended`` may do nothing any more, ``prolonged`` may stay on,
    ``moved`` act for another organization.
    """

    def __init__(self, probe: "Probe") -> None:
        self._probe = probe
        self._watchers: set[tuple[str, Callable[[], None]]] = set()
        self.ended: set[str] = set()
        self.prolonged: set[str] = set()
        self.moved: dict[str, str] = {}
        self.renewals: list[str] = []

    async def authenticate(self, caller: Caller) -> Principal:
        self._probe.headers.append(caller.headers)
        token = caller.headers.get("authorization", "").removeprefix("Bearer ")
        if token == "":
            return ANONYMOUS
        if token == "wrong":
            raise InvalidToken
        if token == "fault":
            raise RuntimeError(SECRET)
        expires = datetime.now(UTC) + timedelta(seconds=0.2 if token == "brief" else 3600)
        organization_id = caller.headers.get("x-organization-id")
        return Principal(user_id=token, organization_id=organization_id, expires_at=expires)

    async def renew(self, principal: Principal) -> Principal | None:
        name = principal.user_id or ""
        self.renewals.append(name)
        if name in self.ended:
            return None
        if name in self.moved:
            principal = replace(principal, organization_id=self.moved[name])
        if name in self.prolonged:
            return replace(principal, expires_at=datetime.now(UTC) + timedelta(hours=1))
        return None if principal.expires_at and principal.expires_at <= datetime.now(UTC) else principal

    def watch(self, principal: Principal, changed: Callable[[], None]) -> Callable[[], None]:
        watcher = (principal.user_id or "", changed)
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    async def end(self, name: str) -> None:
        """Takes all rights from a person, and says so. Runs in the loop of the server."""
        self.ended.add(name)
        for watched, changed in tuple(self._watchers):
            if watched == name:
                changed()

    @property
    def watched(self) -> int:
        """How many sockets and streams would hear of a change."""
        return len(self._watchers)


__all__ = ["SECRET", "Context", "Doorman", "Probe", "schema"]
