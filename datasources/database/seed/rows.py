"""Demo data is one long stream of rows, written as it is made, so that memory does not grow with it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from random import Random

from sqlalchemy import Table

from datasources.database.engine import Transaction
from datasources.database.ids import ulid
from datasources.database.tables.metadata import metadata

Row = tuple[Table, Mapping[str, object]]
"""A row and where it goes. A row comes after those that it refers to."""

CHUNK = 10_000
"""How many rows are kept before they are written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Draw(Random):
    """Random numbers that depend on nothing but the words they are drawn under.

    Everything that is made draws under a name of its own, so that more of one thing leaves all others as they were.
    """

    def __init__(self, *name: str | int) -> None:
        super().__init__("/".join(map(str, name)))

    def id(self, prefix: str, at: datetime) -> str:
        """An id of the type with this prefix, made at ``at``."""
        return f"{prefix}_{ulid((at - _EPOCH) // _MILLISECOND, self.getrandbits(80))}"

    def chance(self, probability: float) -> bool:
        """True as often as ``probability`` says."""
        return self.random() < probability


_MILLISECOND = datetime.resolution * 1000


async def write(transaction: Transaction, rows: Iterable[Row], progress: Callable[[int], None]) -> list[Table]:
    """Inserts ``rows`` and returns their tables; tells ``progress`` how many so far, now and then."""
    tables = metadata.sorted_tables
    waiting: dict[Table, list[Mapping[str, object]]] = {table: [] for table in tables}
    written = kept = 0
    seen: set[Table] = set()
    for table, row in rows:
        waiting[table].append(row)
        seen.add(table)
        kept += 1
        if kept == CHUNK:
            written += kept
            kept = 0
            await _flush(transaction, waiting)
            progress(written)
    await _flush(transaction, waiting)
    progress(written + kept)
    return [table for table in tables if table in seen]


async def _flush(transaction: Transaction, waiting: dict[Table, list[Mapping[str, object]]]) -> None:
    for table, rows in waiting.items():  # in the order of the tables' foreign keys
        await transaction.insert(table, rows)
        rows.clear()
