"""Refusals in the audit trail, so that one that is repeated a million times is a few entries and not a million.

The first refusal of a kind is written at once. Others of its kind within the same minute are counted and written as one
entry when the minute is over, and already at the twentieth, when they are of HIGH risk. Of one actor only so many kinds
are told apart in a minute, and so many altogether; the rest is counted together.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import NOWHERE, Database, Scope

logger = logging.getLogger(__name__)

DENIED, REFUSED = "access.denied", "credential.refused"
MINUTE = 60.0
MANY = 20
"""From so many refusals of a kind within a minute on, they are of HIGH risk."""
KINDS_OF_ONE = 10
"""How many kinds of refusals of one actor are told apart within a minute."""
ADDRESSES = 100
"""From how many addresses refused credentials are told apart within a minute."""
KINDS = 10_000
"""How many kinds of refusals are told apart within a minute, of all actors together."""
WAITING = 1_000
"""How many entries may wait for a database that does not answer; the oldest are dropped first."""
RETRY_SECONDS, TRIES = 1.0, 60
"""How long after a failure an entry is tried again, and how often before it is given up."""
OTHERS = "others"
"""What is refused, or who is, where it is not told apart any more."""
NOBODY = "nobody"


class _Kind(NamedTuple):
    """What makes two refusals alike. ``organization_id`` is ``None`` where none is known."""

    organization_id: str | None
    actor: str
    action: str
    what: str


@dataclass(slots=True)
class _Counted:
    """The refusals of one kind within a minute. ``unwritten`` are those that no entry tells of yet."""

    until: float
    scope: Scope
    operation: str | None
    total: int = 0
    unwritten: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """An entry that is to be written."""

    scope: Scope
    entry: NewAuditEntry
    tries: int = 0


class Denials:
    """The refusals that one process notes. Enter it to start writing; leave it to write what is left, and stop.

    To note one takes no time and cannot fail; the entry is in the database a moment later.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self.database = database
        self._clock = clock
        self._counted: OrderedDict[_Kind, _Counted] = OrderedDict()  # the first to end first
        self._of_one: dict[_Kind, int] = {}
        self._waiting: deque[_Waiting] = deque(maxlen=WAITING)
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._task = asyncio.create_task(self._run(), name="denials")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Writes what has been counted, and stops."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        while self._counted:
            self._end(*self._counted.popitem(last=False))
        try:
            await self.settle()
        except Exception:
            logger.exception("%d entries about refusals could not be written", len(self._waiting))

    def denied(self, scope: Scope, actor: str, what: str, operation_name: str | None = None) -> None:
        """Somebody who is signed in lacks the right to ``what``, such as ``Query.auditLog``; ``scope`` is theirs."""
        self._note(_Kind(scope.organization_id, actor, DENIED, what), scope, operation_name, KINDS_OF_ONE)

    def refused(self, scope: Scope, place: str, what: str) -> None:
        """A credential does not hold: ``what`` says of which kind, and never why; ``place`` is what addresses count as.

        ``scope`` has the origin of the request; no organization is known, so the gateway's own chain tells of it.
        """
        self._note(_Kind(None, f"{NOBODY} at {place}", REFUSED, what), scope, None, ADDRESSES)

    async def settle(self) -> None:
        """Writes the entries that are due; returns when they are committed, and raises what the database raises."""
        async with self._writing:
            while self._waiting:
                next_one = self._waiting.popleft()
                try:
                    async with next_one.scope.transaction() as transaction:
                        await append_audit(transaction, next_one.entry)
                except Exception:
                    # To the end, so that one that can never be written holds up no other.
                    next_one.tries += 1
                    if next_one.tries < TRIES and len(self._waiting) < WAITING:
                        self._waiting.append(next_one)
                    raise

    def _note(self, kind: _Kind, scope: Scope, operation: str | None, most: int) -> None:
        self._end_minutes()
        kind = self._told_apart(kind, most)
        counted = self._counted.get(kind)
        if counted is None:
            counted = self._counted[kind] = _Counted(self._clock() + MINUTE, scope, operation)
            group = _group(kind)
            self._of_one[group] = self._of_one.get(group, 0) + 1
        counted.total += 1
        counted.unwritten += 1
        counted.scope, counted.operation = scope, operation
        if counted.total in (1, MANY):
            self._write(kind, counted)

    def _told_apart(self, kind: _Kind, most: int) -> _Kind:
        if kind in self._counted:
            return kind
        if len(self._counted) >= KINDS:
            return _Kind(None, OTHERS, kind.action, OTHERS)
        if self._of_one.get(_group(kind), 0) < most:
            return kind
        return kind._replace(what=OTHERS) if kind.action == DENIED else kind._replace(actor=OTHERS)

    def _end_minutes(self) -> None:
        now = self._clock()
        while self._counted:
            kind, counted = next(iter(self._counted.items()))
            if counted.until > now:
                break
            del self._counted[kind]
            self._end(kind, counted)

    def _end(self, kind: _Kind, counted: _Counted) -> None:
        group = _group(kind)
        self._of_one[group] -= 1
        if not self._of_one[group]:
            del self._of_one[group]
        if counted.unwritten:
            self._write(kind, counted)

    def _write(self, kind: _Kind, counted: _Counted) -> None:
        details: dict[str, str | int] = {"what": kind.what, "count": counted.unwritten}
        if counted.operation is not None:
            details["operation"] = counted.operation
        counted.unwritten = 0
        actor = NOBODY if kind.action == REFUSED else kind.actor
        risk = "HIGH" if counted.total >= MANY else "MEDIUM"
        origin = NOWHERE if kind.actor == OTHERS else counted.scope.origin
        scope = self.database.scoped(kind.organization_id, origin)
        if len(self._waiting) == WAITING:
            logger.error("an entry about refusals was dropped: the database takes none")
        self._waiting.append(_Waiting(scope, NewAuditEntry(actor, kind.action, None, risk, details)))
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._wake.wait()
            self._wake.clear()
            self._end_minutes()
            try:
                await self.settle()
            except Exception:
                logger.exception("refusals could not be written to the audit trail; trying again")
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    def _until_next(self) -> float | None:
        first = next(iter(self._counted.values()), None)
        return None if first is None else max(0.0, first.until - self._clock())


def _group(kind: _Kind) -> _Kind:
    """Of whom only so many kinds are told apart: an actor, or all who sent a credential that does not hold."""
    return kind._replace(what="") if kind.action == DENIED else kind._replace(actor="", what="")
