"""Inserts that know what to do with a row that is there already; both databases say it in the same words."""

from sqlalchemy import Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from datasources.database.scope import TENANT


def tenant_insert(table: Table, dialect: str, *columns: str) -> postgresql.Insert | sqlite.Insert:
    """An insert of these columns, each a parameter of its name, for the organization of whoever runs it."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).values(organization_id=TENANT, **{name: bindparam(name) for name in columns})
