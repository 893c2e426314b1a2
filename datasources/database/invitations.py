"""Invitations to an organization. Of the token in the link only the SHA-256 is stored: it has 256 random bits."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import LargeBinary, Text, and_, bindparam, delete, func, not_, select, update

from datasources.database.columns import Id, UtcDateTime, any_of
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.scope import TENANT
from datasources.database.tables.access import invitations


class InvitationRow(NamedTuple):
    """An invitation as it may be shown; the token is nowhere."""

    id: str
    organization_id: str
    email: str
    email_key: str
    role: str
    invited_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    withdrawn_at: datetime | None


class NewInvitation(NamedTuple):
    """An invitation that is sent; ``digest`` is the SHA-256 of the token in its link."""

    id: str
    email: str
    email_key: str
    role: str
    invited_by: str
    digest: bytes
    created_at: datetime
    expires_at: datetime


class Sent(NamedTuple):
    """How many invitations of an organization are open, and how many it has sent lately, in all and to an address."""

    pending: int
    lately: int
    lately_to_address: int


_COLUMNS = tuple(invitations.c[name] for name in InvitationRow._fields)
_NOW = bindparam("now", type_=UtcDateTime())
_OPEN = and_(invitations.c.accepted_at.is_(None), invitations.c.withdrawn_at.is_(None))
_PENDING = and_(_OPEN, invitations.c.expires_at > _NOW)
_TO_ADDRESS = invitations.c.email_key == bindparam("its_email_key", type_=Text())
_LATELY = invitations.c.created_at > bindparam("since", type_=UtcDateTime())
_BY_IDS = select(*_COLUMNS).where(invitations.c.organization_id == TENANT, any_of(invitations.c.id, "ids"))
_PENDING_OF = (
    select(*_COLUMNS)
    .where(invitations.c.organization_id == TENANT, any_of(invitations.c.organization_id, "keys"), _PENDING)
    .order_by(invitations.c.created_at.desc(), invitations.c.id.desc())
)
_SENT = select(
    func.count().filter(and_(_PENDING, not_(_TO_ADDRESS))),
    func.count().filter(_LATELY),
    func.count().filter(and_(_LATELY, _TO_ADDRESS)),
).where(invitations.c.organization_id == TENANT)
_FORGET = delete(invitations).where(
    invitations.c.organization_id == TENANT, invitations.c.expires_at < bindparam("before", type_=UtcDateTime())
)
_WITHDRAW = update(invitations).values(withdrawn_at=_NOW).returning(invitations.c.id)
_WITHDRAW_ONE = _WITHDRAW.where(
    invitations.c.organization_id == TENANT, invitations.c.id == bindparam("its_id", type_=Id), _PENDING
)
_WITHDRAW_TO_ADDRESS = _WITHDRAW.where(invitations.c.organization_id == TENANT, _TO_ADDRESS, _OPEN)
_WITHDRAW_SENT_BY = _WITHDRAW.where(
    invitations.c.organization_id == TENANT,
    invitations.c.invited_by == bindparam("sender", type_=Id),
    not_(any_of(invitations.c.role, "kept")),
    _OPEN,
)
_BY_TOKEN = select(*_COLUMNS).where(invitations.c.digest == bindparam("digest", type_=LargeBinary()), _PENDING)
_ACCEPT = (
    update(invitations)
    .where(invitations.c.organization_id == TENANT, invitations.c.id == bindparam("its_id", type_=Id), _PENDING)
    .values(accepted_at=_NOW, accepted_by=bindparam("whom", type_=Id))
)


async def invitations_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, InvitationRow]:
    """Invitations of the organization by id, whatever became of them."""
    return {row.id: row for row in await scope.fetch(_BY_IDS, InvitationRow, {"ids": ids})}


async def pending_invitations_of(
    scope: Scope, organization_ids: Sequence[str], *, now: datetime
) -> dict[str, list[InvitationRow] | None]:
    """The open invitations of the tenant's organization, the newest first; ``None`` for any other."""
    found = await scope.fetch(_PENDING_OF, InvitationRow, {"keys": organization_ids, "now": now})
    return {each: found if each == scope.organization_id else None for each in organization_ids}


async def sent_lately(transaction: Transaction, email_key: str, *, now: datetime, since: datetime) -> Sent:
    """What the organization has sent; the open ones without those to this address."""
    (found,) = await transaction.fetch(_SENT, Sent, {"its_email_key": email_key, "now": now, "since": since})
    return found


async def add_invitation(transaction: Transaction, invitation: NewInvitation, *, keep_since: datetime) -> None:
    """Writes an invitation down; older ones to the address are withdrawn, and those that ended long ago removed."""
    await transaction.execute(_FORGET, {"before": keep_since})
    parameters = {"its_email_key": invitation.email_key, "now": invitation.created_at}
    await transaction.fetch(_WITHDRAW_TO_ADDRESS, str, parameters)
    await transaction.insert(invitations, [invitation._asdict()])


async def withdraw(transaction: Transaction, invitation_id: str, now: datetime) -> bool:
    """Takes an invitation back; ``False`` when there is no open one with this id."""
    return bool(await transaction.fetch(_WITHDRAW_ONE, str, {"its_id": invitation_id, "now": now}))


async def withdraw_sent_by(transaction: Transaction, user_id: str, roles: Sequence[str], now: datetime) -> list[str]:
    """Takes back what a person has sent, but for invitations to ``roles``; returns the ids."""
    parameters = {"sender": user_id, "kept": list(roles), "now": now}
    return sorted(await transaction.fetch(_WITHDRAW_SENT_BY, str, parameters))


async def pending_by_token(database: Database, digest: bytes, now: datetime) -> InvitationRow | None:
    """The open invitation whose token has this SHA-256."""
    scope = database.unscoped("an invitation says by itself which organization it is to")
    found = await scope.fetch(_BY_TOKEN, InvitationRow, {"digest": digest, "now": now})
    return found[0] if found else None


async def accept(transaction: Transaction, invitation_id: str, user_id: str, now: datetime) -> bool:
    """Uses an invitation up; of two at once one gets it."""
    return bool(await transaction.execute(_ACCEPT, {"its_id": invitation_id, "whom": user_id, "now": now}))
