"""Column types and the columns that many tables share."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    Text,
    TypeDecorator,
    bindparam,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import JSON, TypeEngine

Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document: text on SQLite, ``jsonb`` on PostgreSQL."""

Id = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids compare byte by byte in both databases and in Python, so that merged lists agree on their order."""

Big = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit integer; SQLite numbers rows only for a column that is called INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond.

    ``timestamptz`` on PostgreSQL; on SQLite text of one fixed width (``2026-01-31T09:30:00.000000Z``), which sorts as
    time does. Naive values are refused: they would mean another moment on another machine.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """``timestamptz`` where there is one."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database; raises ``ValueError`` for a naive value."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"a naive datetime cannot be stored: {value!r}"
            raise ValueError(message)
        if dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """From the database: nothing to do where the driver gives moments."""
        return None if dialect.name == "postgresql" else _moment


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class TextArray(TypeDecorator[Sequence[str]]):
    """A list of texts as one parameter, however long: ``text[]`` on PostgreSQL, a JSON array on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array where there is one."""
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None or dialect.name == "postgresql":
            return None if value is None else list(value)
        return json.dumps(list(value))


class _AnyOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Any:
        """As it is among other conditions; ``IN (…) = 1``, which SQLite would get, keeps it from using an index."""
        among_conditions = (operators.and_, operators.or_, operators._asbool)  # noqa: SLF001 -- alone in a WHERE
        return self if against in among_conditions else super().self_group(against)


@compiles(_AnyOf)
def _any_of_json(element: _AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 -- compiled clauses, no text of a caller


@compiles(_AnyOf, "postgresql")
def _any_of_postgresql(element: _AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} = ANY ({values})"


def any_of(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """``column`` is one of the texts of a list parameter: one parameter, however long the list."""
    return _AnyOf(column, bindparam(parameter, type_=TextArray()))


def one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """``column`` is one of a few constants."""
    return or_(*(column == value for value in values))


class _JsonHasAny(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True


@compiles(_JsonHasAny)
def _json_has_any_json(element: _JsonHasAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    matches = f"json_each({column}) AS had JOIN json_each({values}) AS wanted ON wanted.value = had.value"
    return f"EXISTS (SELECT 1 FROM {matches})"  # noqa: S608 -- compiled clauses, no text of a caller


@compiles(_JsonHasAny, "postgresql")
def _json_has_any_postgresql(element: _JsonHasAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"jsonb_exists_any({column}, {values})"


def json_has_any(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """The JSON list in ``column`` has one of the texts of a list parameter."""
    return _JsonHasAny(column, bindparam(parameter, type_=TextArray()))


class Sealed(TypeDecorator[str]):
    """A text that is encrypted under a key of the keyring: ``secrets rotate`` finds the columns by this type."""

    impl = Text
    cache_ok = True


def primary_id() -> Column[str]:
    """The primary key of nearly every table."""
    return Column("id", Id, primary_key=True)


def organization_id() -> Column[str]:
    """The tenant a row belongs to; its presence makes the table tenant-scoped (see ``scope``)."""
    return Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False)


def order_columns(prefix: str) -> list[Column[Any]]:
    """What an order of every kind has; ``prefix`` only documents the kind of id it gets."""
    return [
        Column("id", Id, primary_key=True, comment=prefix),
        organization_id(),
        Column("business_id", Id, ForeignKey("businesses.id")),
        Column("customer_id", Id, ForeignKey("customers.id")),
        Column("number", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("total_minor", Big, nullable=False),
        Column("currency", Text, nullable=False),
        Column("placed_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
    ]


def order_indexes() -> list[Index]:
    """The orders in which orders are listed, of all, of a business, of a customer, in a status, in a currency."""
    return [
        Index(None, "organization_id", "placed_at", "id"),
        Index(None, "organization_id", "updated_at", "id"),
        Index(None, "organization_id", "business_id", "placed_at", "id"),
        Index(None, "organization_id", "customer_id", "placed_at", "id"),
        Index(None, "organization_id", "status", "placed_at", "id"),
        Index(None, "organization_id", "currency", "total_minor", "id"),
    ]
