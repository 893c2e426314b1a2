"""A person's own account: what they say of themselves, and what proves who they are."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import LargeBinary, Select, Text, Update, bindparam, select, update

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.mail_links import Purpose, link_digest
from datasources.database.tables.access import mail_links
from datasources.database.tables.gateway import users

PROFILE = frozenset({"name", "bio", "company", "website", "avatar_url", "skills", "interests", "preferences"})
"""The columns of ``users`` that people fill in themselves."""


class OwnAccount(NamedTuple):
    """An account that may be signed in to; without a password its person comes from an outside issuer."""

    id: str
    email: str
    email_key: str
    name: str | None
    password_hash: str | None


_OPEN = (users.c.disabled_at.is_(None), users.c.deleted_at.is_(None))
_ACCOUNT = select(*(users.c[name] for name in OwnAccount._fields)).where(*_OPEN)
_BY_ID = _ACCOUNT.where(users.c.id == bindparam("user_id", type_=Id))
_BY_ADDRESS = _ACCOUNT.where(users.c.email_key == bindparam("email_key", type_=Text()))
_BY_LINK: Select[tuple[str, str, str, str | None, str | None]] = _ACCOUNT.join(
    mail_links, mail_links.c.user_id == users.c.id
).where(
    mail_links.c.digest == bindparam("digest", type_=LargeBinary()),
    mail_links.c.purpose == bindparam("purpose", type_=Text()),
    mail_links.c.used_at.is_(None),
    mail_links.c.expires_at > bindparam("now", type_=UtcDateTime()),
)
_SET_PASSWORD = (
    update(users)
    .where(
        users.c.id == bindparam("user_id", type_=Id),
        users.c.password_hash.is_not_distinct_from(bindparam("was", type_=Text())),
        *_OPEN,
    )
    .values(password_hash=bindparam("new_hash", type_=Text()))
)
_VERIFIED = (
    update(users)
    .where(users.c.id == bindparam("user_id", type_=Id), users.c.email_verified_at.is_(None))
    .values(email_verified_at=bindparam("now", type_=UtcDateTime()))
)
_END_LINKS = (
    update(mail_links)
    .where(
        mail_links.c.email_key == bindparam("address", type_=Text()),
        mail_links.c.purpose == bindparam("its_purpose", type_=Text()),
        mail_links.c.used_at.is_(None),
    )
    .values(used_at=bindparam("now", type_=UtcDateTime()))
)


async def own_account(database: Database, user_id: str) -> OwnAccount | None:
    """The account of a person who is signed in."""
    found = await database.scoped(None).fetch(_BY_ID, OwnAccount, {"user_id": user_id})
    return found[0] if found else None


async def account_of_link(database: Database, purpose: Purpose, token: str) -> OwnAccount | None:
    """Whose account a link opens; it is not used up."""
    if "\0" in token:
        return None
    parameters = {"digest": link_digest(token), "purpose": purpose, "now": datetime.now(UTC)}
    found = await database.scoped(None).fetch(_BY_LINK, OwnAccount, parameters)
    return found[0] if found else None


async def open_account_at(transaction: Transaction, email_key: str) -> OwnAccount | None:
    """The account with this address, in lower case."""
    found = await transaction.fetch(_BY_ADDRESS, OwnAccount, {"email_key": email_key})
    return found[0] if found else None


async def change_profile(transaction: Transaction, user_id: str, values: Mapping[str, object]) -> bool:
    """Sets columns of ``PROFILE``; ``False`` when the account is no longer open."""
    named = {f"new_{name}": value for name, value in values.items()}
    return bool(await transaction.execute(_change(frozenset(values)), {"user_id": user_id, **named}))


async def set_password(transaction: Transaction, user_id: str, new_hash: str, *, was: str | None) -> bool:
    """Replaces the hash ``was``; ``False`` when it is another one by now, or the account is no longer open."""
    return bool(await transaction.execute(_SET_PASSWORD, {"user_id": user_id, "was": was, "new_hash": new_hash}))


async def verify_address(transaction: Transaction, user_id: str) -> None:
    """Notes that the person reads the mail that goes to their address."""
    await transaction.execute(_VERIFIED, {"user_id": user_id, "now": datetime.now(UTC)})


async def end_links(transaction: Transaction, email_key: str, purpose: Purpose) -> None:
    """Takes back the links that were sent to an address for this purpose."""
    parameters = {"address": email_key, "its_purpose": purpose, "now": datetime.now(UTC)}
    await transaction.execute(_END_LINKS, parameters)


@lru_cache(maxsize=256)
def _change(names: frozenset[str]) -> Update:
    if not names <= PROFILE:
        raise ValueError(f"not for people to change: {', '.join(sorted(names - PROFILE))}")
    values = {name: bindparam(f"new_{name}", type_=users.c[name].type) for name in sorted(names)}
    return update(users).where(users.c.id == bindparam("user_id", type_=Id), *_OPEN).values(values)
