"""The outbox: mail that is posted in the transaction of its cause and sent after it, by whichever process is free.

A row is due when ``next_attempt_at`` has come. Who takes it moves that ahead, as a lease: nobody else takes it while
it is being sent, and when its process dies the mail is due again by itself. A letter has links that open accounts, so
it is kept encrypted, and only until it is sent or given up.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson
from sqlalchemy import Text, bindparam, delete, func, or_, select, update

from datasources.database.columns import Big, Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.ids import new_id
from datasources.database.tables.access import outgoing_mails
from datasources.keyring import Keyring
from datasources.mail.addresses import can_be_reached
from datasources.mail.template import Letter

GIVE_UP = timedelta(hours=72)
"""How long a mail is tried for; what is in it has lost its meaning then."""
KEEP = timedelta(days=30)
"""How long it can be seen what became of a mail."""

_NOWHERE_TO_GO = "no mail is sent to this address"
_TOO_OLD = "it could not be sent in time"


class Posting(NamedTuple):
    """A mail that is to be sent: its letter, the name of its template, whom it is to, and the domain it is from."""

    letter: Letter
    template: str
    domain: str
    user_id: str | None = None


class Claimed(NamedTuple):
    """A mail that this process is to send now, for the time of its lease; ``attempts`` counts this one."""

    id: str
    message_id: str
    letter: str | None
    created_at: datetime
    attempts: int


class Failure(NamedTuple):
    """Why a mail was not sent, for operators, and when to try again; ``None``: never."""

    error: str
    next_attempt_at: datetime | None


class _Due(NamedTuple):
    at: datetime | None


_T = outgoing_mails.c
_THIS = _T.id == bindparam("mail_id", type_=Id)
_NEXT_DUE = select(func.min(_T.next_attempt_at, type_=UtcDateTime()))
_CLAIM = (
    update(outgoing_mails)
    .where(
        _T.id
        == select(_T.id)
        .where(_T.next_attempt_at <= bindparam("now", type_=UtcDateTime()))
        .order_by(_T.next_attempt_at)
        .limit(1)
        .correlate(None)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(next_attempt_at=bindparam("leased_until", type_=UtcDateTime()), attempts=_T.attempts + 1)
    .returning(*(_T[name] for name in Claimed._fields))
)
_SENT = (
    update(outgoing_mails)
    .where(_THIS)
    .values(sent_at=bindparam("at", type_=UtcDateTime()), letter=None, next_attempt_at=None, failed_at=None, error=None)
)
# Only as the one who took it last: who has lost the lease has nothing to say any more.
_STILL_OURS = (_THIS, _T.attempts == bindparam("attempt", type_=Big), _T.next_attempt_at.is_not(None))
_RETRY = (
    update(outgoing_mails)
    .where(*_STILL_OURS)
    .values(next_attempt_at=bindparam("at", type_=UtcDateTime()), error=bindparam("why", type_=Text()))
)
_GIVE_UP_ONE = (
    update(outgoing_mails)
    .where(*_STILL_OURS)
    .values(
        failed_at=bindparam("at", type_=UtcDateTime()),
        error=bindparam("why", type_=Text()),
        letter=None,
        next_attempt_at=None,
    )
)
_GIVE_UP_OLD = (
    update(outgoing_mails)
    .where(_T.next_attempt_at.is_not(None), _T.created_at <= bindparam("before", type_=UtcDateTime()))
    .values(
        failed_at=bindparam("at", type_=UtcDateTime()),
        error=func.coalesce(_T.error, _TOO_OLD),
        letter=None,
        next_attempt_at=None,
    )
)
_REMOVE_OLD = delete(outgoing_mails).where(
    or_(
        _T.sent_at < bindparam("before", type_=UtcDateTime()),
        _T.failed_at < bindparam("before", type_=UtcDateTime()),
    )
)
_FORGET = delete(outgoing_mails).where(_T.user_id == bindparam("whom", type_=Id), _T.sent_at.is_(None))


async def post(transaction: Transaction, keyring: Keyring, mail: Posting) -> str:
    """Puts a mail into the transaction of its cause and returns its id; ``Outbox.post`` also wakes who sends it.

    Mail to an address that cannot be reached is kept as given up: nobody's change fails for it.
    """
    identity = new_id("mai")
    now = datetime.now(UTC)
    goes_out = can_be_reached(mail.letter.to)
    letter = keyring.seal(orjson.dumps(mail.letter._asdict()).decode(), _place(identity)) if goes_out else None
    row = {
        "id": identity,
        "user_id": mail.user_id,
        "template": mail.template,
        "message_id": f"<{identity}@{mail.domain}>",
        "letter": letter,
        "created_at": now,
        "next_attempt_at": now if goes_out else None,
        "attempts": 0,
        "failed_at": None if goes_out else now,
        "error": None if goes_out else _NOWHERE_TO_GO,
    }
    await transaction.insert(outgoing_mails, [row])
    return identity


async def forget_mail(transaction: Transaction, user_id: str) -> int:
    """Removes what a person was to be sent and has not been; returns how many mails that were."""
    return await transaction.execute(_FORGET, {"whom": user_id})


def read_letter(keyring: Keyring, mail: Claimed) -> Letter:
    """What is to be sent; raises ``Unreadable`` when the key is gone."""
    return Letter(**orjson.loads(keyring.unseal(mail.letter or "", _place(mail.id))))


def _place(identity: str) -> str:
    return f"outgoing_mails.letter.{identity}"


async def next_due(database: Database) -> datetime | None:
    """When the next mail is due, or was; ``None`` when none waits. Takes no lock."""
    scope = database.unscoped("mail waits in one outbox for all organizations")
    return (await scope.fetch(_NEXT_DUE, _Due))[0].at


async def claim(database: Database, lease: timedelta) -> Claimed | None:
    """Takes the mail that has been due for longest, if there is one, for the time of ``lease``."""
    now = datetime.now(UTC)
    scope = database.unscoped("whoever sends takes the mail that is due, of any organization")
    async with scope.transaction() as transaction:
        found = await transaction.fetch(_CLAIM, Claimed, {"now": now, "leased_until": now + lease})
    return found[0] if found else None


async def settle(database: Database, mail: Claimed, failure: Failure | None) -> None:
    """Notes that a mail was sent, or why it was not."""
    now = datetime.now(UTC)
    async with database.unscoped("what became of a mail is noted by who sent it").transaction() as transaction:
        if failure is None:
            await transaction.execute(_SENT, {"mail_id": mail.id, "at": now})
        else:
            statement = _GIVE_UP_ONE if failure.next_attempt_at is None else _RETRY
            at = failure.next_attempt_at or now
            values = {"mail_id": mail.id, "attempt": mail.attempts, "at": at, "why": failure.error}
            await transaction.execute(statement, values)


async def tidy(database: Database) -> None:
    """Gives up what is too old to be sent, and removes what is too old to be of interest."""
    now = datetime.now(UTC)
    async with database.unscoped("old mail goes, whoever it was to").transaction() as transaction:
        await transaction.execute(_GIVE_UP_OLD, {"before": now - GIVE_UP, "at": now})
        await transaction.execute(_REMOVE_OLD, {"before": now - KEEP})
