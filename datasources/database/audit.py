"""The audit trail: who did what, written in the transaction of what was done, and never changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from datasources.database.engine import Transaction
from datasources.database.ids import new_id
from datasources.database.tables.gateway import audit_entries


class NewAuditEntry(NamedTuple):
    """What is to be written. ``risk`` is LOW, MEDIUM or HIGH; ``details`` hold no personal data and no secrets."""

    actor: str
    action: str
    target_id: str | None
    risk: str
    details: Mapping[str, Any]


async def append_audit(transaction: Transaction, entry: NewAuditEntry) -> None:
    """Writes an entry for the organization of the transaction."""
    await transaction.insert(audit_entries, [{**entry._asdict(), "id": new_id("aud"), "at": datetime.now(UTC)}])
