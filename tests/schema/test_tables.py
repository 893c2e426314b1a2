"""Every table belongs to tenants, or says why not; every look over all tenants says why, and is listed here."""

import ast
import importlib
import pkgutil
from pathlib import Path

from datasources.database import tables
from datasources.database.scope import ORGANIZATION
from datasources.database.tables.metadata import metadata

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("auth", "datasources", "gateway", "migrations", "resolvers", "schema", "subscriptions")

UNSCOPED_USES = {
    ("datasources/database/accounts.py", "sign-in knows an address before it knows an organization"),
    ("datasources/database/accounts.py", "a person signs in to one of their own organizations"),
    ("datasources/database/events.py", "the tail reads the log once for all organizations"),
    ("datasources/database/events.py", "the tail begins where the log ends"),
    ("datasources/database/messaging.py", "a signed link is the permission to read one file"),
    ("datasources/database/seed/__init__.py", "demo data is of several organizations"),
}
"""Every use of a handle over all organizations, with its reason. Think twice before you add one."""


def unscoped_tables() -> dict[str, str]:
    """The tables without an organization, with the reasons, over all modules of tables."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(tables.__path__, f"{tables.__name__}."):
        found |= getattr(importlib.import_module(module.name), "UNSCOPED", {})
    return found


def test_a_table_without_an_organization_says_why() -> None:
    """The reasons stand beside the tables, for exactly those that need one."""
    listed = unscoped_tables()
    assert set(listed) == {table.name for table in metadata.sorted_tables if ORGANIZATION not in table.c}
    assert all(len(reason) > 10 for reason in listed.values())


def test_a_tenants_table_never_lacks_its_organization() -> None:
    """The column is filled in every row, refers to an organization, and leads an index or the primary key."""
    for table in metadata.sorted_tables:
        if ORGANIZATION in table.c:
            column = table.c[ORGANIZATION]
            assert not column.nullable, table.name
            assert {key.column.table.name for key in column.foreign_keys} == {"organizations"}, table.name


def test_every_look_over_all_organizations_is_listed() -> None:
    """The reason is a plain text in the call, and the call is in the table above."""
    found = set()
    for folder in SOURCES:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "unscoped":
                    (reason,) = node.args
                    assert isinstance(reason, ast.Constant), f"{path}:{node.lineno}"
                    found.add((path.relative_to(CHECKOUT).as_posix(), str(reason.value)))
    assert found == UNSCOPED_USES


def test_nobody_makes_such_a_handle_by_other_means() -> None:
    """``every_organization`` is set in one place, and no layer above the data sources writes SQL of its own."""
    for folder in ("auth", "gateway", "resolvers", "schema", "subscriptions"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            assert "every_organization" not in source, path
            assert "exec_driver_sql" not in source, path
    setters = [
        path.relative_to(CHECKOUT).as_posix()
        for path in sorted((CHECKOUT / "datasources").rglob("*.py"))
        if "every_organization=True" in path.read_text(encoding="utf-8")
    ]
    assert setters == ["datasources/database/engine.py"]
