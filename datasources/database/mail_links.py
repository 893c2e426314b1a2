"""Links that are sent by mail and work once: who holds one reads the mail that goes to its address.

The token in a link is 32 random bytes; only its SHA-256 is stored, so that nobody who reads the table can use one.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import LargeBinary, Text, bindparam, update

from datasources.database.columns import UtcDateTime
from datasources.database.engine import Transaction
from datasources.database.tables.access import mail_links

TOKEN_BYTES = 32
TOKEN_LENGTH = 43
"""Characters of a token, in base64url."""

Purpose: TypeAlias = Literal["RESET_PASSWORD", "CONFIRM_REGISTRATION", "LINK_IDENTITY"]


class MailLink(NamedTuple):
    """What a link was made for; ``user_id`` is absent where there was no account yet."""

    user_id: str | None
    email_key: str
    data: Mapping[str, Any]
    created_at: datetime


_USE = (
    update(mail_links)
    .where(
        mail_links.c.digest == bindparam("its_digest", type_=LargeBinary()),
        mail_links.c.purpose == bindparam("its_purpose", type_=Text()),
        mail_links.c.used_at.is_(None),
        mail_links.c.expires_at > bindparam("now", type_=UtcDateTime()),
    )
    .values(used_at=bindparam("now", type_=UtcDateTime()))
    .returning(*(mail_links.c[name] for name in MailLink._fields))
)


async def new_link(
    transaction: Transaction,
    purpose: Purpose,
    *,
    user_id: str | None,
    email_key: str,
    data: Mapping[str, Any],
    lifetime: timedelta,
) -> str:
    """The token of a new link, which is known to nobody else; it works once, for as long as ``lifetime``."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = datetime.now(UTC)
    link = {
        "digest": link_digest(token),
        "purpose": purpose,
        "user_id": user_id,
        "email_key": email_key,
        "data": dict(data),
        "created_at": now,
        "expires_at": now + lifetime,
        "used_at": None,
    }
    await transaction.insert(mail_links, [link])
    return token


async def use_link(transaction: Transaction, purpose: Purpose, token: str) -> MailLink | None:
    """Uses a link up; ``None`` when there is none, or it was used or has ended. Of two at once one gets it."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    parameters = {"its_digest": link_digest(token), "its_purpose": purpose, "now": datetime.now(UTC)}
    found = await transaction.fetch(_USE, MailLink, parameters)
    return found[0] if found else None


def link_digest(token: str) -> bytes:
    """What is stored of the token in a link."""
    return sha256(token.encode()).digest()
