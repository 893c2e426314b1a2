"""What persons, sessions and keys may do at this moment: remembered, and forgotten as soon as it changes.

Every change of rights is announced in the transaction that makes it (``announce_access_change``). This process hears of
its own changes when they commit, before anybody is answered, and of those of other processes through the event log. So
a token ends at once although checking it costs no statement.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from auth.principal import Principal
from datasources.database.access import (
    ACCESS_CHANGED,
    KeyRow,
    SessionState,
    Standing,
    key_by_id,
    key_by_prefix,
    session_state,
    sessions_ended_since,
    standing_of,
)
from datasources.database.engine import Announced, Database
from datasources.database.events import EventRow

REMEMBERED = 20_000
BELIEVED_SECONDS = 30.0
"""How long a look-up is believed without a word of change; a net below the announcements, not what they rest on."""

Changed = Callable[[], None]
V = TypeVar("V")


class Rights:
    """The memory of one process. ``token_lifetime``: how long an access token can outlive its session."""

    def __init__(self, database: Database, *, token_lifetime: timedelta) -> None:
        self._database = database
        self._token_lifetime = token_lifetime
        self._standings: OrderedDict[str, tuple[float, Standing | None]] = OrderedDict()
        self._keys: OrderedDict[str, tuple[float, KeyRow | None]] = OrderedDict()
        self._ended: OrderedDict[str, datetime] = OrderedDict()
        self._watchers: dict[str, set[Changed]] = {}
        self._changes = 0

    async def __aenter__(self) -> Self:
        """Learns which tokens have lost their session already; enter it once the event log is being read."""
        self._database.after_commit.append(self._committed)
        now = datetime.now(UTC)
        for session_id in await sessions_ended_since(self._database, now - self._token_lifetime * 2):
            self._ended[session_id] = now
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hears no more."""
        self._database.after_commit.remove(self._committed)

    async def standing(self, user_id: str) -> Standing | None:
        """What a person is where; ``None`` when they may not sign in."""
        return await self._known(self._standings, user_id, lambda: standing_of(self._database, user_id))

    async def key(self, prefix: str) -> KeyRow | None:
        """The API key whose secret begins so, revoked and expired ones too."""
        return await self._known(self._keys, prefix, lambda: key_by_prefix(self._database, prefix))

    async def key_holds(self, key_id: str) -> bool:
        """Whether a key that was used once may still be."""
        key = await self._known(self._keys, key_id, lambda: key_by_id(self._database, key_id))
        return (
            key is not None
            and key.revoked_at is None
            and (key.expires_at is None or key.expires_at > datetime.now(UTC))
        )

    async def _known(self, memory: OrderedDict[str, tuple[float, V]], key: str, ask: Callable[[], Awaitable[V]]) -> V:
        """What is remembered, or what is found now and not from before a change: a socket would keep that for long."""
        known = memory.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        while True:
            seen = self._changes
            found = await ask()
            if seen == self._changes:
                _remember(memory, key, found)
                return found

    async def session(self, session_id: str) -> SessionState | None:
        """How far a session reaches now, asked anew."""
        return await session_state(self._database, session_id)

    def has_ended(self, session_id: str) -> bool:
        """Whether a session is over although a token of it may not be."""
        return session_id in self._ended

    def watch(self, principal: Principal, changed: Changed) -> Callable[[], None]:
        """Calls ``changed`` whenever the rights of this principal may have changed; returns how to stop that."""
        subjects = [each for each in (principal.user_id, principal.session_id, principal.key_id) if each is not None]
        for subject in subjects:
            self._watchers.setdefault(subject, set()).add(changed)

        def stop() -> None:
            for subject in subjects:
                watchers = self._watchers.get(subject, set())
                watchers.discard(changed)
                if not watchers:
                    self._watchers.pop(subject, None)

        return stop

    def observe(self, event: EventRow) -> None:
        """Hears of an event of any process."""
        if event.type == ACCESS_CHANGED:
            self._change(event.subject_id)

    def _committed(self, announced: Sequence[Announced]) -> None:
        for each in announced:
            if each.type == ACCESS_CHANGED:
                self._change(each.subject_id)

    def _change(self, subject_id: str) -> None:
        self._changes += 1
        match subject_id[:4]:
            case "usr_":
                self._standings.pop(subject_id, None)
            case "key_":
                self._keys.clear()  # they are known by prefix too, and change seldom
            case "ses_":
                self._end(subject_id)
        for changed in tuple(self._watchers.get(subject_id, ())):
            changed()

    def _end(self, session_id: str) -> None:
        now = datetime.now(UTC)
        self._ended[session_id] = now
        while self._ended:
            oldest, since = next(iter(self._ended.items()))
            if now - since < self._token_lifetime * 2:
                break
            del self._ended[oldest]


def _remember(memory: OrderedDict[str, tuple[float, V]], key: str, value: V) -> None:
    memory[key] = (time.monotonic() + BELIEVED_SECONDS, value)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
