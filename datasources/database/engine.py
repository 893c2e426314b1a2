"""Connections, the two ways to read, and the one way to write."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Executable, Insert, Select, Table, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from datasources.database.reading import PostgresReader, Reader, SqliteReader, compiled
from datasources.database.scope import ORGANIZATION, TENANT_PARAMETER, NoOrganization, needs_organization

R = TypeVar("R")


class UnstorableText(ValueError):
    """A text has the character U+0000, which PostgreSQL cannot hold; it is refused whatever the database is."""


def _storable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    for value in values.values():
        texts = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise UnstorableText
    return values


logger = logging.getLogger(__name__)

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def async_url(url: str) -> URL:
    """``url`` with the driver that the gateway uses.

    Raises ``ValueError`` for what is no address of a database that it speaks; the message repeats nothing of it but
    the name of the scheme, for there may be a password in any other part.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        message = "DATABASE_URL must be like sqlite:///path/to/file.db or postgresql://user:password@host/name"
        raise ValueError(message) from None
    driver = DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        message = f"DATABASE_URL must begin with sqlite: or postgresql:, not {parsed.drivername}:"
        raise ValueError(message)
    if driver == DRIVERS["sqlite"] and parsed.database in (None, "", ":memory:"):
        message = "DATABASE_URL must name a file after sqlite:///, for several connections share it"
        raise ValueError(message)
    return parsed.set(drivername=driver)


_PRAGMAS = ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL", "busy_timeout=30000", "cache_size=-16000")


def _configure(execute: Callable[[str], object]) -> None:
    for pragma in _PRAGMAS:
        execute(f"PRAGMA {pragma}")


def _prepare_writer(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by us, see _begin_sqlite
    cursor = connection.cursor()
    _configure(cursor.execute)
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # Taking the write lock at once avoids the upgrade from reader to writer that SQLite can only refuse.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Announced(NamedTuple):
    """An event that was written: the name of its type, and what it happened to."""

    type: str
    subject_id: str


class Origin(NamedTuple):
    """Where a request came from; personal data, which the audit trail keeps aside.

    ``user_id`` is whose data it is, where that is known.
    """

    address: str | None = None
    user_agent: str | None = None
    user_id: str | None = None


NOWHERE = Origin()


class Database:
    """The connections of one database, and what happens after a commit.

    Reads run outside transactions (each statement sees a consistent state) on the thin path of ``reading``, writes in a
    transaction of SQLAlchemy's. On SQLite there is one writing connection, so that writers of this process queue here
    rather than collide there. ``observers`` are told the SQL of every statement that is run, ``after_commit`` the
    events that a transaction of this process has written. ``audit_key`` (32 bytes) is what the audit trail is hashed
    under; without it nothing that leaves an entry there can be done.
    """

    def __init__(self, url: str, *, pool_size: int = 10, audit_key: bytes | None = None) -> None:
        self.url = async_url(url)
        self.dialect = self.url.get_backend_name()
        sqlite = self.dialect == "sqlite"
        if sqlite and self.url.database not in (None, "", ":memory:"):
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
        self._writer = create_async_engine(self.url, pool_size=1 if sqlite else pool_size, max_overflow=0)
        if sqlite:
            event.listen(self._writer.sync_engine, "connect", _prepare_writer)
            event.listen(self._writer.sync_engine, "begin", _begin_sqlite)
        event.listen(self._writer.sync_engine, "before_cursor_execute", self._observed)
        self._reader: Reader = (
            SqliteReader(self.url, pool_size, _configure) if sqlite else PostgresReader(self.url, pool_size)
        )
        self.audit_key = audit_key
        self.after_commit: list[Callable[[Sequence[Announced]], None]] = []
        self.observers: list[Callable[[str], None]] = []

    @property
    def writer(self) -> AsyncEngine:
        """The engine of transactions, also for migrations."""
        return self._writer

    async def read(self, statement: Select[Any], row: Callable[..., R], parameters: Mapping[str, Any]) -> list[R]:
        """Runs a reading statement outside any transaction, without a check of whose rows it reaches: see ``Scope``."""
        ready = compiled(statement, self._writer.dialect)
        for observe in self.observers:
            observe(ready.sql)
        return ready.rows(await self._reader.fetch(ready.sql, ready.values(parameters)), row)

    def _observed(self, _connection: object, _cursor: object, sql: str, *_: object) -> None:
        for observe in self.observers:
            observe(sql)

    def scoped(self, organization_id: str | None, origin: "Origin | None" = None) -> "Scope":
        """A handle that reads and writes as this organization; ``None``: only what is open to everybody."""
        return Scope(self, organization_id, origin=origin or NOWHERE)

    def unscoped(self, reason: str) -> "Scope":
        """A handle over all organizations. ``reason`` says why that is right; a test lists every use."""
        logger.debug("unscoped access: %s", reason)
        return Scope(self, None, every_organization=True)

    async def ping(self) -> None:
        """One round trip; raises what the driver raises when the database cannot be reached."""
        await self._reader.fetch("SELECT 1", ())

    async def close(self) -> None:
        """Closes every connection."""
        await self._reader.close()
        await self._writer.dispose()


@dataclass(frozen=True, slots=True)
class Scope:
    """The database as one organization sees it."""

    database: Database
    organization_id: str | None
    every_organization: bool = False
    origin: Origin = NOWHERE

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.database.dialect

    async def fetch(
        self, statement: Select[Any], row: Callable[..., R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs one reading statement and makes each result row a light ``row``.

        Raises ``NoOrganization`` when the statement needs a tenant and there is none, ``UnscopedStatement`` when it
        should name one and does not.
        """
        return await self.database.read(statement, row, self.bind(statement, parameters))

    def bind(self, statement: Executable, parameters: Mapping[str, object] | None) -> dict[str, Any]:
        """``parameters`` with the organization, after the check that the statement is scoped.

        Raises ``UnstorableText`` as well as what ``fetch`` raises.
        """
        bound: dict[str, Any] = dict(_storable(parameters or {}))
        if self.every_organization:
            return bound
        if TENANT_PARAMETER in bound:
            message = "the organization is the handle's, never a parameter"
            raise ValueError(message)
        if needs_organization(statement):
            if self.organization_id is None:
                raise NoOrganization
            bound[TENANT_PARAMETER] = self.organization_id
        return bound

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """One transaction: everything done through it commits together at the end of the block, or not at all."""
        async with self.database.writer.connect() as connection, connection.begin():
            transaction = Transaction(self, connection)
            yield transaction
            for finish in transaction.before_commit:
                await finish()
        for tell in self.database.after_commit if transaction.announced else ():
            tell(transaction.announced)
        for act in transaction.after_commit:
            act()


@dataclass(slots=True)
class Transaction:
    """A unit of work on one connection, as one organization.

    ``before_commit`` runs at the end, within the transaction: for what takes a lock that others wait for.
    ``after_commit`` is called once it has committed, and must not fail.
    """

    scope: Scope
    connection: AsyncConnection
    announced: list[Announced] = field(default_factory=list)
    before_commit: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def acting_for(self, organization_id: str | None) -> "Transaction":
        """The same unit of work as another organization, for what touches several and must commit together."""
        return replace(self, scope=self.scope.database.scoped(organization_id, self.scope.origin))

    async def fetch(
        self, statement: Executable, row: Callable[..., R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """As ``Scope.fetch``, inside the transaction; also for ``… RETURNING``."""
        result = await self.connection.execute(statement, self.scope.bind(statement, parameters))
        return [row(*values) for values in result.fetchall()]

    async def execute(self, statement: Executable, parameters: Mapping[str, object] | None = None) -> int:
        """Runs a writing statement; returns how many rows it touched."""
        result = await self.connection.execute(statement, self.scope.bind(statement, parameters))
        return int(result.rowcount)

    async def insert(self, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Inserts ``rows``; a tenant's table gets the organization of the handle, whatever the rows say."""
        if not rows:
            return
        own = (
            {ORGANIZATION: self.scope.organization_id}
            if ORGANIZATION in table.c and not self.scope.every_organization
            else {}
        )
        if own and self.scope.organization_id is None:
            raise NoOrganization
        await self.connection.execute(Insert(table), [{**_storable(values), **own} for values in rows])
