"""What the check of statements takes for a tenant, and what it refuses."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Delete, Select, Update, and_, delete, not_, or_, select, text, true, update
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression

import datasources.database
from datasources.database.scope import ORGANIZATION, TENANT, TENANT_PARAMETER, UnscopedStatement, needs_organization
from datasources.database.tables.gateway import businesses, customers, memberships, users

MINE = businesses.c.organization_id == TENANT
REFUSED = {
    "no condition": select(businesses.c.id),
    "one of two terms": select(businesses.c.id).where(or_(MINE, businesses.c.demo)),
    "everybody else's": select(businesses.c.id).where(businesses.c.organization_id != TENANT),
    "negated": select(businesses.c.id).where(not_(and_(MINE, businesses.c.demo))),
    "an organization of the caller's choice": select(businesses.c.id).where(businesses.c.organization_id == "org_x"),
    "one of two tables": select(businesses.c.id).where(MINE).join(customers, true()),
    "a table in a subquery": select(users.c.id).where(users.c.id.in_(select(memberships.c.user_id))),
    "another alias of the table": select(businesses.alias().c.id).where(MINE),
    "the left side of an outer join": select(businesses.c.id).outerjoin(users, MINE),
    "text": select(text("name FROM businesses")),
    "an update of all": update(businesses).values(name="mine"),
    "a deletion by id": delete(businesses).where(businesses.c.id == "bus_x"),
}
TAKEN = {
    "beside another term": select(businesses.c.id).where(and_(businesses.c.demo, MINE)),
    "beside a choice": select(businesses.c.id).where(MINE, or_(businesses.c.demo, true())),
    "in the condition of a join": select(users.c.id).join(
        memberships, and_(memberships.c.user_id == users.c.id, memberships.c.organization_id == TENANT)
    ),
    "the right side of an outer join": select(users.c.id).outerjoin(businesses, and_(businesses.c.demo, MINE)),
    "in a subquery": select(users.c.id).where(
        users.c.id.in_(select(memberships.c.user_id).where(memberships.c.organization_id == TENANT))
    ),
    "in a deletion": delete(businesses).where(MINE),
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_half_a_tenant_is_none(statement: ClauseElement) -> None:
    """The condition must hold for every row that the statement touches, in every table of tenants in it."""
    with pytest.raises(UnscopedStatement):
        needs_organization(statement)


@pytest.mark.parametrize("statement", TAKEN.values(), ids=TAKEN)
def test_a_whole_tenant_is_enough(statement: ClauseElement) -> None:
    """Wherever it stands, as long as it holds."""
    assert needs_organization(statement)


def _statements() -> Iterator[Select[Any] | Update | Delete]:
    """Every statement that a module of the data sources keeps."""
    for module in pkgutil.iter_modules(datasources.database.__path__, "datasources.database."):
        if not module.ispkg:
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Select | Update | Delete):
                    yield value


def test_every_statement_needs_each_of_its_tenants() -> None:
    """Whichever statement loses its tenant, the handle refuses it."""
    checked = 0
    for statement in _statements():
        try:
            needs = needs_organization(statement)
        except UnscopedStatement:
            continue  # run only by a handle over all organizations: those are listed in test_tables.py
        if not needs:
            continue

        def forget(element: Any, **_: Any) -> Any:
            if (
                isinstance(element, BinaryExpression)
                and element.operator is operators.eq
                and getattr(element.left, "name", None) == ORGANIZATION
                and getattr(element.right, "key", None) == TENANT_PARAMETER
            ):
                return true()
            return None

        forgetful: Any = visitors.replacement_traverse(statement, {}, forget)
        if not forgetful.compare(statement):
            with pytest.raises(UnscopedStatement):
                needs_organization(forgetful)
            checked += 1
    assert checked > 10
