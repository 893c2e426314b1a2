"""What becomes of an account that its person deletes.

What is kept for the books (orders, histories, the audit trail) names people by their ids only. So the row of the person
stays, with nothing of them in it, and all that is about them elsewhere goes.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Text, and_, bindparam, case, delete, func, or_, select, update

from datasources.database.columns import Id, Json, UtcDateTime, any_of
from datasources.database.engine import Transaction
from datasources.database.tables.access import api_keys, familiar_places, identities, invitations, mail_links
from datasources.database.tables.gateway import memberships, organizations, users

OWNER = "OWNER"


class Belonging(NamedTuple):
    """What a person is in an organization, and how many people and usable owners it has beside them."""

    organization_id: str
    organization: str
    role: str
    others: int
    other_owners: int


class RevokedKey(NamedTuple):
    """An API key that no longer holds."""

    id: str
    organization_id: str


_USER = bindparam("user_id", type_=Id)
_NOW = bindparam("now", type_=UtcDateTime())
_LOCK_ORGANIZATIONS = (
    select(organizations.c.id)
    .where(organizations.c.id.in_(select(memberships.c.organization_id).where(memberships.c.user_id == _USER)))
    .order_by(organizations.c.id)
    .with_for_update()
)
_LOCK_USER = select(users.c.password_hash).where(users.c.id == _USER, users.c.deleted_at.is_(None)).with_for_update()
_other = memberships.alias("other")
_other_user = users.alias("other_user")
_BELONGINGS = (
    select(
        memberships.c.organization_id,
        organizations.c.name,
        memberships.c.role,
        func.count(_other.c.user_id),
        func.count(case((and_(_other.c.role == OWNER, _other_user.c.disabled_at.is_(None)), _other.c.user_id))),
    )
    .join(organizations, organizations.c.id == memberships.c.organization_id)
    .outerjoin(
        _other,
        and_(_other.c.organization_id == memberships.c.organization_id, _other.c.user_id != memberships.c.user_id),
    )
    .outerjoin(_other_user, _other_user.c.id == _other.c.user_id)
    .where(memberships.c.user_id == _USER)
    .group_by(memberships.c.organization_id, organizations.c.name, memberships.c.role)
    .order_by(memberships.c.organization_id)
)
_REVOKE_KEYS = (
    update(api_keys)
    .where(any_of(api_keys.c.organization_id, "closed"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=_NOW)
    .returning(api_keys.c.id, api_keys.c.organization_id)
)
_WITHDRAW_INVITATIONS = (
    update(invitations)
    .where(
        any_of(invitations.c.organization_id, "closed"),
        invitations.c.accepted_at.is_(None),
        invitations.c.withdrawn_at.is_(None),
    )
    .values(withdrawn_at=_NOW)
)
_LEAVE = delete(memberships).where(memberships.c.user_id == _USER)
_FORGET_INVITATION = (
    update(invitations)
    .where(invitations.c.accepted_by == _USER)
    .values(email=bindparam("pseudonym", type_=Text()), email_key=bindparam("pseudonym", type_=Text()))
)
_FORGET = (
    delete(identities).where(identities.c.user_id == _USER),
    delete(familiar_places).where(familiar_places.c.user_id == _USER),
)
_FORGET_LINKS = delete(mail_links).where(
    or_(mail_links.c.user_id == _USER, mail_links.c.email_key == bindparam("address", type_=Text()))
)
_PSEUDONYMISE = (
    update(users)
    .where(users.c.id == _USER)
    .values(
        email=bindparam("pseudonym", type_=Text()),
        email_key=bindparam("pseudonym", type_=Text()),
        password_hash=None,
        name=None,
        avatar_url=None,
        bio=None,
        company=None,
        website=None,
        skills=bindparam("no_texts", type_=Json),
        interests=bindparam("no_texts", type_=Json),
        preferences=bindparam("no_preferences", type_=Json),
        email_verified_at=None,
        deleted_at=_NOW,
    )
)


def everywhere(transaction: Transaction) -> Transaction:
    """The same unit of work over all organizations."""
    scope = transaction.scope.database.unscoped("an account is deleted in all organizations of its person at once")
    return Transaction(scope, transaction.connection)


async def lock_account(transaction: Transaction, user_id: str) -> str | None:
    """Keeps others from changing who belongs where until the transaction ends; returns the hash of the password.

    Organizations come before people, in the order of their ids, here as wherever several are locked.
    """
    await everywhere(transaction).fetch(_LOCK_ORGANIZATIONS, str, {"user_id": user_id})
    found = await transaction.fetch(_LOCK_USER, _Hash, {"user_id": user_id})
    return found[0].password_hash if found else None


class _Hash(NamedTuple):
    password_hash: str | None


async def belongings_of(transaction: Transaction, user_id: str) -> list[Belonging]:
    """Where a person belongs, by the ids of the organizations."""
    return await everywhere(transaction).fetch(_BELONGINGS, Belonging, {"user_id": user_id})


async def close_organizations(transaction: Transaction, closed: list[str]) -> list[RevokedKey]:
    """Revokes the keys and takes back the invitations of organizations that nobody is left in; returns the keys.

    The caller announces each.
    """
    parameters = {"closed": closed, "now": datetime.now(UTC)}
    await everywhere(transaction).execute(_WITHDRAW_INVITATIONS, parameters)
    return await everywhere(transaction).fetch(_REVOKE_KEYS, RevokedKey, parameters)


async def leave_organizations(transaction: Transaction, user_id: str) -> None:
    """Removes a person from all their organizations."""
    await everywhere(transaction).execute(_LEAVE, {"user_id": user_id})


async def leave_a_pseudonym(transaction: Transaction, user_id: str, email_key: str) -> None:
    """Takes out of the account, and of what belongs to it, all that is about its person."""
    pseudonym = f"deleted-{user_id}@deleted.invalid"
    for statement in _FORGET:
        await transaction.execute(statement, {"user_id": user_id})
    await transaction.execute(_FORGET_LINKS, {"user_id": user_id, "address": email_key})
    await everywhere(transaction).execute(_FORGET_INVITATION, {"user_id": user_id, "pseudonym": pseudonym})
    values = {"user_id": user_id, "pseudonym": pseudonym, "now": datetime.now(UTC)}
    await transaction.execute(_PSEUDONYMISE, {**values, "no_texts": [], "no_preferences": {}})
