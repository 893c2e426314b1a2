"""A trail to be tampered with: the database as the gateway has it, and as somebody has it who goes around it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, RowMapping, Table, bindparam, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from datasources.database.audit import GATEWAY_CHAIN, Head, NewAuditEntry, append_audit
from datasources.database.audit_verify import ChainReport, chains, verify_chain
from datasources.database.columns import Id
from datasources.database.engine import Database, Origin, async_url
from datasources.database.ids import new_id
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal
from datasources.database.tables.gateway import organizations

KEY = bytes(range(32))
TABLES = (audit_entries, audit_personal, audit_heads)
HOME = Origin("203.0.113.7", "a browser", "usr_00000000000000000000000001")


@dataclass(frozen=True)
class Trail:
    """``database`` is the gateway's; ``raw`` is a connection without its manners, nor any check of keys."""

    database: Database
    raw: AsyncEngine
    organizations: Sequence[str]

    async def write(self, organization_id: str | None, *actions: str, origin: Origin | None = None) -> list[str]:
        """Appends entries, a transaction each."""
        ids = []
        for action in actions:
            async with self.database.scoped(organization_id, origin).transaction() as transaction:
                entry = NewAuditEntry("usr_someone", action, new_id("sor"), "LOW", {"to": "PAID", "times": 3})
                ids.append(await append_audit(transaction, entry))
        return ids

    async def write_ten(self, organization_id: str | None) -> list[str]:
        """Ten entries, every other one with a personal part."""
        ids = []
        for number in range(10):
            ids += await self.write(organization_id, "order.moved", origin=HOME if number % 2 else None)
        return ids

    async def verify(self, organization_id: str | None, kept: Sequence[Head] = ()) -> ChainReport:
        """What verifying a chain finds."""
        return await verify_chain(self.database, organization_id or GATEWAY_CHAIN, kept)

    async def kinds(self, organization_id: str | None, kept: Sequence[Head] = ()) -> list[tuple[str, int | None]]:
        """The kind and the place of each finding."""
        return [(kind, sequence) for kind, sequence, _ in (await self.verify(organization_id, kept)).findings]

    async def all_hold(self) -> bool:
        """Whether every chain is as it was written."""
        return all([(await self.verify(each)).holds for each in await chains(self.database)])

    async def do(self, *statements: Executable | str) -> None:
        """Changes the tables behind the gateway's back."""
        async with self.raw.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement) if isinstance(statement, str) else statement)

    async def change(self, table: Table, key: str, **values: object) -> None:
        """Sets columns of the row with this primary key."""
        (primary,) = table.primary_key.columns
        await self.do(update(table).where(primary == key).values(**values))

    async def rows(self, table: Table, organization_id: str | None) -> list[RowMapping]:
        """The rows of a chain, in the order of the chain."""
        mine = table.c.organization_id == bindparam("of", organization_id or GATEWAY_CHAIN, type_=Id)
        statement = select(table).where(mine)
        if "sequence" in table.c:
            statement = statement.order_by(table.c.sequence)
        async with self.raw.connect() as connection:
            return [row._mapping for row in (await connection.execute(statement)).fetchall()]

    async def head(self, organization_id: str | None) -> Head:
        """Where a chain ends."""
        (row,) = await self.rows(audit_heads, organization_id)
        return Head(row["sequence"], row["hash"])

    async def save(self) -> None:
        """Keeps a copy of the tables."""
        for table in TABLES:
            await self.do(
                f"DROP TABLE IF EXISTS saved_{table.name}",
                f"CREATE TABLE saved_{table.name} AS SELECT * FROM {table.name}",  # noqa: S608 -- our tables
            )

    async def restore(self) -> None:
        """Puts the copy back."""
        emptied = [f"DELETE FROM {table.name}" for table in (audit_personal, audit_entries, audit_heads)]  # noqa: S608 -- as above
        filled = [f"INSERT INTO {table.name} SELECT * FROM saved_{table.name}" for table in TABLES]  # noqa: S608 -- as above
        await self.do(*emptied, *filled)


@asynccontextmanager
async def trail_at(database_url: str, key: bytes = KEY) -> AsyncIterator[Trail]:
    """A trail without any entry, in a database with organizations."""
    database = Database(database_url, pool_size=4, audit_key=key)
    raw = create_async_engine(async_url(database_url))
    found = Trail(database, raw, ())
    try:
        await found.do(*(f"DELETE FROM {table.name}" for table in (audit_personal, audit_entries, audit_heads)))  # noqa: S608 -- as above
        scope = database.unscoped("tests look behind the gateway")
        yield Trail(database, raw, await scope.fetch(select(organizations.c.id).order_by(organizations.c.id), str))
    finally:
        await raw.dispose()
        await database.close()


async def forget_foreign_keys(trail: Trail) -> None:
    """What the owner of a database can do: on SQLite a connection that asks for no checks has none."""
    if trail.database.dialect == "postgresql":
        await trail.do("ALTER TABLE audit_personal DROP CONSTRAINT IF EXISTS fk_audit_personal_entry_id")


def inserted(table: Table, row: Mapping[str, Any]) -> Executable:
    """A statement that puts in a row as it is."""
    return insert(table).values(dict(row))
