"""Businesses, their locations and their customers."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Text, bindparam, or_, select

from datasources.database.columns import UtcDateTime, any_of
from datasources.database.engine import Scope
from datasources.database.listing import Listing, Ordering, contains
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import businesses, customers, locations


class BusinessRow(NamedTuple):
    """A row of ``businesses``."""

    id: str
    name: str
    industry: str
    time_zone: str
    currency: str
    website: str | None
    status: str
    demo: bool
    created_at: datetime


class LocationRow(NamedTuple):
    """A row of ``locations``."""

    id: str
    business_id: str
    name: str
    address: str | None
    time_zone: str | None


class CustomerRow(NamedTuple):
    """A row of ``customers``."""

    id: str
    business_id: str | None
    name: str | None
    phone: str | None
    email: str | None
    first_seen_at: datetime


BUSINESSES = Listing(
    table=businesses,
    row=BusinessRow,
    orderings={
        "NAME": Ordering(lambda table: table.c.name_key, Text()),
        "CREATED_AT": Ordering(lambda table: table.c.created_at, UtcDateTime()),
    },
    filters={
        "search": lambda table: contains(table.c.name_key, "search"),
        "industry": lambda table: any_of(table.c.industry, "industry"),
        "status": lambda table: any_of(table.c.status, "status"),
    },
)

CUSTOMERS = Listing(
    table=customers,
    row=CustomerRow,
    orderings={"FIRST_SEEN_AT": Ordering(lambda table: table.c.first_seen_at, UtcDateTime())},
    filters={
        "search": lambda table: or_(
            contains(table.c.name_key, "search"),
            table.c.email == bindparam("search_exact", type_=Text()),
            table.c.phone == bindparam("search_exact", type_=Text()),
        ),
    },
)

_LOCATIONS = select(*(locations.c[name] for name in LocationRow._fields)).where(locations.c.organization_id == TENANT)
_LOCATIONS_BY_ID = _LOCATIONS.where(any_of(locations.c.id, "ids"))
_LOCATIONS_OF = _LOCATIONS.where(any_of(locations.c.business_id, "keys"), locations.c.archived_at.is_(None)).order_by(
    locations.c.id
)


async def locations_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, LocationRow]:
    """Locations by id, also archived ones."""
    return {row.id: row for row in await scope.fetch(_LOCATIONS_BY_ID, LocationRow, {"ids": ids})}


async def locations_of(scope: Scope, business_ids: Sequence[str]) -> dict[str, list[LocationRow]]:
    """The locations of each business, oldest first, without archived ones."""
    found: dict[str, list[LocationRow]] = {}
    for row in await scope.fetch(_LOCATIONS_OF, LocationRow, {"keys": business_ids}):
        found.setdefault(row.business_id, []).append(row)
    return found
