"""What a person or key may do at this moment, as the database has it, and the word that it changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Text, bindparam, select

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.events import NewEvent, append_event
from datasources.database.tables.access import api_keys, sessions
from datasources.database.tables.gateway import memberships, users

ACCESS_CHANGED = "AccessChanged"
"""The event that tells every process to forget what it knew of a person, session or key; no client sees it."""

GATEWAY = "tributary"
"""The platform of events of the gateway itself."""


class Standing(NamedTuple):
    """A person's organizations with their role in each, the first joined first; none for who may not sign in."""

    roles: Mapping[str, str]


class KeyRow(NamedTuple):
    """An API key, as it is checked."""

    id: str
    organization_id: str
    digest: bytes
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None


class SessionState(NamedTuple):
    """How far a session reaches; ``ended_at`` is set when it is over."""

    access_until: datetime
    ended_at: datetime | None


class _Place(NamedTuple):
    organization_id: str
    role: str


_PLACES = (
    select(memberships.c.organization_id, memberships.c.role)
    .join(users, users.c.id == memberships.c.user_id)
    .where(
        memberships.c.user_id == bindparam("user_id", type_=Id),
        users.c.disabled_at.is_(None),
        users.c.deleted_at.is_(None),
    )
    .order_by(memberships.c.joined_at, memberships.c.organization_id)
)
_USABLE = select(users.c.id).where(
    users.c.id == bindparam("user_id", type_=Id), users.c.disabled_at.is_(None), users.c.deleted_at.is_(None)
)
_KEY = select(*(api_keys.c[name] for name in KeyRow._fields)).where(
    api_keys.c.prefix == bindparam("prefix", type_=Text())
)
_KEY_BY_ID = select(*(api_keys.c[name] for name in KeyRow._fields)).where(
    api_keys.c.id == bindparam("key_id", type_=Id)
)
_ENDED = select(sessions.c.id).where(sessions.c.ended_at >= bindparam("since", type_=UtcDateTime()))
_STATE = select(sessions.c.access_until, sessions.c.ended_at).where(sessions.c.id == bindparam("session_id", type_=Id))


async def standing_of(database: Database, user_id: str) -> Standing | None:
    """What a person is in which organizations; ``None`` when there is no such person, or they may not sign in."""
    scope = database.unscoped("who asks is looked up before it is known for which organization")
    places = await scope.fetch(_PLACES, _Place, {"user_id": user_id})
    if not places and not await scope.fetch(_USABLE, str, {"user_id": user_id}):
        return None
    return Standing({place.organization_id: place.role for place in places})


async def key_by_prefix(database: Database, prefix: str) -> KeyRow | None:
    """The API key whose secret begins so."""
    scope = database.unscoped("a key says by itself which organization it is of")
    found = await scope.fetch(_KEY, KeyRow, {"prefix": prefix})
    return found[0] if found else None


async def key_by_id(database: Database, key_id: str) -> KeyRow | None:
    """The API key with this id."""
    scope = database.unscoped("a key that is in use is looked at again")
    found = await scope.fetch(_KEY_BY_ID, KeyRow, {"key_id": key_id})
    return found[0] if found else None


async def sessions_ended_since(database: Database, since: datetime) -> list[str]:
    """The ids of the sessions that ended then or later."""
    scope = database.unscoped("a process that starts learns which access tokens have lost their session")
    return await scope.fetch(_ENDED, str, {"since": since})


async def session_state(database: Database, session_id: str) -> SessionState | None:
    """How far a session reaches now."""
    scope = database.unscoped("a session is a person's, not an organization's")
    found = await scope.fetch(_STATE, SessionState, {"session_id": session_id})
    return found[0] if found else None


async def announce_access_change(transaction: Transaction, subject_id: str) -> None:
    """Tells every process, once the transaction commits, that the rights of a person, session or key have changed.

    The transaction must be scoped to an organization, whichever the change has to do with.
    """
    await append_event(transaction, NewEvent(GATEWAY, ACCESS_CHANGED, subject_id, None, {}))
