"""API keys of an organization. Of the secret only its prefix and its SHA-256 are stored: it has 256 random bits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, func, or_, select, update

from datasources.database.columns import Id, UtcDateTime, any_of
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.scope import TENANT
from datasources.database.tables.access import api_keys

SHOWN = 200
"""How many keys of an organization are listed: those that hold, and after them the newest of the others."""


class ApiKeyRow(NamedTuple):
    """A key as it may be shown."""

    id: str
    organization_id: str
    name: str
    prefix: str
    scopes: list[str]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewApiKey(NamedTuple):
    """A key that is made; ``digest`` is the SHA-256 of its secret."""

    id: str
    name: str
    prefix: str
    digest: bytes
    scopes: Sequence[str]
    created_by: str
    created_at: datetime
    expires_at: datetime


class _Held(NamedTuple):
    """A key that holds, with what it may do."""

    id: str
    scopes: list[str]


_COLUMNS = tuple(api_keys.c[name] for name in ApiKeyRow._fields)
_NOW = bindparam("now", type_=UtcDateTime())
_HOLDS = and_(api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > _NOW))
_BY_IDS = select(*_COLUMNS).where(api_keys.c.organization_id == TENANT, any_of(api_keys.c.id, "ids"))
_OF_ORGANIZATION = (
    select(*_COLUMNS)
    .where(api_keys.c.organization_id == TENANT, any_of(api_keys.c.organization_id, "keys"))
    .order_by(_HOLDS.desc(), api_keys.c.created_at.desc(), api_keys.c.id.desc())
    .limit(SHOWN)
)
_HELD = select(func.count()).select_from(api_keys).where(api_keys.c.organization_id == TENANT, _HOLDS)
_MADE_BY = select(api_keys.c.id, api_keys.c.scopes).where(
    api_keys.c.organization_id == TENANT,
    api_keys.c.created_by == bindparam("maker", type_=Id),
    api_keys.c.revoked_at.is_(None),
)
_REVOKE = (
    update(api_keys)
    .where(api_keys.c.organization_id == TENANT, any_of(api_keys.c.id, "ids"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=_NOW)
    .returning(api_keys.c.id)
)
_ORGANIZATION_OF = select(api_keys.c.organization_id).where(api_keys.c.id == bindparam("key_id", type_=Id))
_USED = (
    update(api_keys)
    .where(
        any_of(api_keys.c.id, "ids"),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("before", type_=UtcDateTime())),
    )
    .values(last_used_at=bindparam("at", type_=UtcDateTime()))
)


async def api_keys_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, ApiKeyRow]:
    """Keys of the organization by id."""
    return {row.id: row for row in await scope.fetch(_BY_IDS, ApiKeyRow, {"ids": ids})}


async def api_keys_of(
    scope: Scope, organization_ids: Sequence[str], *, now: datetime
) -> dict[str, list[ApiKeyRow] | None]:
    """The keys of the tenant's organization, those that hold before the others; ``None`` for any other."""
    keys = await scope.fetch(_OF_ORGANIZATION, ApiKeyRow, {"keys": organization_ids, "now": now})
    return {each: keys if each == scope.organization_id else None for each in organization_ids}


async def held_keys(transaction: Transaction, now: datetime) -> int:
    """How many keys of the organization hold."""
    (count,) = await transaction.fetch(_HELD, int, {"now": now})
    return count


async def add_key(transaction: Transaction, key: NewApiKey) -> None:
    """Writes a key down."""
    await transaction.insert(api_keys, [{**key._asdict(), "scopes": list(key.scopes)}])


async def revoke_keys(transaction: Transaction, ids: Sequence[str], now: datetime) -> list[str]:
    """Ends keys of the organization; returns those that were not revoked before."""
    return sorted(await transaction.fetch(_REVOKE, str, {"ids": list(ids), "now": now}))


async def keys_made_by(transaction: Transaction, user_id: str) -> dict[str, frozenset[str]]:
    """The keys of the organization that a person has seen the secrets of, unless revoked, with their scopes."""
    return {key.id: frozenset(key.scopes) for key in await transaction.fetch(_MADE_BY, _Held, {"maker": user_id})}


async def organization_of_key(database: Database, key_id: str) -> str | None:
    """Which organization a key is of; ``None`` when there is no such key."""
    scope = database.unscoped("an operator revokes a key by its id alone")
    found = await scope.fetch(_ORGANIZATION_OF, str, {"key_id": key_id})
    return found[0] if found else None


async def note_uses(database: Database, ids: Sequence[str], at: datetime, *, pause: timedelta) -> None:
    """Writes when keys were last used, unless that was written within the ``pause`` before."""
    scope = database.unscoped("when keys were last used is written for those of all organizations together")
    async with scope.transaction() as transaction:
        await transaction.execute(_USED, {"ids": list(ids), "at": at, "before": at - pause})
