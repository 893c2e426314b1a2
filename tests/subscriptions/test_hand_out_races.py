"""Followers come, go, are stopped and go on at any moment of a hand-out, and each still gets exactly what it should.

Everything but the table and the execution is the real thing. What takes time takes a random number of turns of the
loop; a run is repeated by its seed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import pytest

from auth.caller import Caller
from auth.principal import Principal
from datasources.database.engine import Database, Scope
from datasources.database.events import BEGINNING, EventPosition, EventRow
from gateway.graphql import shared_execution
from gateway.graphql.fanout import Fanout, Follower
from gateway.graphql.masking import RequestError
from gateway.graphql.opened import Opened, Opening, Response, Viewer
from gateway.graphql.payload import Batch, Payload
from schema.streams import EventStream
from subscriptions import log as log_module
from subscriptions.cursors import Cursors
from subscriptions.interest import Interest
from subscriptions.log import EventLog

pytestmark = pytest.mark.anyio

SEEDS = range(24)
TYPES = frozenset({"Moved"})
ORGANIZATIONS = ("org_1", "org_2")
SUBJECTS = ("ord_1", "ord_2")
PERSONS = ("usr_1", "usr_2", "usr_3")
QUEUE, REMEMBERED = 40, 30
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Selection:
    """What followers have asked for in the same words; ``personal``: whether the answer depends on the person."""

    organization_id: str
    subject_id: str | None
    personal: bool


class World:
    """A log that a test writes, and the followers of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- to be had again
        self.table: list[EventRow] = []
        self.log = EventLog(cast("Database", None), Cursors(bytes(32)), queue_size=QUEUE, remembered=REMEMBERED)
        self.fanout = Fanout()
        self.executed: Counter[tuple[Selection, int, str | None]] = Counter()
        self.failures = 0.0
        """How many executions of a hundred fail."""
        self.outages = 0.0
        """How many looks at the table of a hundred fail."""

    async def events_after(
        self, scope: Scope, after: EventPosition, limit: int, *, until: EventPosition, types: Collection[str]
    ) -> list[EventRow]:
        """Stands for the table."""
        await self.turns()
        if self.random.random() * 100 < self.outages:
            raise ConnectionError("the database is away")
        found = [
            row
            for row in self.table
            if row.organization_id == scope.organization_id and row.type in types and after < row.place <= until
        ]
        return found[:limit]

    async def turns(self, most: int = 4) -> None:
        """Lets others run, for a while."""
        for _ in range(self.random.randrange(most + 1)):
            await asyncio.sleep(0)

    def happen(self, count: int) -> None:
        """So many events, handed out together as the tail does it."""
        batch = [
            EventRow(
                0,
                len(self.table) + number + 1,
                f"evt_{len(self.table) + number + 1}",
                self.random.choice(ORGANIZATIONS),
                "test",
                self.random.choice(("Moved", "Moved", "Moved", "Other")),
                None,
                self.random.choice(SUBJECTS),
                _AT,
                {},
            )
            for number in range(count)
        ]
        self.table.extend(batch)
        self.log._hand_out(batch)

    def opened(self, selection: Selection, after: EventPosition | None) -> Opened:
        """A subscription as the engine would open it."""
        scope = Scope(cast("Database", None), selection.organization_id)
        interest = Interest(TYPES, subject_id=selection.subject_id)

        async def execute(value: object, viewer: Viewer) -> Response:
            assert isinstance(value, EventRow)
            await self.turns()
            if self.random.random() * 100 < self.failures:
                raise RequestError.of("Something was not there for a moment.")
            person = viewer.principal.user_id if selection.personal else None
            self.executed[selection, value.position, person] += 1
            return Response(Payload(f"{value.position}:{person}".encode()), selection.personal)

        async def opening(_: Viewer) -> Opening:
            raise NotImplementedError

        return Opened(selection, EventStream(self.log, scope, interest, after), execute, opening)


@dataclass
class Client:
    """One that resumes whenever it is let go, as clients do; ``seen`` is what it was told in all."""

    world: World
    selection: Selection
    person: str
    slow: bool
    began: EventPosition = BEGINNING
    seen: list[str] = field(default_factory=list)
    follower: Follower | None = None
    stopped: bool = True
    ended: RequestError | None = None

    def begin(self, after: EventPosition | None) -> None:
        """Subscribes."""
        self.follower = Follower(self.world.fanout, self, Caller(), lambda _: self.world.opened(self.selection, after))
        self.start()

    def start(self) -> None:
        """Begins, or goes on."""
        assert self.follower is not None
        self.stopped, self.ended = False, None
        self.follower.start(Principal(user_id=self.person, organization_id=self.selection.organization_id))

    def stop(self) -> None:
        """Its rights are being looked at, or it leaves."""
        assert self.follower is not None
        self.follower.suspend()
        self.stopped = True

    def come_back(self) -> None:
        """After it was let go: from where it was told to, or from the last that it saw."""
        assert self.ended is not None
        extensions = self.ended.errors[0]["extensions"]
        assert isinstance(extensions, dict)
        cursor, after = extensions.get("resumeAfter"), self._last_seen()
        if cursor is not None:
            told = self.world.log.cursors.decode(self.selection.organization_id, str(cursor))
            assert told is not None
            assert told >= after
            after = told
        self.begin(after)

    def _last_seen(self) -> EventPosition:
        return EventPosition(0, int(self.seen[-1].partition(":")[0])) if self.seen else self.began

    def expected(self) -> list[str]:
        """What it should have seen once nothing is on its way any more."""
        person = self.person if self.selection.personal else None
        interest = Interest(TYPES, subject_id=self.selection.subject_id)
        return [
            f"{row.position}:{person}"
            for row in self.world.table
            if row.organization_id == self.selection.organization_id and row.place > self.began and interest.fits(row)
        ]

    def take(self, batch: Batch) -> bool:
        assert not self.stopped
        assert self.ended is None
        self.seen += [payload.body.decode() for payload in batch.payloads]
        return not (self.slow and self.world.random.random() < 0.1)

    async def room(self) -> None:
        await self.world.turns()

    def end(self, refusal: RequestError) -> None:
        assert not self.stopped
        assert self.ended is None
        extensions = refusal.errors[0]["extensions"]
        assert isinstance(extensions, dict)
        if extensions["code"] == "INTERNAL":
            assert "resumeAfter" in extensions, "a fault of ours names where to go on from"
        if extensions["code"] == "RATE_LIMITED":
            assert self.slow, "who takes all that it is given is never let go, however much happens at once"
        self.ended = refusal


def _join(world: World) -> Client:
    choose = world.random.choice
    selection = Selection(choose(ORGANIZATIONS), choose((None, *SUBJECTS)), choose((False, False, True)))
    client = Client(world, selection, choose(PERSONS), slow=world.random.random() < 0.2)
    if world.random.random() < 0.5:
        client.began = world.log.position
        client.begin(None)
    else:
        client.began = EventPosition(0, world.random.randrange(len(world.table) + 1))
        client.begin(client.began)
    return client


def _meddle(world: World, client: Client) -> bool:
    """Does something to a client, in one step of the loop; says whether it has left for good."""
    if client.ended is not None:
        client.come_back()
    elif client.stopped:
        client.start()
        if world.random.random() < 0.3:
            client.stop()
    else:
        client.stop()
        if world.random.random() < 0.4:
            client.start()
        elif world.random.random() < 0.4:
            return True
    return False


@pytest.fixture
def world_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], World]:
    """Makes worlds whose groups remember little, so that what they forget is asked for again."""

    async def never_cut(_: Scope) -> None:
        return None

    def make(seed: int) -> World:
        world = World(seed)
        monkeypatch.setattr(log_module, "events_after", world.events_after)
        monkeypatch.setattr(log_module, "horizon_of", never_cut)
        if seed % 2:
            monkeypatch.setattr(shared_execution, "_REMEMBERED", 20)
            monkeypatch.setattr(shared_execution, "_REMEMBERED_BYTES", 60)
            monkeypatch.setattr(shared_execution, "_REMEMBERED_SECONDS", 0.0)
        return world

    return make


async def _settled(world: World, clients: Sequence[Client]) -> None:
    """Brings everybody back, until all have all."""
    world.failures = world.outages = 0.0
    for _ in range(200):
        for client in clients:
            if client.stopped or client.ended is not None:
                client.come_back() if client.ended is not None else client.start()
        for _ in range(20):
            await asyncio.sleep(0)
        if all(client.seen == client.expected() for client in clients):
            return


async def _nothing_left(world: World) -> None:
    for _ in range(50):
        await asyncio.sleep(0)
    assert not world.fanout.groups
    assert not world.fanout.followers
    assert world.log.listeners == 0
    assert world.fanout.remembered.bytes == 0
    assert not {task.get_name() for task in asyncio.all_tasks()} & {"fan-out", "catching-up", "shared-execution"}


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_gets_exactly_what_it_should(world_of: Callable[[int], World], seed: int) -> None:
    world = world_of(seed)
    world.failures, world.outages = (0.0, 0.5)[seed % 3 == 0], (0.0, 20.0)[seed % 4 == 1]
    clients, left = [_join(world) for _ in range(6)], []
    for _ in range(150):
        match world.random.randrange(10):
            case 0 | 1 | 2 | 3:
                world.happen(world.random.choice((1, 1, 1, 2, 5, 20, 2 * QUEUE)))
            case 4:
                clients.append(_join(world))
            case _ if clients:
                client = world.random.choice(clients)
                if _meddle(world, client):
                    clients.remove(client)
                    left.append(client)
        await world.turns()
    await _settled(world, clients)
    for client in clients:
        assert client.seen == client.expected()
    for client in left:
        assert client.seen == client.expected()[: len(client.seen)]
    for client in clients:
        client.stop()
    await _nothing_left(world)


async def test_who_leaves_in_the_step_in_which_it_came_leaves_nothing(world_of: Callable[[int], World]) -> None:
    world = world_of(0)
    world.happen(10)
    client = Client(world, Selection(ORGANIZATIONS[0], None, personal=False), PERSONS[0], slow=False)
    client.begin(BEGINNING)
    client.stop()
    await _nothing_left(world)
    client.start()
    await _settled(world, [client])
    assert client.seen == client.expected() != []
    client.stop()
    await _nothing_left(world)


@pytest.mark.parametrize("seed", range(8))
async def test_each_has_the_figures_of_the_last_moment(world_of: Callable[[int], World], seed: int) -> None:
    """Of a stream that opens with figures and sends them again: nobody is left with old ones, or told of an event."""
    world = world_of(seed)
    figures = [_Figures(world) for _ in range(6)]
    for _ in range(100):
        if world.random.random() < 0.5:
            world.happen(world.random.choice((1, 1, 5, 2 * QUEUE)))
        else:
            each = world.random.choice(figures)
            each.stop() if each.following else each.start()
            if world.random.random() < 0.3:
                each.stop() if each.following else each.start()
        await world.turns()
    world.happen(1)
    for each in figures:
        if not each.following:
            each.start()
    for _ in range(200):
        await asyncio.sleep(0.0005)
        if all(each.seen[-1:] == [each.count()] for each in figures):
            break
    for each in figures:
        assert each.seen[-1] == each.count()
        assert all(one != other for one, other in pairwise(each.seen))
        each.stop()
    await _nothing_left(world)


class _Figures:
    """Somebody who follows how many events there are, and reads at once."""

    def __init__(self, world: World) -> None:
        self.seen: list[int] = []
        self.following = False
        self._world = world
        self._follower = Follower(world.fanout, self, Caller(), lambda _: self._opened())

    def _opened(self) -> Opened:
        world = self._world

        async def execute(value: object, _: Viewer) -> Response:
            raise AssertionError(value)

        async def opening(_: Viewer) -> Opening:
            await world.turns()
            count = self.count()
            await world.turns()
            return Opening([Payload(str(count).encode())], personal=False)

        interest = Interest(frozenset({"Moved", "Other"}))
        scope = Scope(cast("Database", None), ORGANIZATIONS[0])
        stream = EventStream(world.log, scope, interest, None, self._never, every=0.0001)
        return Opened("figures", stream, execute, opening)

    def count(self) -> int:
        """The figure of this moment."""
        return sum(row.organization_id == ORGANIZATIONS[0] for row in self._world.table)

    async def _never(self, _: object) -> Sequence[object]:
        raise NotImplementedError

    def start(self) -> None:
        self.following = True
        self._follower.start(Principal(user_id=PERSONS[0], organization_id=ORGANIZATIONS[0]))

    def stop(self) -> None:
        self.following = False
        self._follower.suspend()

    def take(self, batch: Batch) -> bool:
        assert self.following
        self.seen += [int(payload.body) for payload in batch.payloads]
        return True

    async def room(self) -> None:
        pass

    def end(self, refusal: RequestError) -> None:
        raise refusal
