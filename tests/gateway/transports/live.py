"""An endpoint whose subscriptions follow a log that a test writes, with neither a database nor platforms behind it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import strawberry
import uvicorn
from starlette.applications import Starlette

from auth.caller import Caller
from auth.principal import Principal
from datasources.database.engine import Database, Scope
from datasources.database.events import BEGINNING, EventPosition, EventRow
from gateway.graphql import GraphQLEndpoint, Limits
from gateway.graphql.wire import SocketProtocol
from gateway.serve import listeners
from schema.context import Context, Info
from schema.errors import Forbidden
from schema.streams import event_stream
from subscriptions.cursors import Cursors
from subscriptions.interest import Interest
from subscriptions.log import EventLog
from tests.gateway.transports import sample
from tests.gateway.transports.server import Gateway, _Server

ACME = "org_acme"
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class _Behind:
    events: EventLog


@dataclass
class LiveContext:
    """What the schema's own context has, as far as streams look at it."""

    services: _Behind
    scope: Scope
    live: "Live"
    probe: sample.Probe
    caller: Caller
    _principal: Principal
    depends_on_viewer: bool = False

    @property
    def organization_id(self) -> str:
        """Whose log is followed."""
        return self.scope.organization_id or ""

    @property
    def principal(self) -> Principal:
        """Who asks."""
        self.depends_on_viewer = True
        return self._principal

    @property
    def rights(self) -> Principal:
        """What they may do."""
        return self._principal


@strawberry.type
class Note:
    """Something that was noted; the event's position is its number."""

    @strawberry.field
    @staticmethod
    async def number(root: strawberry.Parent[EventRow], info: Info) -> int:
        """Waits while the test holds it; ends as what it waits for does."""
        live = cast("LiveContext", info.context).live
        live.executed.append(root.position)
        if root.position in live.cancelled:
            raise asyncio.CancelledError
        while root.position in live.held:  # noqa: ASYNC110 -- the test is in another thread
            await asyncio.sleep(0.002)
        return root.position

    @strawberry.field
    @staticmethod
    def cursor(root: strawberry.Parent[EventRow], info: Info) -> str:
        """As of any event."""
        return info.context.services.events.cursors.encode(root.organization_id, root.place)

    @strawberry.field
    @staticmethod
    def text(root: strawberry.Parent[EventRow], length: int) -> str:
        """So much of it."""
        found: str = root.data["text"]
        return found[:length]


def _select_notes(context: Context) -> Interest:
    if "none" in context.rights.scopes:
        raise Forbidden("Notes are not for you.")
    return Interest(frozenset({"Noted"}))


def _select_mine(context: Context) -> Interest:
    return Interest(frozenset({"Noted"}), subject_id=context.principal.user_id)


@strawberry.type
class Subscription:
    """All notes, and those about oneself."""

    noted = event_stream(Note, _select_notes, description="Notes.")
    mine = event_stream(Note, _select_mine, description="Notes about the person who asks.")


class LiveDoorman(sample.Doorman):
    """Everybody is of Acme. ``scopes``: what persons may do since that changed. ``broken``: nobody can be asked."""

    def __init__(self, probe: sample.Probe) -> None:
        super().__init__(probe)
        self.scopes: dict[str, frozenset[str]] = {}
        self.broken = False
        self.held = threading.Event()
        self.held.set()

    async def authenticate(self, caller: Caller) -> Principal:
        return replace(await super().authenticate(caller), organization_id=ACME)

    async def renew(self, principal: Principal) -> Principal | None:
        while not self.held.is_set():  # noqa: ASYNC110 -- the test is in another thread
            await asyncio.sleep(0.002)
        if self.broken:
            raise ConnectionError(sample.SECRET)
        renewed = await super().renew(principal)
        scopes = self.scopes.get(principal.user_id or "")
        return renewed if renewed is None or scopes is None else replace(renewed, scopes=scopes)

    async def change(self, name: str) -> None:
        """Says that the rights of a person have changed. Runs in the loop of the server."""
        for watched, changed in tuple(self._watchers):
            if watched == name:
                changed()


class Live(Gateway):
    """The running endpoint. ``wire``: whether the server lets sockets be written to directly, as the gateway's does."""

    def __init__(self, limits: Limits, *, wire: bool = True, unacknowledged_seconds: float = 60.0) -> None:
        self.probe = sample.Probe()
        self.doorman: LiveDoorman = LiveDoorman(self.probe)
        self.log = EventLog(cast("Database", None), Cursors(bytes(32)), remembered=100_000)
        self.executed: list[int] = []
        self.held: set[int] = set()
        self.cancelled: set[int] = set()
        """Notes for which what they wait for is cancelled, by nobody who has to do with them."""
        self.limits = limits
        self.endpoint = GraphQLEndpoint(
            sample.schema(Subscription),
            authentication=self.doorman,
            make_context=self._make_live_context,
            limits=limits,
            event_id=lambda value: (
                self.log.cursors.encode(value.organization_id, value.place) if isinstance(value, EventRow) else None
            ),
        )
        (self._listener,) = listeners("127.0.0.1", 0, unacknowledged_seconds=unacknowledged_seconds)
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/graphql"
        protocol: dict[str, Any] = {"ws": SocketProtocol, "loop": "uvloop"} if wire else {}
        config = uvicorn.Config(
            Starlette(routes=self.endpoint.routes),
            log_config=None,
            access_log=False,
            http="httptools",
            lifespan="off",
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=5,
            **protocol,
        )
        self._server = _Server(config, self.endpoint)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))

    def _make_live_context(self, principal: Principal, caller: Caller) -> LiveContext:
        scope = Scope(cast("Database", None), principal.organization_id)
        return LiveContext(_Behind(self.log), scope, self, self.probe, caller, principal)

    async def note(self, *texts: str, about: str = "nobody") -> list[int]:
        """Notes something, all in one go; returns the numbers."""

        async def hand_out() -> list[int]:
            first = self.log.position.position + 1
            batch = [
                EventRow(0, first + n, f"evt_{first + n}", ACME, "test", "Noted", None, about, _AT, {"text": text})
                for n, text in enumerate(texts)
            ]
            self.log._hand_out(batch)
            return [event.position for event in batch]

        return await self.on_loop(hand_out())

    def cursor(self, number: int) -> str:
        """The cursor of a note; of none: that of the beginning."""
        return self.log.cursors.encode(ACME, EventPosition(0, number) if number else BEGINNING)


@contextmanager
def live(limits: Limits | None = None, **options: Any) -> Iterator[Live]:
    """Runs an endpoint while the context lasts."""
    with Live(limits or Limits(), **options) as running:
        yield running
