"""The audit trail: who did what, written in the transaction of what was done, and never changed.

The entries of an organization are a chain: each carries its number and

    hash = HMAC-SHA-256(audit key, JSON [version, organization, number, id, at, actor, action, target, risk, details,
                                         personal digest, hash of the entry before])

so that without the key nobody can alter, insert, drop or reorder one unseen. What is personal (address, client, e-mail)
is kept aside in ``audit_personal``; the entry has only a keyed, salted digest of it, so that it can be erased without
breaking the chain. What happens before any organization is known is in a chain of the gateway's own.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from datasources.database.engine import Transaction
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal

GATEWAY_CHAIN = "gateway"
"""Stands for the organization in what happens before one is known."""

NO_HASH = ""
"""What comes before the first entry."""

_VERSION = 1


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
    and held for a moment only. Raises ``MissingAuditKey``.
    """
    if transaction.scope.database.audit_key is None:
        raise MissingAuditKey
    identity = new_id("aud")
    transaction.before_commit.append(partial(_link, transaction, identity, datetime.now(UTC), entry))
    return identity


def personal_digest(key: bytes, salt: str, address: str | None, user_agent: str | None, email: str | None) -> str:
    """What an entry has of its personal part."""
    return hmac.new(key, orjson.dumps(["personal", salt, address, user_agent, email]), sha256).hexdigest()


def entry_hash(
    key: bytes,
    organization_id: str,
    sequence: int,
    entry: Mapping[str, Any],
    previous: str,
) -> str:
    """The hash of an entry; ``entry`` has the columns of ``audit_entries``."""
    content = [
        _VERSION,
        organization_id,
        sequence,
        entry["id"],
        entry["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        *(entry[name] for name in ("actor", "action", "target_id", "risk", "details", "personal_digest")),
        previous,
    ]
    return hmac.new(key, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), sha256).hexdigest()


_LOCK_HEAD = (
    select(audit_heads.c.sequence, audit_heads.c.hash).where(audit_heads.c.organization_id == TENANT).with_for_update()
)
_MOVE_HEAD = (
    update(audit_heads)
    .where(audit_heads.c.organization_id == TENANT)
    .values(sequence=bindparam("to_sequence", type_=BigInteger()), hash=bindparam("to_hash", type_=Text()))
)


async def _link(transaction: Transaction, identity: str, at: datetime, entry: NewAuditEntry) -> None:
    key, organization_id = transaction.scope.database.audit_key, transaction.scope.organization_id or GATEWAY_CHAIN
    if key is None:
        raise MissingAuditKey
    chain = transaction
    if transaction.scope.organization_id is None:
        chain = Transaction(transaction.scope.database.scoped(GATEWAY_CHAIN), transaction.connection)
    head = await _locked_head(chain)
    row: dict[str, Any] = {
        "id": identity,
        "sequence": head.sequence + 1,
        "at": at,
        "actor": entry.actor,
        "action": entry.action,
        "target_id": entry.target_id,
        "risk": entry.risk,
        "details": dict(entry.details),
    }
    origin = transaction.scope.origin
    personal = {"address": origin.address, "user_agent": origin.user_agent, "email": entry.email}
    aside = None
    row["personal_digest"] = None
    if any(personal.values()):
        salt = secrets.token_hex(16)
        aside = {"entry_id": identity, "user_id": origin.user_id, "salt": salt, **personal}
        row["personal_digest"] = personal_digest(key, salt, **personal)
    row["hash"] = entry_hash(key, organization_id, head.sequence + 1, row, head.hash)
    await chain.insert(audit_entries, [row])
    if aside is not None:
        await chain.insert(audit_personal, [aside])
    await chain.execute(_MOVE_HEAD, {"to_sequence": head.sequence + 1, "to_hash": row["hash"]})


async def _locked_head(transaction: Transaction) -> Head:
    found = await transaction.fetch(_LOCK_HEAD, Head)
    if not found:
        # Two first entries at once: both offer the row, one waits for the other's, and then both lock the same.
        insert = postgresql_insert if transaction.scope.dialect == "postgresql" else sqlite_insert
        first = {"organization_id": transaction.scope.organization_id, "sequence": 0, "hash": NO_HASH}
        await transaction.connection.execute(insert(audit_heads).on_conflict_do_nothing(), first)
        found = await transaction.fetch(_LOCK_HEAD, Head)
    return found[0]
