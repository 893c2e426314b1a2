"""Sessions and their refresh tokens.

A refresh token is used up by a conditional update, so that of several who present it at once, in whatever processes,
one gets through. Only the SHA-256 of a token is stored: it has 256 random bits, so that nothing slower is needed.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import LargeBinary, Text, bindparam, delete, or_, select, update

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.tables.access import refresh_tokens, sessions

KEPT = timedelta(days=30)
"""How long a session that is over can still be looked at."""

_SWEPT_AT_ONCE = 1_000


class NewSession(NamedTuple):
    """A session that begins; the fields are the columns of ``sessions``."""

    id: str
    user_id: str
    home_id: str
    method: str
    cookie: bool
    created_at: datetime
    access_until: datetime
    ends_at: datetime


class NewRefreshToken(NamedTuple):
    """A refresh token that is handed out."""

    digest: bytes
    session_id: str
    issued_at: datetime
    expires_at: datetime


class PresentedToken(NamedTuple):
    """A refresh token that somebody presents, with the session that it belongs to."""

    session_id: str
    user_id: str
    home_id: str
    cookie: bool
    ends_at: datetime
    ended_at: datetime | None
    expires_at: datetime
    used_at: datetime | None


class EndedSession(NamedTuple):
    """A session that was just ended, and the organization that it acted for."""

    id: str
    home_id: str


_BY_TOKEN = (
    select(
        sessions.c.id,
        sessions.c.user_id,
        sessions.c.home_id,
        sessions.c.cookie,
        sessions.c.ends_at,
        sessions.c.ended_at,
        refresh_tokens.c.expires_at,
        refresh_tokens.c.used_at,
    )
    .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
    .where(refresh_tokens.c.digest == bindparam("digest", type_=LargeBinary()))
)
_USE = (
    update(refresh_tokens)
    .where(refresh_tokens.c.digest == bindparam("its_digest", type_=LargeBinary()), refresh_tokens.c.used_at.is_(None))
    .values(used_at=bindparam("now", type_=UtcDateTime()))
)
_PROLONG = (
    update(sessions)
    .where(sessions.c.id == bindparam("its_id", type_=Id), sessions.c.ended_at.is_(None))
    .values(access_until=bindparam("until", type_=UtcDateTime()), home_id=bindparam("acts_for", type_=Id))
)
_END = (
    update(sessions)
    .where(sessions.c.id == bindparam("its_id", type_=Id), sessions.c.ended_at.is_(None))
    .values(ended_at=bindparam("now", type_=UtcDateTime()), end_reason=bindparam("reason", type_=Text()))
    .returning(sessions.c.id, sessions.c.home_id)
)
_END_OF_USER = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("its_user", type_=Id),
        sessions.c.ended_at.is_(None),
        sessions.c.id != bindparam("but", type_=Id),
    )
    .values(ended_at=bindparam("now", type_=UtcDateTime()), end_reason=bindparam("reason", type_=Text()))
    .returning(sessions.c.id, sessions.c.home_id)
)
_HOME = (
    select(sessions.c.home_id)
    .where(sessions.c.user_id == bindparam("user_id", type_=Id), sessions.c.ended_at.is_(None))
    .order_by(sessions.c.created_at.desc())
    .limit(1)
)
_OVER = (
    select(sessions.c.id)
    .where(
        or_(
            sessions.c.ended_at < bindparam("before", type_=UtcDateTime()),
            sessions.c.ends_at < bindparam("before", type_=UtcDateTime()),
        )
    )
    .limit(_SWEPT_AT_ONCE)
)
_EXPIRED = (
    select(refresh_tokens.c.digest)
    .where(refresh_tokens.c.expires_at < bindparam("now", type_=UtcDateTime()))
    .limit(_SWEPT_AT_ONCE)
)
_DROP_TOKENS_OF_OVER = delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(_OVER))
_DROP_OVER = delete(sessions).where(
    sessions.c.id.in_(_OVER),
    ~select(refresh_tokens.c.digest).where(refresh_tokens.c.session_id == sessions.c.id).exists(),
)
_DROP_EXPIRED = delete(refresh_tokens).where(refresh_tokens.c.digest.in_(_EXPIRED))


async def add_session(transaction: Transaction, session: NewSession) -> None:
    """Begins a session."""
    await transaction.insert(sessions, [session._asdict()])


async def add_refresh_token(transaction: Transaction, token: NewRefreshToken) -> None:
    """Hands a refresh token out."""
    await transaction.insert(refresh_tokens, [token._asdict()])


async def presented(database: Database, digest: bytes) -> PresentedToken | None:
    """The refresh token with this digest, whatever has become of it."""
    scope = database.unscoped("a refresh token is looked up before it is known whose it is")
    found = await scope.fetch(_BY_TOKEN, PresentedToken, {"digest": digest})
    return found[0] if found else None


async def use_refresh_token(transaction: Transaction, digest: bytes, now: datetime) -> bool:
    """Uses a token up; ``False`` when somebody else has done so. Whoever comes at the same time waits here."""
    return bool(await transaction.execute(_USE, {"its_digest": digest, "now": now}))


async def prolong(transaction: Transaction, session_id: str, *, access_until: datetime, home_id: str) -> bool:
    """Lets a session go on, for this organization; ``False`` when it is over."""
    values = {"its_id": session_id, "until": access_until, "acts_for": home_id}
    return bool(await transaction.execute(_PROLONG, values))


async def end_session(transaction: Transaction, session_id: str, reason: str, now: datetime) -> list[EndedSession]:
    """Ends a session; empty when it was over already. The caller announces it."""
    return await transaction.fetch(_END, EndedSession, {"its_id": session_id, "reason": reason, "now": now})


async def end_sessions_of(
    transaction: Transaction, user_id: str, reason: str, now: datetime, *, but: str | None
) -> list[EndedSession]:
    """Ends the sessions of a person, all ``but`` one. The caller announces each."""
    values = {"its_user": user_id, "reason": reason, "now": now, "but": but or ""}
    return await transaction.fetch(_END_OF_USER, EndedSession, values)


async def home_of(database: Database, user_id: str) -> str | None:
    """The organization that the newest session of a person acts for; ``None`` when they have none."""
    scope = database.unscoped("a session is a person's, whichever organization it acts for")
    found = await scope.fetch(_HOME, str, {"user_id": user_id})
    return found[0] if found else None


async def sweep_sessions(database: Database, now: datetime) -> int:
    """Removes tokens that have expired and sessions that are long over, of each at most 1,000; returns how many."""
    scope = database.unscoped("sessions that are long over go, whoever's they were")
    removed = 0
    steps = (
        (_DROP_EXPIRED, {"now": now}),
        (_DROP_TOKENS_OF_OVER, {"before": now - KEPT}),
        (_DROP_OVER, {"before": now - KEPT}),
    )
    for statement, values in steps:
        async with scope.transaction() as transaction:
            removed += await transaction.execute(statement, values)
    return removed
