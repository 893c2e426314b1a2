"""Organizations, people and who belongs where."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, select

from datasources.database.columns import Id, any_of
from datasources.database.engine import Database, Scope
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import memberships, organizations, users


class OrganizationRow(NamedTuple):
    """A row of ``organizations``."""

    id: str
    name: str
    slug: str
    capabilities: list[str]
    created_at: datetime


class UserRow(NamedTuple):
    """A row of ``users``, without what proves who they are."""

    id: str
    email: str
    name: str | None
    avatar_url: str | None
    bio: str | None
    company: str | None
    website: str | None
    skills: list[str]
    interests: list[str]
    preferences: dict[str, Any]
    created_at: datetime


class MembershipRow(NamedTuple):
    """A person's place in an organization."""

    organization_id: str
    user_id: str
    role: str
    joined_at: datetime


class Credentials(NamedTuple):
    """What a sign-in is checked against."""

    user_id: str
    password_hash: str | None
    disabled_at: datetime | None


_MINE = select(*(organizations.c[name] for name in OrganizationRow._fields)).where(organizations.c.id == TENANT)
_ORGANIZATIONS_BY_ID = _MINE.where(any_of(organizations.c.id, "ids"))
# A person is visible to the organizations that they belong to, and to no other.
_USERS_BY_ID = (
    select(*(users.c[name] for name in UserRow._fields))
    .join(memberships, memberships.c.user_id == users.c.id)
    .where(memberships.c.organization_id == TENANT, any_of(users.c.id, "ids"))
)
_MEMBERS_OF = (
    select(*(memberships.c[name] for name in MembershipRow._fields))
    .where(memberships.c.organization_id == TENANT, any_of(memberships.c.organization_id, "keys"))
    .order_by(memberships.c.joined_at, memberships.c.user_id)
)
_MEMBERSHIPS_HERE = (
    select(*(memberships.c[name] for name in MembershipRow._fields))
    .where(memberships.c.organization_id == TENANT, any_of(memberships.c.user_id, "keys"))
    .order_by(memberships.c.joined_at)
)
_CREDENTIALS = select(users.c.id, users.c.password_hash, users.c.disabled_at).where(
    users.c.email_key == bindparam("email_key", type_=Text())
)
_MEMBERSHIPS_OF_USER = (
    select(*(memberships.c[name] for name in MembershipRow._fields))
    .where(memberships.c.user_id == bindparam("user_id", type_=Id))
    .order_by(memberships.c.joined_at, memberships.c.organization_id)
)


async def organizations_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, OrganizationRow]:
    """The tenant's own organization, if it is among the ids."""
    return {row.id: row for row in await scope.fetch(_ORGANIZATIONS_BY_ID, OrganizationRow, {"ids": ids})}


async def users_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, UserRow]:
    """Members of the tenant's organization by id."""
    return {row.id: row for row in await scope.fetch(_USERS_BY_ID, UserRow, {"ids": ids})}


async def members_of(scope: Scope, organization_ids: Sequence[str]) -> dict[str, list[MembershipRow]]:
    """The members of the tenant's organization, longest first."""
    found: dict[str, list[MembershipRow]] = {}
    for row in await scope.fetch(_MEMBERS_OF, MembershipRow, {"keys": organization_ids}):
        found.setdefault(row.organization_id, []).append(row)
    return found


async def memberships_here(scope: Scope, user_ids: Sequence[str]) -> dict[str, list[MembershipRow]]:
    """What each person is in the tenant's organization."""
    found: dict[str, list[MembershipRow]] = {}
    for row in await scope.fetch(_MEMBERSHIPS_HERE, MembershipRow, {"keys": user_ids}):
        found.setdefault(row.user_id, []).append(row)
    return found


async def credentials(database: Database, email_key: str) -> Credentials | None:
    """What to check a sign-in with this address against; ``email_key`` is the address in lower case."""
    scope = database.unscoped("sign-in knows an address before it knows an organization")
    rows = await scope.fetch(_CREDENTIALS, Credentials, {"email_key": email_key})
    return rows[0] if rows else None


async def memberships_of(database: Database, user_id: str) -> list[MembershipRow]:
    """Every organization of a person, longest first."""
    scope = database.unscoped("a person signs in to one of their own organizations")
    return await scope.fetch(_MEMBERSHIPS_OF_USER, MembershipRow, {"user_id": user_id})
