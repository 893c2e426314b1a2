"""What is stored sealed, wherever it is: read and sealed anew under the newest key.

The columns are those of type ``Sealed`` in the tables that are known, of platforms from outside too, and their place
(see ``keyring``) is ``<table>.<column>.<id>``. A row is changed only if it is still as it was read, so that a gateway
that runs meanwhile loses nothing, and a run that was broken off is simply begun again: what is sealed under the newest
key is left alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    inspect,
    not_,
    select,
    update,
)

from datasources.database.columns import Id, Sealed
from datasources.database.engine import Database, Scope
from datasources.keyring import Keyring, Unreadable

ROWS_AT_ONCE = 100
MOST_UNREADABLE = 20
"""How many places of values that cannot be read are told."""


@dataclass(frozen=True)
class SealedColumn:
    """A column whose values are sealed, in a table whose rows have an ``id``."""

    table: Table
    column: Column[Any]

    def place(self, row_id: str) -> str:
        """What the value in a row is sealed for."""
        return f"{self.table.name}.{self.column.name}.{row_id}"


@dataclass
class Resealed:
    """What became of the sealed values: ``unreadable`` are places whose key is gone, or that were altered."""

    count: int = 0
    unreadable: list[str] = field(default_factory=list)
    more_unreadable: int = 0


class _Value(NamedTuple):
    id: str
    sealed: str


def sealed_columns(metadatas: Sequence[MetaData]) -> Iterator[SealedColumn]:
    """Every sealed column of these tables, each once; raises ``ValueError`` for a table without an ``id``."""
    tables = {id(table): table for metadata in metadatas for table in metadata.sorted_tables}
    for table in tables.values():
        for column in table.c:
            if isinstance(column.type, Sealed):
                if [key.name for key in table.primary_key] != ["id"]:
                    raise ValueError(f"{table.name} has sealed values, and its primary key is not its id")
                yield SealedColumn(table, column)


async def present_columns(database: Database, metadatas: Sequence[MetaData]) -> list[SealedColumn]:
    """The sealed columns that the database has: tables of platforms that were never on are not there."""

    def names(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    async with database.writer.connect() as connection:
        there = await connection.run_sync(names)
    return [each for each in sealed_columns(metadatas) if each.table.name in there]


async def reseal(
    database: Database, keyring: Keyring, columns: Sequence[SealedColumn], *, progress: Callable[[int], None]
) -> Resealed:
    """Seals under the newest key what is sealed under another; ``progress`` hears how many values were so far."""
    scope = database.unscoped("stored secrets of all organizations are sealed anew by an operator")
    done = Resealed()
    for column in columns:
        await _reseal_column(scope, keyring, column, done, progress)
    return done


async def keys_in_use(database: Database, key_ids: Sequence[str], columns: Sequence[SealedColumn]) -> frozenset[str]:
    """Those of the keys that something is sealed under."""
    scope = database.unscoped("a key is kept as long as something of any organization is sealed under it")
    used = set()
    for key_id in key_ids:
        for column in columns:
            if await scope.fetch(_under(column), str, {"under": f"{key_id}.%"}):
                used.add(key_id)
                break
    return frozenset(used)


async def _reseal_column(
    scope: Scope, keyring: Keyring, column: SealedColumn, done: Resealed, progress: Callable[[int], None]
) -> None:
    newest = f"{keyring.key_ids[0]}.%"
    read, write = _not_under(column), _replace(column)
    after = ""
    while values := await scope.fetch(read, _Value, {"after": after, "newest": newest}):
        after = values[-1].id
        changes = []
        for row_id, sealed in values:
            place = column.place(row_id)
            try:
                changes.append(
                    {"row": row_id, "was": sealed, "becomes": keyring.seal(keyring.unseal(sealed, place), place)}
                )
            except Unreadable:
                if len(done.unreadable) < MOST_UNREADABLE:
                    done.unreadable.append(place)
                else:
                    done.more_unreadable += 1
        async with scope.transaction() as transaction:
            for change in changes:
                done.count += await transaction.execute(write, change)
        progress(done.count)


def _not_under(sealed: SealedColumn) -> Select[Any]:
    table, column = sealed.table, sealed.column
    return (
        select(table.c.id, column)
        .where(
            table.c.id > bindparam("after", type_=Id),
            column.is_not(None),
            not_(column.like(bindparam("newest", type_=Text()))),
        )
        .order_by(table.c.id)
        .limit(ROWS_AT_ONCE)
    )


def _replace(sealed: SealedColumn) -> Update:
    table, column = sealed.table, sealed.column
    return (
        update(table)
        .where(table.c.id == bindparam("row", type_=Id), column == bindparam("was", type_=Text()))
        .values({column.name: bindparam("becomes", type_=Text())})
    )


def _under(sealed: SealedColumn) -> Select[Any]:
    return select(sealed.table.c.id).where(sealed.column.like(bindparam("under", type_=Text()))).limit(1)
