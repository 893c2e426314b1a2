"""The thin path of reads: a statement is compiled once and then handed to the driver as text and values.

SQLAlchemy writes the SQL and converts the values; between it and the driver nothing is left that costs a read anything.
On SQLite a read is one hop to a thread that keeps a connection of its own; on PostgreSQL it is one round trip.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import asyncpg
import orjson
from sqlalchemy import Dialect, Double, Float, Select
from sqlalchemy.engine import URL

Process = Callable[[Any], Any]


class Compiled(NamedTuple):
    """A statement as text, with how its parameters and its cells are converted.

    ``binds`` are the parameters in the order of the text: name, value when the caller gives none, conversion.
    ``cells`` are the positions of a row that need one.
    """

    sql: str
    binds: tuple[tuple[str, Any, Process | None], ...]
    cells: tuple[tuple[int, Process], ...]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters for the driver; raises ``KeyError`` for one that is missing."""
        return [
            process(value) if process is not None else value
            for name, default, process in self.binds
            for value in (parameters[name] if default is _REQUIRED else parameters.get(name, default),)
        ]

    def rows(self, found: Sequence[Any], row: Callable[..., Any]) -> list[Any]:
        """The rows of the driver as light rows."""
        if not self.cells:
            return [row(*cells) for cells in found]
        rows = []
        for cells in found:
            converted = list(cells)
            for index, process in self.cells:
                converted[index] = process(converted[index])
            rows.append(row(*converted))
        return rows


_REQUIRED = object()


@lru_cache(maxsize=4096)
def compiled(statement: Select[Any], dialect: Dialect) -> Compiled:
    """The statement in the SQL of a dialect; remembered, because statements are built once and used again.

    Raises ``ValueError`` for ``IN`` over Python values, whose text would depend on how many there are.
    """
    result = statement.compile(dialect=dialect)
    if "POSTCOMPILE" in str(result):
        message = "a list of values is one parameter here: use any_of, or one_of for a few constants"
        raise ValueError(message)
    defaults, names = result.params, result.positiontup or ()
    binds = []
    for name in names:
        bind = result.binds.get(name)
        value = defaults[name] if bind is None or not bind.required else _REQUIRED
        process = None if bind is None else bind.type.dialect_impl(dialect).bind_processor(dialect)
        binds.append((name, value, process))
    cells = []
    for index, column in enumerate(statement.selected_columns):
        if isinstance(column.type, Float | Double):
            continue  # both drivers give floats
        process = column.type.dialect_impl(dialect).result_processor(dialect, None)
        if process is not None:
            cells.append((index, process))
    return Compiled(str(result), tuple(binds), tuple(cells))


class Reader(Protocol):
    """A way to run a reading statement."""

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        """Every row of the result."""

    async def close(self) -> None:
        """Closes every connection."""


class SqliteReader:
    """Reads on threads of its own, each with a connection that cannot write."""

    def __init__(self, url: URL, connections: int, configure: Callable[[Callable[[str], object]], None]) -> None:
        self._path = str(url.database)
        self._configure = configure
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        """Every row of the result."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, sql, values)

    async def close(self) -> None:
        """Waits for reads that run, then closes every connection."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._opened:
            connection.close()

    def _run(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection.execute(sql, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=512)
        self._configure(connection.execute)
        connection.execute("PRAGMA query_only=ON")
        self._opened.append(connection)
        return connection


class PostgresReader:
    """Reads over a pool of connections with prepared statements; each statement is a transaction of its own."""

    def __init__(self, url: URL, connections: int) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connections = connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        """Every row of the result."""
        pool = self._pool or await self._open()
        return await pool.fetch(sql, *values)

    async def close(self) -> None:
        """Closes every connection."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._connections,
                    statement_cache_size=512,
                    init=_read_json,
                    reset=_nothing_to_reset,
                )
            return self._pool


async def _read_json(connection: asyncpg.Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_json_text, decoder=orjson.loads, format="text"
        )


def _json_text(value: object) -> str:
    return orjson.dumps(value).decode()


async def _nothing_to_reset(_: asyncpg.Connection) -> None:
    """Reads leave nothing behind in a session, so a connection goes back without a round trip."""
