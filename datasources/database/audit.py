"""The audit trail: who did what, written in the transaction of what was done, and never changed.

The entries of an organization are a chain: each carries its number and

    hash = HMAC-SHA-256(audit key, JSON [version, organization, number, id, at, actor, action, target, risk, details,
                                         personal digest, hash of the entry before])

so that without the key nobody can alter, insert, drop or reorder one unseen. What is personal (address, client, e-mail)
is kept aside in ``audit_personal``; the entry has only a keyed, salted digest of it, so that it can be erased without
breaking the chain. What happens before any organization is known is in a chain of the gateway's own. Entries from
before there were chains have no number; the first link of their organization's chain commits to all of them.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, Text, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.access import GATEWAY
from datasources.database.columns import Id
from datasources.database.engine import NOWHERE, Announced, Origin, Scope, Transaction, UnstorableText
from datasources.database.events import NewEvent, append_event
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal

GATEWAY_CHAIN = "gateway"
"""Stands for the organization in what happens before one is known."""

SECURITY_EVENT = "SecurityEvent"
"""The event that tells an organization of an entry about access."""

ACCESS_ACTIONS = frozenset(
    {
        "session.",
        "account.",
        "identity.",
        "member.",
        "invitation.",
        "key.",
        "access.",
        "secrets.",
        "credential.",
    }
)
"""How the actions begin that are about access."""

ERASED = "account.erased"
"""The action that says how many entries of a chain have lost their personal part; ``count`` of its details."""

HEAD_MOVED = "AuditHeadMoved"
"""Announced, within the process only, when a transaction that moved the head of a chain has committed."""

NO_HASH = ""
"""What comes before the first entry."""

_VERSION = 1
_NEXT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """What is to be written.

    ``actor`` is the id of a person or key, or a word for who has none; ``risk`` LOW, MEDIUM or HIGH; ``details`` hold
    texts, whole numbers, booleans and lists of them, no personal data and no secrets. ``email`` is an address that
    was tried, and is kept aside with where the request came from.
    """

    actor: str
    action: str
    target_id: str | None
    risk: str = "LOW"
    details: Mapping[str, Any] = field(default_factory=dict)
    email: str | None = None


class Head(NamedTuple):
    """Where a chain ends: the number and the hash of its last entry."""

    sequence: int
    hash: str


class MissingAuditKey(Exception):
    """The database was opened without the key of the audit trail."""


async def append_audit(transaction: Transaction, entry: NewAuditEntry) -> str:
    """Writes an entry for the organization of the transaction and returns its id.

    It is linked to the chain at the end of the transaction: the lock on the head of the chain is the last one taken
    and held for a moment only. What is about access is also an event of the organization. Raises ``MissingAuditKey``,
    ``UnstorableText``, and ``TypeError`` for details that would not come back from the database as they went in.
    """
    return await _append(transaction, transaction.scope, entry, transaction.scope.origin)


async def erase_personal(transaction: Transaction, user_id: str, *, email: str | None = None) -> int:
    """Erases what the audit trail kept aside of a person, in all organizations; returns of how many entries.

    ``email`` is their address, under which they may have failed to sign in. Each chain gets an entry that says how many
    of its entries have lost their personal part, so that nobody can pass off another loss as an erasure. What this same
    transaction writes of the person is written without a personal part.
    """
    scope = transaction.scope
    everywhere = Transaction(
        scope.database.unscoped("a person's data is erased wherever it is"), transaction.connection
    )
    parameters = {"user_id": user_id} if email is None else {"user_id": user_id, "email": email.strip().lower()}
    counts: dict[str, int] = {}
    for organization_id in await everywhere.fetch(_ERASE if email is None else _ERASE_WITH_EMAIL, str, parameters):
        counts[organization_id] = counts.get(organization_id, 0) + 1
    counts.setdefault(scope.organization_id or GATEWAY_CHAIN, 0)
    _links_of(transaction).erased.add(user_id)
    for organization_id, count in sorted(counts.items()):
        entry = NewAuditEntry(scope.origin.user_id or "system", ERASED, user_id, "MEDIUM", {"count": count})
        chain = scope.database.scoped(None if organization_id == GATEWAY_CHAIN else organization_id)
        await _append(transaction, chain, entry, NOWHERE)
    return sum(counts.values())


def personal_digest(key: bytes, salt: str, origin: Origin, email: str | None) -> str:
    """What an entry has of its personal part."""
    return hmac.new(key, orjson.dumps(["personal", salt, *origin, email]), sha256).hexdigest()


def entry_hash(
    key: bytes,
    organization_id: str,
    sequence: int,
    entry: Mapping[str, Any],
    previous: str,
) -> str:
    """The hash of an entry; ``entry`` has the columns of ``audit_entries``."""
    content = [_VERSION, organization_id, sequence, *_content(entry), entry["personal_digest"], previous]
    return hmac.new(key, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), sha256).hexdigest()


def _content(entry: Mapping[str, Any]) -> list[Any]:
    moment = entry["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return [entry["id"], moment, *(entry[name] for name in ("actor", "action", "target_id", "risk", "details"))]


class Beginning:
    """What the first entry of a chain is linked to: all entries of the organization that are older than the chain."""

    def __init__(self, key: bytes, organization_id: str) -> None:
        self._mac = hmac.new(key, orjson.dumps(["before the chain", organization_id]), sha256)
        self.count = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Takes the next entry, in the order of their ids."""
        self._mac.update(orjson.dumps(_content(entry), option=orjson.OPT_SORT_KEYS) + b"\n")
        self.count += 1

    @property
    def hash(self) -> str:
        """``NO_HASH`` where there are none."""
        return self._mac.hexdigest() if self.count else NO_HASH


class _Waiting(NamedTuple):
    """An entry that will be linked when the transaction ends."""

    id: str
    entry: NewAuditEntry
    origin: Origin


class _Links:
    """What a transaction adds to chains; linked at its end, chain by chain in one order, so that no two wait in a ring.

    ``erased`` are people of whom nothing personal is written.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.waiting: dict[str, list[_Waiting]] = {}
        self.erased: set[str] = set()
        self.done = False

    async def __call__(self) -> None:
        """Links everything."""
        self.done = True
        database = self._transaction.scope.database
        for organization_id, waiting in sorted(self.waiting.items()):
            chain = Transaction(database.scoped(organization_id), self._transaction.connection)
            await _link(chain, waiting, self.erased)
            self._transaction.announced.append(Announced(HEAD_MOVED, organization_id))


def _links_of(transaction: Transaction) -> _Links:
    for finish in transaction.before_commit:
        if isinstance(finish, _Links) and not finish.done:
            return finish
    links = _Links(transaction)
    transaction.before_commit.append(links)
    return links


async def _append(transaction: Transaction, scope: Scope, entry: NewAuditEntry, origin: Origin) -> str:
    if scope.database.audit_key is None:
        raise MissingAuditKey
    _check(entry.details)
    identity = new_id("aud")
    organization_id = scope.organization_id or GATEWAY_CHAIN
    _links_of(transaction).waiting.setdefault(organization_id, []).append(_Waiting(identity, entry, origin))
    if organization_id != GATEWAY_CHAIN and entry.action.startswith(tuple(ACCESS_ACTIONS)):
        chain = Transaction(scope, transaction.connection, announced=transaction.announced)
        await append_event(chain, NewEvent(GATEWAY, SECURITY_EVENT, identity, None, {"risk": entry.risk}))
    return identity


def _check(value: object) -> None:
    """Refuses what a JSON column would give back in another form, for its hash would not hold.

    A float may come back as another text, and PostgreSQL takes no U+0000.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise UnstorableText
    elif isinstance(value, Mapping):
        for name, each in value.items():
            _check(name)
            _check(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each)
    elif value is not None and not isinstance(value, int):
        raise TypeError(f"details of an audit entry cannot hold a {type(value).__name__}")


_LOCK_HEAD = (
    select(audit_heads.c.sequence, audit_heads.c.hash).where(audit_heads.c.organization_id == TENANT).with_for_update()
)
_MOVE_HEAD = (
    update(audit_heads)
    .where(audit_heads.c.organization_id == TENANT)
    .values(sequence=bindparam("to_sequence", type_=BigInteger()), hash=bindparam("to_hash", type_=Text()))
)
_BEFORE_CHAIN = (
    select(*(audit_entries.c[name] for name in ("id", "at", "actor", "action", "target_id", "risk", "details")))
    .where(audit_entries.c.organization_id == TENANT, audit_entries.c.sequence.is_(None))
    .order_by(audit_entries.c.id)
)
_OF_PERSON = audit_personal.c.user_id == bindparam("user_id", type_=Id)
_OF_ADDRESS = func.lower(audit_personal.c.email) == bindparam("email", type_=Text())
_ERASE = delete(audit_personal).where(_OF_PERSON).returning(audit_personal.c.organization_id)
_ERASE_WITH_EMAIL = (
    delete(audit_personal).where(or_(_OF_PERSON, _OF_ADDRESS)).returning(audit_personal.c.organization_id)
)


class _Older(NamedTuple):
    """An entry from before its organization had a chain."""

    id: str
    at: datetime
    actor: str
    action: str
    target_id: str | None
    risk: str
    details: Mapping[str, Any]


async def _link(chain: Transaction, waiting: list[_Waiting], erased: set[str]) -> None:
    key, organization_id = chain.scope.database.audit_key, chain.scope.organization_id
    if key is None or organization_id is None:
        raise MissingAuditKey
    head = await _locked_head(chain, partial(Beginning, key, organization_id))
    rows: list[dict[str, Any]] = []
    aside: list[dict[str, Any]] = []
    # Taken under the lock, so that the order of moments is that of the chain as far as clocks agree.
    at = datetime.now(UTC)
    for identity, entry, origin in waiting:
        row: dict[str, Any] = {
            "id": identity,
            "sequence": head.sequence + 1,
            "at": at,
            "actor": entry.actor,
            "action": entry.action,
            "target_id": entry.target_id,
            "risk": entry.risk,
            "details": dict(entry.details),
            "personal_digest": None,
        }
        if (origin.address or origin.user_agent or entry.email) and origin.user_id not in erased:
            salt = secrets.token_hex(16)
            aside.append({"entry_id": identity, "salt": salt, **origin._asdict(), "email": entry.email})
            row["personal_digest"] = personal_digest(key, salt, origin, entry.email)
        row["hash"] = entry_hash(key, organization_id, head.sequence + 1, row, head.hash)
        rows.append(row)
        head = Head(head.sequence + 1, row["hash"])
        at = max(datetime.now(UTC), at + _NEXT)
    await chain.insert(audit_entries, rows)
    await chain.insert(audit_personal, aside)
    await chain.execute(_MOVE_HEAD, {"to_sequence": head.sequence, "to_hash": head.hash})


async def _locked_head(transaction: Transaction, beginning: Callable[[], Beginning]) -> Head:
    found = await transaction.fetch(_LOCK_HEAD, Head)
    if not found:
        # Two first entries at once: both offer the row, one waits for the other's, and then both lock the same.
        before = beginning()
        for older in await transaction.fetch(_BEFORE_CHAIN, _Older):
            before.add(older._asdict())
        insert = postgresql_insert if transaction.scope.dialect == "postgresql" else sqlite_insert
        first = {"organization_id": transaction.scope.organization_id, "sequence": 0, "hash": before.hash}
        await transaction.connection.execute(insert(audit_heads).on_conflict_do_nothing(), first)
        found = await transaction.fetch(_LOCK_HEAD, Head)
    return found[0]
