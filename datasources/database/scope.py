"""Tenancy by construction: a statement that reaches a tenant's table without naming the tenant is refused.

A table that has a column ``organization_id`` belongs to tenants. A statement may touch it only together with
``table.organization_id = :tenant``, a parameter that the database handle fills in and that no caller can set.
The check looks at the statement, not at its result, and is remembered per statement.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Alias,
    BindParameter,
    ClauseElement,
    Delete,
    FromClause,
    Insert,
    Join,
    Select,
    Table,
    TextClause,
    Update,
    bindparam,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping
from sqlalchemy.sql.expression import ColumnClause

from datasources.database.columns import Id

ORGANIZATION = "organization_id"
TENANT_PARAMETER = "tenant"
TENANT = bindparam(TENANT_PARAMETER, type_=Id)
"""The tenant of the handle that runs the statement."""


class UnscopedStatement(Exception):
    """A fault of ours: the statement would reach rows of several tenants."""


class NoOrganization(Exception):
    """The statement needs an organization and nobody is signed in."""


def _leaves(source: FromClause) -> Iterator[FromClause]:
    if isinstance(source, Join):
        yield from _leaves(source.left)
        yield from _leaves(source.right)
    else:
        yield source


def _is_tenant_table(source: FromClause) -> bool:
    table = source.element if isinstance(source, Alias) else source
    return isinstance(table, Table) and ORGANIZATION in table.c


def _tenant_tables(statement: ClauseElement) -> set[FromClause]:
    found: set[FromClause] = set()
    for element in visitors.iterate(statement):
        if isinstance(element, Select):
            found.update(leaf for source in element.get_final_froms() for leaf in _leaves(source))
        elif isinstance(element, Insert | Update | Delete):
            found.add(element.table)
    return {source for source in found if _is_tenant_table(source)}


def _terms(condition: Any) -> Iterator[Any]:
    """What must hold wherever the condition does: the terms that AND puts together, but not those of an OR."""
    if isinstance(condition, Grouping):
        yield from _terms(condition.element)
    elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for term in condition.clauses:
            yield from _terms(term)
    else:
        yield condition


def _scoped_by(condition: Any) -> Iterator[FromClause]:
    """The tables that a condition limits to the tenant."""
    for term in _terms(condition):
        if (
            isinstance(term, BinaryExpression)
            and term.operator is operators.eq
            and isinstance(term.left, ColumnClause)
            and term.left.name == ORGANIZATION
            and isinstance(term.right, BindParameter)
            and term.right.key == TENANT_PARAMETER
            and term.left.table is not None
        ):
            yield term.left.table


def _scoped_by_join(source: FromClause) -> Iterator[FromClause]:
    """The tables that the conditions of joins limit; an outer join keeps all rows of its left side."""
    if isinstance(source, Join):
        yield from _scoped_by_join(source.left)
        yield from _scoped_by_join(source.right)
        limited = set(_leaves(source.right if source.isouter else source))
        if not source.full:
            yield from (table for table in _scoped_by(source.onclause) if table in limited)


def _scoped_tables(statement: ClauseElement) -> set[object]:
    scoped: set[object] = set()
    for element in visitors.iterate(statement):
        if isinstance(element, Select | Update | Delete):
            for condition in element._where_criteria:  # noqa: SLF001 -- `whereclause` would build it anew
                scoped.update(_scoped_by(condition))
        if isinstance(element, Select):
            for source in element.get_final_froms():
                scoped.update(_scoped_by_join(source))
    return scoped


@lru_cache(maxsize=4096)
def needs_organization(statement: ClauseElement) -> bool:
    """Whether ``statement`` uses the tenant; raises ``UnscopedStatement`` where it should and does not."""
    if any(isinstance(element, TextClause) for element in visitors.iterate(statement)):
        message = "SQL as text cannot be checked: write the statement with the tables"
        raise UnscopedStatement(message)
    tables = _tenant_tables(statement)
    scoped = _scoped_tables(statement)
    for table in tables - scoped:
        if isinstance(statement, Insert) and table is statement.table:
            continue
        message = f"{table} is read or written without {ORGANIZATION} = :{TENANT_PARAMETER}"
        raise UnscopedStatement(message)
    return bool(tables) or any(
        isinstance(element, BindParameter) and element.key == TENANT_PARAMETER
        for element in visitors.iterate(statement)
    )
