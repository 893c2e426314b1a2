"""People as outside issuers know them: (issuer, subject) is one person here, and always the same.

Two first requests of one person may come at once. What is unique is offered rather than inserted (``ON CONFLICT DO
NOTHING``): whoever comes second waits for the first, gets ``Beaten``, and finds the person when it looks again.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Table, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import Insert

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.scope import ORGANIZATION
from datasources.database.tables.access import identities, mail_links, outside_organizations
from datasources.database.tables.gateway import memberships, users

MOST_RECENT_LINKS = 10


class Beaten(Exception):
    """Somebody else has just made what this transaction was to make: roll it back and look again."""


class NewPerson(NamedTuple):
    """Somebody who is seen for the first time; ``email_verified`` says that the issuer vouches for the address."""

    id: str
    email: str
    name: str | None
    email_verified: bool


class Account(NamedTuple):
    """An account, as far as it matters to whom it belongs."""

    user_id: str
    email: str
    email_key: str
    name: str | None
    email_verified_at: datetime | None


_IDENTIFIED = select(identities.c.user_id).where(
    identities.c.issuer == bindparam("issuer", type_=Text()),
    identities.c.subject == bindparam("subject", type_=Text()),
)
_ORGANIZATION = select(outside_organizations.c.organization_id).where(
    outside_organizations.c.issuer == bindparam("issuer", type_=Text()),
    outside_organizations.c.key == bindparam("key", type_=Text()),
)
_ACCOUNT = select(users.c.id, *(users.c[name] for name in Account._fields[1:])).where(users.c.deleted_at.is_(None))
_ACCOUNT_AT = _ACCOUNT.where(users.c.email_key == bindparam("email_key", type_=Text()))
_LOCKED_ACCOUNT = _ACCOUNT.where(users.c.id == bindparam("user_id", type_=Id)).with_for_update()
_RECENT_LINKS = (
    select(mail_links.c.data)
    .where(
        mail_links.c.user_id == bindparam("user_id", type_=Id),
        mail_links.c.purpose == "LINK_IDENTITY",
        mail_links.c.created_at > bindparam("since", type_=UtcDateTime()),
    )
    .order_by(mail_links.c.created_at.desc())
    .limit(MOST_RECENT_LINKS)
)
_TAKE_PASSWORD_AWAY = (
    update(users)
    .where(users.c.id == bindparam("its_id", type_=Id))
    .values(password_hash=None, email_verified_at=bindparam("now", type_=UtcDateTime()))
)


async def identified(database: Database, issuer: str, subject: str) -> str | None:
    """The person whom the issuer calls so."""
    scope = database.unscoped("a token of an outside issuer names a person before an organization is known")
    found = await scope.fetch(_IDENTIFIED, str, {"issuer": issuer, "subject": subject})
    return found[0] if found else None


async def organization_called(database: Database, issuer: str, key: str) -> str | None:
    """The organization that the issuer calls so."""
    scope = database.unscoped("an outside issuer's name for an organization says which one it is")
    found = await scope.fetch(_ORGANIZATION, str, {"issuer": issuer, "key": key})
    return found[0] if found else None


async def account_at(database: Database, email_key: str) -> Account | None:
    """The account with this address, in lower case."""
    scope = database.unscoped("an address has one account, whichever organizations that is in")
    found = await scope.fetch(_ACCOUNT_AT, Account, {"email_key": email_key})
    return found[0] if found else None


async def locked_account(transaction: Transaction, user_id: str) -> Account | None:
    """The account, so that nobody else changes it until the transaction ends."""
    found = await transaction.fetch(_LOCKED_ACCOUNT, Account, {"user_id": user_id})
    return found[0] if found else None


async def recent_links(transaction: Transaction, user_id: str, since: datetime) -> list[Mapping[str, Any]]:
    """The data of the links that were sent to the account since then, at most ``MOST_RECENT_LINKS``."""
    return await transaction.fetch(_RECENT_LINKS, _as_is, {"user_id": user_id, "since": since})


async def add_person(transaction: Transaction, person: NewPerson) -> None:
    """Makes a person without a password; raises ``Beaten`` when somebody has the address."""
    now = datetime.now(UTC)
    row: dict[str, object] = {
        "id": person.id,
        "email": person.email,
        "email_key": person.email.lower(),
        "name": person.name,
        "skills": [],
        "interests": [],
        "preferences": {},
        "created_at": now,
        "email_verified_at": now if person.email_verified else None,
    }
    if not await _offer(transaction, users, row):
        raise Beaten


async def add_identity(transaction: Transaction, issuer: str, subject: str, user_id: str) -> None:
    """Notes who the person is at an issuer; raises ``Beaten`` when the issuer's person is somebody already."""
    row = {"issuer": issuer, "subject": subject, "user_id": user_id, "linked_at": datetime.now(UTC)}
    if not await _offer(transaction, identities, row):
        raise Beaten


async def call_organization(transaction: Transaction, issuer: str, key: str) -> None:
    """Notes how the issuer calls the organization; raises ``Beaten`` when it calls another one so."""
    if not await _offer(transaction, outside_organizations, {"issuer": issuer, "key": key}):
        raise Beaten


async def join(transaction: Transaction, user_id: str, role: str) -> bool:
    """Makes the person a member of the organization; ``False`` when they are one already, with whatever role."""
    return await _offer(transaction, memberships, {"user_id": user_id, "role": role, "joined_at": datetime.now(UTC)})


async def take_password_away(transaction: Transaction, user_id: str) -> None:
    """Removes the password, and notes that the address is the person's."""
    await transaction.execute(_TAKE_PASSWORD_AWAY, {"its_id": user_id, "now": datetime.now(UTC)})


@lru_cache(maxsize=16)
def _offering(table: Table, dialect: str) -> Insert:
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    return insert(table).on_conflict_do_nothing()


async def _offer(transaction: Transaction, table: Table, row: Mapping[str, object]) -> bool:
    """Inserts a row unless one like it is there; waits for a transaction that is about to make one."""
    own = {ORGANIZATION: transaction.scope.organization_id} if ORGANIZATION in table.c else {}
    result = await transaction.connection.execute(_offering(table, transaction.scope.dialect), {**row, **own})
    return bool(result.rowcount)


def _as_is(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return data
