"""The audit trail as it is read: by the organization whose it is, and by who keeps the heads of its chains."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, select

from datasources.database.columns import UtcDateTime, any_of
from datasources.database.engine import Database, Scope
from datasources.database.listing import Listing, Ordering
from datasources.database.scope import TENANT
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal

RISKS = ("LOW", "MEDIUM", "HIGH")
"""From the least to the greatest."""


class AuditEntryRow(NamedTuple):
    """An entry, without its personal part; ``hash`` is ``None`` where it was written before there was a chain."""

    id: str
    at: datetime
    actor: str
    action: str
    target_id: str | None
    risk: str
    details: Mapping[str, Any]
    hash: str | None


class PersonalRow(NamedTuple):
    """Where the request came from that led to an entry."""

    entry_id: str
    address: str | None
    user_agent: str | None


class ChainHead(NamedTuple):
    """Where a chain ends; ``organization_id`` is ``GATEWAY_CHAIN`` for the gateway's own."""

    organization_id: str
    sequence: int
    hash: str


AUDIT: Listing[AuditEntryRow] = Listing(
    table=audit_entries,
    row=AuditEntryRow,
    # By the moment, which grows along the chain: entries from before there was one have no number to be ordered by.
    orderings={"AT": Ordering(lambda table: table.c.at, UtcDateTime())},
    filters={
        "actions": lambda table: any_of(table.c.action, "actions"),
        "actor": lambda table: table.c.actor == bindparam("actor", type_=Text()),
        "from": lambda table: table.c.at >= bindparam("from", type_=UtcDateTime()),
        "to": lambda table: table.c.at < bindparam("to", type_=UtcDateTime()),
        "risks": lambda table: any_of(table.c.risk, "risks"),
    },
)
"""The entries of an organization."""

_PERSONAL = select(audit_personal.c.entry_id, audit_personal.c.address, audit_personal.c.user_agent).where(
    audit_personal.c.organization_id == TENANT, any_of(audit_personal.c.entry_id, "ids")
)
_HEADS = select(audit_heads.c.organization_id, audit_heads.c.sequence, audit_heads.c.hash)
_HEADS_OF = _HEADS.where(any_of(audit_heads.c.organization_id, "ids"))


def risks_from(least: str) -> Sequence[str]:
    """This risk and the greater ones."""
    return RISKS[RISKS.index(least) :]


async def audit_entries_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, AuditEntryRow]:
    """Entries of the organization by id."""
    return await AUDIT.by_ids(scope, ids)


async def personal_of(scope: Scope, entry_ids: Sequence[str]) -> dict[str, PersonalRow]:
    """The personal part of entries, where there was one and it is not erased."""
    return {row.entry_id: row for row in await scope.fetch(_PERSONAL, PersonalRow, {"ids": entry_ids})}


async def heads_of(database: Database, organization_ids: Sequence[str]) -> list[ChainHead]:
    """The heads of these chains."""
    scope = database.unscoped("heads of chains are kept elsewhere for all organizations")
    return await scope.fetch(_HEADS_OF, ChainHead, {"ids": organization_ids})


async def all_heads(database: Database) -> list[ChainHead]:
    """The heads of all chains."""
    scope = database.unscoped("heads of chains are kept elsewhere for all organizations")
    return await scope.fetch(_HEADS, ChainHead)
