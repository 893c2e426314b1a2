"""Organizations, people and who belongs where."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, or_, select

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
# Somebody sees of themself, beyond the organization that they act for, which other ones they could act for.
_HERE = bindparam("here", type_=Id)
_VIEWER = bindparam("viewer", type_=Id)
_PEOPLE_SEEN = select(*(users.c[name] for name in UserRow._fields)).where(
    any_of(users.c.id, "ids"),
    or_(
        users.c.id == _VIEWER,
        users.c.id.in_(select(memberships.c.user_id).where(memberships.c.organization_id == _HERE)),
    ),
)
_MEMBERSHIPS_SEEN = (
    select(*(memberships.c[name] for name in MembershipRow._fields))
    .where(
        any_of(memberships.c.user_id, "keys"),
        or_(memberships.c.organization_id == _HERE, memberships.c.user_id == _VIEWER),
    )
    .order_by(memberships.c.joined_at, memberships.c.organization_id)
)
_ORGANIZATIONS_SEEN = select(*(organizations.c[name] for name in OrganizationRow._fields)).where(
    any_of(organizations.c.id, "ids"),
    or_(
        organizations.c.id == _HERE,
        organizations.c.id.in_(select(memberships.c.organization_id).where(memberships.c.user_id == _VIEWER)),
    ),
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


async def members_of(scope: Scope, organization_ids: Sequence[str]) -> dict[str, list[MembershipRow] | None]:
    """The members of the tenant's organization, longest first; ``None`` for any other."""
    members = await scope.fetch(_MEMBERS_OF, MembershipRow, {"keys": organization_ids})
    return {each: members if each == scope.organization_id else None for each in organization_ids}


async def people_seen(scope: Scope, ids: Sequence[str], viewer: str | None) -> dict[str, UserRow]:
    """As ``users_by_id``, and the viewer themself wherever they are looking from."""
    rows = await _beyond(scope).fetch(_PEOPLE_SEEN, UserRow, {"ids": ids, **_eyes(scope, viewer)})
    return {row.id: row for row in rows}


async def memberships_seen(scope: Scope, user_ids: Sequence[str], viewer: str | None) -> dict[str, list[MembershipRow]]:
    """What each person is in the tenant's organization, and what the viewer is in all of theirs; longest first."""
    found: dict[str, list[MembershipRow]] = {}
    parameters = {"keys": user_ids, **_eyes(scope, viewer)}
    for row in await _beyond(scope).fetch(_MEMBERSHIPS_SEEN, MembershipRow, parameters):
        found.setdefault(row.user_id, []).append(row)
    return found


async def organizations_seen(scope: Scope, ids: Sequence[str], viewer: str | None) -> dict[str, OrganizationRow]:
    """The tenant's own organization and the others of the viewer, as far as they are among the ids."""
    rows = await _beyond(scope).fetch(_ORGANIZATIONS_SEEN, OrganizationRow, {"ids": ids, **_eyes(scope, viewer)})
    return {row.id: row for row in rows}


def _beyond(scope: Scope) -> Scope:
    return scope.database.unscoped("somebody sees which organizations they belong to, also beside this one")


def _eyes(scope: Scope, viewer: str | None) -> dict[str, str | None]:
    return {"here": scope.organization_id, "viewer": viewer}


async def memberships_of(database: Database, user_id: str) -> list[MembershipRow]:
    """Every organization of a person, longest first."""
    scope = database.unscoped("a person signs in to one of their own organizations")
    return await scope.fetch(_MEMBERSHIPS_OF_USER, MembershipRow, {"user_id": user_id})
