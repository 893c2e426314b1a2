"""Members of an organization, as its administrators change them, and the organization itself."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Text, Update, bindparam, delete, select, update

from datasources.database.accounts import MembershipRow
from datasources.database.columns import Id
from datasources.database.engine import Scope, Transaction
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import memberships, organizations, users

CHANGEABLE = frozenset({"name", "capabilities"})
"""The columns of ``organizations`` that its administrators fill in."""


class Named(NamedTuple):
    """Somebody, as others are told who they are."""

    name: str | None
    email: str


_WHOM = memberships.c.user_id == bindparam("whom", type_=Id)
_PLACE = select(*(memberships.c[name] for name in MembershipRow._fields)).where(
    memberships.c.organization_id == TENANT, _WHOM
)
_REMOVE = delete(memberships).where(memberships.c.organization_id == TENANT, _WHOM)
_AT_ADDRESS = (
    select(users.c.id)
    .join(memberships, memberships.c.user_id == users.c.id)
    .where(memberships.c.organization_id == TENANT, users.c.email_key == bindparam("email_key", type_=Text()))
)
_NAMED = select(users.c.name, users.c.email).where(users.c.id == bindparam("user_id", type_=Id))
_ORGANIZATION_NAME = select(organizations.c.name).where(organizations.c.id == TENANT)


async def place_of(scope: Scope, user_id: str) -> MembershipRow | None:
    """A person's place in the organization."""
    found = await scope.fetch(_PLACE, MembershipRow, {"whom": user_id})
    return found[0] if found else None


async def remove_member(transaction: Transaction, user_id: str) -> None:
    """Takes a person out of the organization."""
    await transaction.execute(_REMOVE, {"whom": user_id})


async def is_member_address(transaction: Transaction, email_key: str) -> bool:
    """Whether a member of the organization has this address, in lower case."""
    return bool(await transaction.fetch(_AT_ADDRESS, str, {"email_key": email_key}))


async def named(transaction: Transaction, user_id: str) -> Named | None:
    """How a person is called."""
    found = await transaction.fetch(_NAMED, Named, {"user_id": user_id})
    return found[0] if found else None


async def organization_name(transaction: Transaction) -> str:
    """The name of the organization; raises ``LookupError`` when there is none."""
    found = await transaction.fetch(_ORGANIZATION_NAME, str)
    if not found:
        raise LookupError("there is no such organization")
    return found[0]


async def change_organization(transaction: Transaction, values: Mapping[str, str | Sequence[str]]) -> bool:
    """Sets columns of ``CHANGEABLE``; ``False`` when there is no such organization."""
    named_values = {f"new_{name}": value for name, value in values.items()}
    return bool(await transaction.execute(_change(frozenset(values)), named_values))


@lru_cache(maxsize=4)
def _change(names: frozenset[str]) -> Update:
    if not names or not names <= CHANGEABLE:
        raise ValueError(f"not for administrators to change: {', '.join(sorted(names - CHANGEABLE))}")
    values = {name: bindparam(f"new_{name}", type_=organizations.c[name].type) for name in sorted(names)}
    return update(organizations).where(organizations.c.id == TENANT).values(values)
