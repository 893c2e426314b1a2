"""Keyset pages: of one list, or of the lists of many parents in one statement.

A ``Listing`` says what a list is made of; the statements follow from it. A page is found by comparing with the last row
seen, ``(value, id) > (:value, :id)``, never by counting rows (no OFFSET), so the tenth page costs what the first does.
The pages of many parents are one statement that reads only the rows it returns: a LATERAL join on PostgreSQL, a
correlated and limited subselect per key on SQLite, where a window function would read every parent whole.

Statements are built once per shape (which order, which filters, which bounds) and reused with other parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.types import TypeEngine

from datasources.database.columns import Id, TextArray, UtcDateTime, any_of
from datasources.database.engine import Scope
from datasources.database.ids import prefix_of
from datasources.database.scope import ORGANIZATION, TENANT
from datasources.paging import ForeignPosition, Page, Position, Selection, SortValue, Window

R = TypeVar("R", bound=tuple[Any, ...])


@dataclass(frozen=True, eq=False)
class Ordering:
    """One way to order a list; the id breaks ties. Nulls come last in both directions."""

    expression: Callable[[FromClause], ColumnElement[Any]]
    type: TypeEngine[Any]
    nullable: bool = False

    def has(self, value: SortValue) -> bool:
        """Whether a row may have this value, so that a bound with it can be compared with the rows."""
        if value is None:
            return self.nullable
        kind = datetime if isinstance(self.type, UtcDateTime) else self.type.python_type
        if kind is int and isinstance(value, int):
            most = 2**63 if isinstance(self.type, BigInteger) else 2**31
            return -most <= value < most
        return isinstance(value, int | float if kind is float else kind)


class _Shape(NamedTuple):
    dialect: str
    ordering: str
    descending: bool
    from_end: bool
    after: str
    before: str
    filters: frozenset[str]
    by: str | None
    tenant: bool


@dataclass(frozen=True, eq=False)
class Listing(Generic[R]):
    """What a list is made of.

    ``row`` is a ``NamedTuple`` whose field names are columns of the table (one of them ``id``); ``filters`` and
    ``orderings`` make conditions and sort keys from the table or an alias of it; ``visible`` is a condition that always
    holds; it is told whether there is a tenant to ask for.
    """

    table: Table
    row: type[R]
    orderings: Mapping[str, Ordering]
    filters: Mapping[str, Callable[[FromClause], ColumnElement[bool]]] = field(default_factory=dict)
    visible: Callable[[FromClause, bool], ColumnElement[bool]] | None = None

    def columns(self, table: FromClause) -> list[ColumnElement[Any]]:
        """The columns of a row, in its order."""
        return [table.c[name] for name in self.row._fields]  # type: ignore[attr-defined]

    async def page(self, scope: Scope, selection: Selection, window: Window) -> Page[R]:
        """One page of the whole list."""
        statement = page_statement(self, _shape(scope, None, selection, window))
        found = await scope.fetch(statement, _cells, self._parameters(selection, window))
        return _cut(self, found, window)

    async def pages(
        self, scope: Scope, by: str, keys: Sequence[str], selection: Selection, window: Window
    ) -> dict[str, Page[R]]:
        """The page of each parent, by the parent's key, in one statement."""
        statement = page_statement(self, _shape(scope, by, selection, window))
        parameters = {**self._parameters(selection, window), "keys": keys}
        grouped: dict[str, list[tuple[Any, ...]]] = {key: [] for key in keys}
        for cells in await scope.fetch(statement, _cells, parameters):
            if cells[-1] is not None:
                grouped[cells[-1]].append(cells[:-1])
        return {key: _cut(self, found, window) for key, found in grouped.items()}

    async def by_ids(self, scope: Scope, ids: Sequence[str]) -> dict[str, R]:
        """The rows with these ids that may be seen, by id."""
        ids = [identity for identity in ids if prefix_of(identity) is not None]
        rows = await scope.fetch(_by_ids(self, tenant=scope.organization_id is not None), self.row, {"ids": ids})
        return {row.id: row for row in rows}  # type: ignore[attr-defined]

    async def count(self, scope: Scope, selection: Selection) -> int:
        """How many rows the whole list has."""
        statement = _count(self, frozenset(selection.filters), None, tenant=scope.organization_id is not None)
        ((total,),) = await scope.fetch(statement, _cells, {**selection.filters, **selection.parameters})
        return int(total)

    async def counts(self, scope: Scope, by: str, keys: Sequence[str], selection: Selection) -> dict[str, int]:
        """How many rows each parent has, in one statement."""
        statement = _count(self, frozenset(selection.filters), by, tenant=scope.organization_id is not None)
        found = dict(await scope.fetch(statement, _cells, {**selection.filters, **selection.parameters, "keys": keys}))
        return {key: found.get(key, 0) for key in keys}

    def _parameters(self, selection: Selection, window: Window) -> dict[str, object]:
        parameters: dict[str, object] = {**selection.filters, **selection.parameters, "limit": window.limit + 1}
        for name, position in (("after", window.after), ("before", window.before)):
            if position is not None:
                if not self.orderings[selection.ordering].has(position.value):
                    raise ForeignPosition
                parameters[f"{name}_id"] = position.id
                if position.value is not None:
                    parameters[f"{name}_value"] = position.value
        return parameters


def _cells(*cells: Any) -> tuple[Any, ...]:
    return cells


def _bound(position: Position | None) -> str:
    return "" if position is None else ("null" if position.value is None else "value")


def _shape(scope: Scope, by: str | None, selection: Selection, window: Window) -> _Shape:
    return _Shape(
        scope.dialect,
        selection.ordering,
        selection.descending,
        window.from_end,
        _bound(window.after),
        _bound(window.before),
        frozenset(selection.filters),
        by,
        scope.organization_id is not None,
    )


def _cut(listing: Listing[R], found: Sequence[tuple[Any, ...]], window: Window) -> Page[R]:
    """Drops the row that was read only to know whether there is more, and puts the rest in list order."""
    more = len(found) > window.limit
    kept = list(found[: window.limit])
    if window.from_end:
        kept.reverse()
    make, id_at = listing.row._make, listing.row._fields.index("id")  # type: ignore[attr-defined]
    return Page(
        rows=[make(cells[:-1]) for cells in kept],
        positions=[Position(cells[-1], cells[id_at]) for cells in kept],
        has_next=window.before is not None if window.from_end else more,
        has_previous=more if window.from_end else window.after is not None,
    )


def _conditions(
    listing: Listing[R], table: FromClause, filters: frozenset[str], *, tenant: bool
) -> list[ColumnElement[bool]]:
    conditions = [listing.filters[name](table) for name in sorted(filters)]
    if ORGANIZATION in table.c:
        conditions.insert(0, table.c[ORGANIZATION] == TENANT)
    if listing.visible is not None:
        conditions.append(listing.visible(table, tenant))
    return conditions


def _beyond(
    bound: str,
    name: str,
    ordering: Ordering,
    key: ColumnElement[Any],
    identity: ColumnElement[Any],
    *,
    rising: bool,
    later: bool,
) -> ColumnElement[bool]:
    """Rows on the far side of a position: later in the list than ``after``, or earlier than ``before``."""
    upwards = rising == later
    cursor_id = bindparam(f"{name}_id", type_=Id)
    if bound == "null":
        same = identity > cursor_id if upwards else identity < cursor_id
        within = and_(key.is_(None), same)
        return within if later else or_(key.is_not(None), within)
    cursor = tuple_(bindparam(f"{name}_value", type_=ordering.type), cursor_id)
    place = tuple_(key, identity)
    within = place > cursor if upwards else place < cursor
    return or_(within, key.is_(None)) if ordering.nullable and later else within


def _ordered(listing: Listing[R], table: FromClause, shape: _Shape, statement: Select[Any]) -> Select[Any]:
    """``statement`` over ``table`` with conditions, bounds, order and limit."""
    ordering = listing.orderings[shape.ordering]
    key, identity, rising = ordering.expression(table), table.c.id, not shape.descending
    statement = statement.where(*_conditions(listing, table, shape.filters, tenant=shape.tenant))
    for name, bound in (("after", shape.after), ("before", shape.before)):
        if bound:
            statement = statement.where(
                _beyond(bound, name, ordering, key, identity, rising=rising, later=name == "after")
            )
    statement = statement.order_by(*_order_by(ordering, key, identity, shape))
    return statement.limit(bindparam("limit", type_=Integer()))


def _order_by(
    ordering: Ordering, key: ColumnElement[Any], identity: ColumnElement[Any], shape: _Shape
) -> list[ColumnElement[Any]]:
    rising = shape.descending == shape.from_end
    terms: list[ColumnElement[Any]] = [key.asc(), identity.asc()] if rising else [key.desc(), identity.desc()]
    if ordering.nullable:
        empty = key.is_(None)
        terms.insert(0, empty.desc() if shape.from_end else empty.asc())
    return terms


@lru_cache(maxsize=4096)
def page_statement(listing: Listing[Any], shape: _Shape) -> Select[Any]:
    """The statement for pages of this shape; its last cells are the sort value and, with parents, whose row it is."""
    table: FromClause = listing.table
    sort_key = listing.orderings[shape.ordering].expression
    if shape.by is None:
        return _ordered(listing, table, shape, select(*listing.columns(table), sort_key(table).label("sort_key")))
    keys = bindparam("keys", type_=TextArray())
    if shape.dialect == "postgresql":
        parents = func.unnest(keys).table_valued("key").render_derived(name="parents")
        inner = select(*listing.columns(table), sort_key(table).label("sort_key")).where(
            table.c[shape.by] == parents.c.key
        )
        page = _ordered(listing, table, shape, inner).lateral("page")
        return select(*page.c, parents.c.key).select_from(parents.join(page, true()))
    parents = func.json_each(keys).table_valued("value", name="parents")
    inner_table = table.alias("within")
    chosen = _ordered(
        listing, inner_table, shape, select(inner_table.c.id).where(inner_table.c[shape.by] == parents.c.value)
    ).correlate(parents)
    joined: ColumnElement[bool] = table.c.id.in_(chosen)
    if ORGANIZATION in table.c:
        joined = and_(joined, table.c[ORGANIZATION] == TENANT)
    # An outer join keeps SQLite from scanning the table first; parents without rows give one row of nulls.
    source = parents.outerjoin(table, joined)
    ordering = listing.orderings[shape.ordering]
    return (
        select(*listing.columns(table), sort_key(table).label("sort_key"), _parent_if_found(table, parents.c.value))
        .select_from(source)
        .order_by(parents.c.value, *_order_by(ordering, sort_key(table), table.c.id, shape))
    )


def _parent_if_found(table: FromClause, parent: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((table.c.id.is_not(None), parent))


@lru_cache(maxsize=1024)
def _by_ids(listing: Listing[Any], *, tenant: bool) -> Select[Any]:
    table = listing.table
    return select(*listing.columns(table)).where(
        any_of(table.c.id, "ids"), *_conditions(listing, table, frozenset(), tenant=tenant)
    )


@lru_cache(maxsize=4096)
def _count(listing: Listing[Any], filters: frozenset[str], by: str | None, *, tenant: bool) -> Select[Any]:
    table = listing.table
    conditions = _conditions(listing, table, filters, tenant=tenant)
    if by is None:
        return select(func.count()).select_from(table).where(*conditions)
    column = table.c[by]
    return select(column, func.count()).where(any_of(column, "keys"), *conditions).group_by(column)


def contains(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """``column`` contains the text that ``like`` made of what the person typed."""
    return column.like(bindparam(parameter, type_=Text()), escape="\\")


def like(text: str) -> str:
    """A pattern that finds ``text`` anywhere, its own wildcards taken as they are."""
    escaped = text.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
