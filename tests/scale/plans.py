"""What the databases say of how they will answer: the statements that a gateway runs, and the plan of each."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from datasources.database.engine import Database
from datasources.database.reading import Reader
from tests.serving import Running, is_counted

LARGE = 5_000
"""Rows from which on reading or sorting all of them is too much for one page."""


class Statement(NamedTuple):
    """A statement as it was handed to the driver."""

    sql: str
    values: Sequence[Any]


class _Recording:
    """Reads, and writes down what it is asked."""

    def __init__(self, reader: Reader, statements: list[Statement]) -> None:
        self._reader = reader
        self._statements = statements

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        if is_counted():  # the gateway's own readers come by when they like
            self._statements.append(Statement(sql, values))
        return await self._reader.fetch(sql, values)

    async def close(self) -> None:
        await self._reader.close()


@contextmanager
def recorded(gateway: Running) -> Iterator[list[Statement]]:
    """What the gateway reads for the requests of the block."""
    database: Database = gateway.app.state.gateway.services.database
    statements: list[Statement] = []
    reader, database._reader = database._reader, _Recording(database._reader, statements)
    try:
        with gateway.statements():
            yield statements
    finally:
        database._reader = reader


class Judge:
    """Asks a database for the plans of statements and tells what is wrong with them.

    ``rows`` are the numbers of rows of its tables; reading a small table whole is nothing to complain about.
    """

    def __init__(self, url: str, rows: Mapping[str, int]) -> None:
        self._url = make_url(url)
        self._large = {table for table, count in rows.items() if count >= LARGE}

    def complaints(self, statements: Sequence[Statement]) -> list[str]:
        """A line for each scan of a large table and each sort of more than is returned."""
        judge = self._on_sqlite if self._url.get_backend_name() == "sqlite" else self._on_postgresql
        return list(dict.fromkeys(judge(statements)))

    def _on_sqlite(self, statements: Sequence[Statement]) -> list[str]:
        found = []
        with closing(sqlite3.connect(str(self._url.database))) as connection:
            for sql, values in statements:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
                aliases = _aliases(sql)
                large = self._large & set(sql.replace(".", " ").split())
                for _, parent, _, step in plan:
                    words = step.split()
                    scans = words[0] == "SCAN" and aliases.get(words[1], words[1]) in self._large
                    # at the end of a statement for many parents only the rows that are returned are sorted
                    sorts = "TEMP B-TREE" in step and "ORDER BY" in step and not (parent == 0 and "json_each" in sql)
                    if scans or (sorts and large):
                        found.append(f"{step}: {_brief(sql)}")
        return found

    def _on_postgresql(self, statements: Sequence[Statement]) -> list[str]:
        async def plans() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(
                self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            )
            try:
                rows = [
                    await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *values)
                    for sql, values in statements
                ]
            finally:
                await connection.close()
            return [json.loads(row)[0]["Plan"] for row in rows]

        with ThreadPoolExecutor(1) as thread:  # the caller may be within a running event loop
            found = thread.submit(asyncio.run, plans()).result()
        return [
            f"{complaint}: {_brief(sql)}"
            for (sql, _), plan in zip(statements, found, strict=True)
            for complaint in self._of_node(plan)
        ]

    def _of_node(self, node: Mapping[str, Any]) -> Iterator[str]:
        below = node.get("Plans", ())
        if node["Node Type"].endswith("Seq Scan") and node["Relation Name"] in self._large:
            yield f"Seq Scan {node['Relation Name']}"
        if node["Node Type"] in ("Sort", "Incremental Sort"):
            read = max(each["Actual Rows"] * each["Actual Loops"] for each in below)
            if read >= LARGE:
                yield f"Sort of {read:.0f} rows"
        removed = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
        if removed >= LARGE:
            yield f"{removed:.0f} rows read in vain by {node['Node Type']} {node.get('Index Name', '')}"
        for each in below:
            yield from self._of_node(each)


def _aliases(sql: str) -> dict[str, str]:
    """What a plan calls a table, where the statement gives it another name."""
    words = sql.replace(",", " ").split()
    return {after: before for before, word, after in zip(words, words[1:], words[2:], strict=False) if word == "AS"}


def _brief(sql: str) -> str:
    """A statement from its FROM on, in one line."""
    return " ".join(sql[sql.index("FROM") :].split())[:400]
