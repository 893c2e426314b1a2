"""What an organization sells in conversations: a service for each industry it is in, packages in each currency."""

from dataclasses import dataclass
from datetime import timedelta

from datasources.database.seed.businesses import Business
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.tenants import Organization
from datasources.database.tables.messaging import packages, services


@dataclass(frozen=True, slots=True)
class Package:
    """A package as orders know it."""

    id: str
    price_minor: int


class Shelf:
    """The services of one organization, made when the first business needs them."""

    def __init__(self, seed: int, organization: Organization) -> None:
        self._seed = seed
        self._organization = organization
        self._services: dict[str, list[str]] = {}
        self._packages: dict[tuple[str, str], list[Package]] = {}

    def packages(self, business: Business) -> tuple[list[Package], list[Row]]:
        """What the business can sell, and the rows of what is new."""
        trade, currency = business.trade, business.country.currency
        if (trade.industry, currency.code) in self._packages:
            return self._packages[trade.industry, currency.code], []
        draw = Draw(self._seed, self._organization.tenant.key, "shelf", trade.industry, currency.code)
        created_at = self._organization.created_at + timedelta(hours=2)
        rows: list[Row] = []
        if trade.industry not in self._services:
            self._services[trade.industry] = []
            for name, description, _ in trade.services:
                service_id = draw.id("svc", created_at)
                self._services[trade.industry].append(service_id)
                rows.append((services, self._service(service_id, name, description)))
        found: list[Package] = []
        for service_id, (_, _, sizes) in zip(self._services[trade.industry], trade.services, strict=True):
            for name, dollars in sizes:
                package = Package(draw.id("pkg", created_at), currency.price(dollars))
                found.append(package)
                rows.append((packages, self._package(package, service_id, name, currency.code)))
        self._packages[trade.industry, currency.code] = found
        return found, rows

    def _service(self, service_id: str, name: str, description: str) -> dict[str, object]:
        return {
            "id": service_id,
            "organization_id": self._organization.id,
            "name": name,
            "description": description,
            "active": True,
        }

    def _package(self, package: Package, service_id: str, name: str, currency: str) -> dict[str, object]:
        return {
            "id": package.id,
            "organization_id": self._organization.id,
            "service_id": service_id,
            "name": name,
            "description": None,
            "price_minor": package.price_minor,
            "currency": currency,
            "active": True,
        }
