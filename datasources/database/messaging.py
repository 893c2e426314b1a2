"""Services and packages, their orders, and the files that customers send."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from datasources.database.columns import Id, any_of
from datasources.database.engine import Database, Scope
from datasources.database.orders import order_listing, spent_by_customer
from datasources.database.scope import TENANT
from datasources.database.tables.messaging import media, packages, service_orders, services
from datasources.paging import LIST_LIMIT


class ServiceRow(NamedTuple):
    """A row of ``services``."""

    id: str
    name: str
    description: str
    active: bool


class PackageRow(NamedTuple):
    """A row of ``packages``."""

    id: str
    service_id: str
    name: str
    description: str | None
    price_minor: int
    currency: str
    active: bool


class MediaRow(NamedTuple):
    """A stored file."""

    id: str
    kind: str
    content_type: str
    bytes: int
    sha256: str


class ServiceOrderRow(NamedTuple):
    """A row of ``service_orders``."""

    id: str
    business_id: str | None
    customer_id: str | None
    number: str
    status: str
    total_minor: int
    currency: str
    placed_at: datetime
    updated_at: datetime
    package_id: str
    payment_proof_id: str | None


SERVICE_ORDERS = order_listing(service_orders, ServiceOrderRow)
service_orders_spent = spent_by_customer(service_orders)

_SERVICES = select(*(services.c[name] for name in ServiceRow._fields)).where(services.c.organization_id == TENANT)
_ALL_SERVICES = _SERVICES.order_by(services.c.id).limit(LIST_LIMIT)
_SERVICES_BY_ID = _SERVICES.where(any_of(services.c.id, "ids"))
_PACKAGES = select(*(packages.c[name] for name in PackageRow._fields)).where(packages.c.organization_id == TENANT)
_PACKAGES_BY_ID = _PACKAGES.where(any_of(packages.c.id, "ids"))
_PACKAGES_OF = _PACKAGES.where(any_of(packages.c.service_id, "keys")).order_by(packages.c.id)
_MEDIA_BY_ID = select(*(media.c[name] for name in MediaRow._fields)).where(
    media.c.organization_id == TENANT, any_of(media.c.id, "ids")
)

_MEDIA_BEHIND_LINK = select(*(media.c[name] for name in MediaRow._fields)).where(
    media.c.id == bindparam("media_id", type_=Id)
)


async def all_services(scope: Scope) -> list[ServiceRow]:
    """The catalogue of the organization, oldest first."""
    return await scope.fetch(_ALL_SERVICES, ServiceRow)


async def services_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, ServiceRow]:
    """Services by id."""
    return {row.id: row for row in await scope.fetch(_SERVICES_BY_ID, ServiceRow, {"ids": ids})}


async def packages_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, PackageRow]:
    """Packages by id."""
    return {row.id: row for row in await scope.fetch(_PACKAGES_BY_ID, PackageRow, {"ids": ids})}


async def packages_of(scope: Scope, service_ids: Sequence[str]) -> dict[str, list[PackageRow]]:
    """The packages of each service, oldest first."""
    found: dict[str, list[PackageRow]] = {}
    for row in await scope.fetch(_PACKAGES_OF, PackageRow, {"keys": service_ids}):
        found.setdefault(row.service_id, []).append(row)
    return found


async def media_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, MediaRow]:
    """Files by id."""
    return {row.id: row for row in await scope.fetch(_MEDIA_BY_ID, MediaRow, {"ids": ids})}


async def media_of_any_organization(database: Database, media_id: str) -> MediaRow | None:
    """A file by id, for whoever holds a signed link to it."""
    scope = database.unscoped("a signed link is the permission to read one file")
    rows = await scope.fetch(_MEDIA_BEHIND_LINK, MediaRow, {"media_id": media_id})
    return rows[0] if rows else None
