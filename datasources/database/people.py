"""People as they sign in and register."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, Text, and_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.mail_links import link_digest
from datasources.database.tables.access import familiar_places, mail_links
from datasources.database.tables.gateway import memberships, organizations, users

_SWEPT_AT_ONCE = 1_000


class Credentials(NamedTuple):
    """What a sign-in is checked against; ``familiar_since`` is set where the person has signed in from the place."""

    user_id: str
    password_hash: str | None
    disabled_at: datetime | None
    deleted_at: datetime | None
    familiar_since: datetime | None

    @property
    def usable(self) -> bool:
        """Whether the account may be signed in to."""
        return self.disabled_at is None and self.deleted_at is None


class KnownAccount(NamedTuple):
    """Who has an address."""

    id: str
    email: str
    name: str | None


class NewAccount(NamedTuple):
    """A person who registers."""

    id: str
    email: str
    email_key: str
    password_hash: str
    name: str | None
    email_verified_at: datetime | None


_CREDENTIALS = (
    select(users.c.id, users.c.password_hash, users.c.disabled_at, users.c.deleted_at, familiar_places.c.last_seen_at)
    .join(
        familiar_places,
        and_(
            familiar_places.c.user_id == users.c.id,
            familiar_places.c.place == bindparam("place", type_=LargeBinary()),
        ),
        isouter=True,
    )
    .where(users.c.email_key == bindparam("email_key", type_=Text()))
)
_STILL = (
    select(users.c.id)
    .where(
        users.c.id == bindparam("user_id", type_=Id),
        users.c.password_hash == bindparam("password_hash", type_=Text()),
        users.c.disabled_at.is_(None),
        users.c.deleted_at.is_(None),
    )
    .with_for_update(key_share=True)
)
_REHASH = (
    update(users)
    .where(
        users.c.id == bindparam("user_id", type_=Id),
        users.c.password_hash == bindparam("was", type_=Text()),
    )
    .values(password_hash=bindparam("new_hash", type_=Text()))
)
_ACCOUNT_AT = select(*(users.c[name] for name in KnownAccount._fields)).where(
    users.c.email_key == bindparam("email_key", type_=Text())
)
_PENDING = select(mail_links.c.data).where(
    mail_links.c.digest == bindparam("digest", type_=LargeBinary()),
    mail_links.c.purpose == "CONFIRM_REGISTRATION",
    mail_links.c.used_at.is_(None),
    mail_links.c.expires_at > bindparam("now", type_=UtcDateTime()),
)
_OLD_PLACES = delete(familiar_places).where(familiar_places.c.last_seen_at < bindparam("before", type_=UtcDateTime()))
_OLD_LINKS = delete(mail_links).where(
    mail_links.c.digest.in_(
        select(mail_links.c.digest)
        .where(mail_links.c.expires_at < bindparam("before", type_=UtcDateTime()))
        .limit(_SWEPT_AT_ONCE)
    )
)


async def credentials(database: Database, email_key: str, place: bytes) -> Credentials | None:
    """What to check a sign-in with this address (in lower case) from this place against."""
    scope = database.unscoped("sign-in knows an address before it knows an organization")
    found = await scope.fetch(_CREDENTIALS, Credentials, {"email_key": email_key, "place": place})
    return found[0] if found else None


async def account_at(database: Database, email_key: str) -> KnownAccount | None:
    """Who has this address (in lower case)."""
    scope = database.unscoped("an address has one account, in whichever organizations")
    found = await scope.fetch(_ACCOUNT_AT, KnownAccount, {"email_key": email_key})
    return found[0] if found else None


async def pending_registration(database: Database, token: str) -> Mapping[str, Any] | None:
    """What was given with a registration that is not confirmed yet; the link to it is not used up."""
    scope = database.unscoped("whoever registers is in no organization yet")
    values = {"digest": link_digest(token), "now": datetime.now(UTC)}
    found = await scope.fetch(_PENDING, _as_is, values)
    return found[0] if found else None


async def still_holds(transaction: Transaction, user_id: str, password_hash: str) -> bool:
    """Whether an account may still be signed in to with this hash; nobody else changes that before the commit."""
    values = {"user_id": user_id, "password_hash": password_hash}
    return bool(await transaction.fetch(_STILL, str, values))


async def rehash(transaction: Transaction, user_id: str, new_hash: str, *, was: str) -> None:
    """Replaces a hash by one of the same password."""
    await transaction.execute(_REHASH, {"user_id": user_id, "new_hash": new_hash, "was": was})


async def note_place(transaction: Transaction, user_id: str, place: bytes, now: datetime) -> None:
    """Notes that a person has signed in from a place."""
    statement = _seen(transaction.scope.dialect)
    await transaction.execute(statement, {"its_user": user_id, "its_place": place, "now": now})


async def add_account(transaction: Transaction, account: NewAccount, now: datetime) -> bool:
    """Makes a person; ``False`` when the address has an account. Waits for whoever is just making one."""
    row = {**account._asdict(), "skills": [], "interests": [], "preferences": {}, "created_at": now}
    return await _offer(transaction, _offering_account(transaction.scope.dialect), row)


async def add_organization(
    transaction: Transaction, name: str, capabilities: Sequence[str], slugs: Sequence[str], now: datetime
) -> None:
    """Makes the organization of the transaction, which must have a new id, under the first free of the ``slugs``.

    Raises ``RuntimeError`` when all are taken, so the last ought to be one that nobody can have.
    """
    row = {"id": transaction.scope.organization_id, "name": name, "capabilities": list(capabilities), "created_at": now}
    for slug in slugs:
        if await _offer(transaction, _offering_organization(transaction.scope.dialect), {**row, "slug": slug}):
            return
    raise RuntimeError("every slug is taken")


async def add_membership(transaction: Transaction, user_id: str, role: str, now: datetime) -> None:
    """Makes a person a member of the organization of the transaction."""
    await transaction.insert(memberships, [{"user_id": user_id, "role": role, "joined_at": now}])


async def sweep_people(database: Database, now: datetime, *, places: timedelta, links: timedelta) -> int:
    """Removes familiar places that were not used, and links in mails that ended, for so long; returns how many."""
    scope = database.unscoped("what is kept of people for a time only is removed after it")
    async with scope.transaction() as transaction:
        removed = await transaction.execute(_OLD_PLACES, {"before": now - places})
        return removed + await transaction.execute(_OLD_LINKS, {"before": now - links})


async def _offer(transaction: Transaction, statement: PostgresqlInsert | SqliteInsert, row: Mapping[str, Any]) -> bool:
    transaction.scope.bind(statement, row)
    result = await transaction.connection.execute(statement, row)
    return bool(result.rowcount)


def _as_is(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return data


@lru_cache(maxsize=2)
def _offering_account(dialect: str) -> PostgresqlInsert | SqliteInsert:
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    return insert(users).on_conflict_do_nothing(index_elements=[users.c.email_key])


@lru_cache(maxsize=2)
def _offering_organization(dialect: str) -> PostgresqlInsert | SqliteInsert:
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    return insert(organizations).on_conflict_do_nothing(index_elements=[organizations.c.slug])


@lru_cache(maxsize=2)
def _seen(dialect: str) -> PostgresqlInsert | SqliteInsert:
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    now = bindparam("now", type_=UtcDateTime())
    return (
        insert(familiar_places)
        .values(
            user_id=bindparam("its_user", type_=Id), place=bindparam("its_place", type_=LargeBinary()), last_seen_at=now
        )
        .on_conflict_do_update(
            index_elements=[familiar_places.c.user_id, familiar_places.c.place], set_={"last_seen_at": now}
        )
    )
