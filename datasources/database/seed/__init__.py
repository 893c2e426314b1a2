"""Demo data: four organizations, what they sell and what they bought; the same for the same arguments.

Ada's Lakeside Collective grows with the scale, Grace's Northwind Studio is small and the same at each. All of it is
made up: addresses end in example.com, .net or .org, telephone numbers are of ranges kept for fiction, and every
business is marked as a demo.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from sqlalchemy import Table, func, select

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.scope import ORGANIZATION, TENANT
from datasources.database.seed.rows import write
from datasources.database.seed.world import World
from datasources.database.tables.gateway import organizations

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""The present of the demo data, unless told otherwise."""

PLATFORMS = frozenset({"attribution", "messaging", "marketplace", "billing", "livestream", "assistant"})

__all__ = ["NOW", "PLATFORMS", "AlreadyInUse", "seed"]


class AlreadyInUse(Exception):
    """The database has organizations: demo data is only for an empty one."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the database already has {count} organizations; demo data goes into an empty one")


def _silent(_message: str) -> None:
    pass


async def seed(
    database: Database,
    *,
    password_hash: str,
    scale: int = 1,
    random_seed: int = 2026,
    now: datetime = NOW,
    platforms: AbstractSet[str] = PLATFORMS,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Fills an empty database with demo data, all of it or nothing.

    Scale 1 has about 10,000 orders, scale 100 about a million. Everybody gets ``password_hash``, a hash as sign-in
    checks it. Only the tables of ``platforms`` (their keys) are written. ``progress`` hears how far it is.

    Raises ``AlreadyInUse`` when there are organizations, ``ValueError`` for a scale below 1.
    """
    if scale < 1:
        raise ValueError(f"the scale is a whole number from 1 on, not {scale}")
    tell = progress or _silent
    world = World(scale, random_seed, now, password_hash, frozenset(platforms))
    async with database.unscoped("demo data is of several organizations").transaction() as transaction:
        [count] = await transaction.fetch(select(func.count()).select_from(organizations), int)
        if count:
            raise AlreadyInUse(count)
        filled = await write(transaction, world.rows(tell), lambda written: tell(f"{written:,} rows"))
        for table in filled:  # without figures about them, PostgreSQL would plan the first queries for empty ones
            await transaction.connection.exec_driver_sql(f"ANALYZE {table.name}")
        if database.audit_key is not None:
            await _say_what_was_made(transaction, filled)


async def _say_what_was_made(transaction: Transaction, filled: Sequence[Table]) -> None:
    """An entry for each table in the audit trail of each organization: the demo makes up rows, but no history."""
    for organization_id in await transaction.fetch(select(organizations.c.id).order_by(organizations.c.id), str):
        of_one = transaction.acting_for(organization_id)
        for table in filled:
            if ORGANIZATION in table.c:
                rows = select(func.count()).select_from(table).where(table.c[ORGANIZATION] == TENANT)
                [count] = await of_one.fetch(rows, int)
                entry = NewAuditEntry("operator", "demo.made", None, "LOW", {"table": table.name, "rows": count})
                await append_audit(of_one, entry)
