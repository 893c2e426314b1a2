"""Businesses with their locations."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from datasources.database.seed.pools import Country, Trade, countries, spelled, trades, written
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import shares
from datasources.database.seed.tenants import Organization
from datasources.database.tables.gateway import businesses, locations

INDUSTRIES = (
    "BARBERSHOP",
    "SALON",
    "CREATOR",
    "SPA",
    "DENTAL",
    "FITNESS",
    "SERVICES",
    "MEDICAL",
    "VETERINARY",
    "OTHER",
)
COUNTRIES = ("US", "GB", "DE", "US", "JP", "FR", "CH", "US", "ES", "IT", "SE", "BR", "IE")
"""Where an organization's businesses are, in turn; more often where there are more numbers to call."""


@dataclass(frozen=True, slots=True)
class Business:
    """A business with what its orders and campaigns are made of."""

    organization: Organization
    index: int
    id: str
    name: str
    trade: Trade
    country: Country
    time_zone: str
    created_at: datetime
    locations: tuple[str, ...]
    orders: int
    customers: int

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.time_zone)


def business_rows(seed: int, now: datetime, organization: Organization) -> Iterator[tuple[Business, list[Row]]]:
    """Every business of the organization, one after the other, with its rows."""
    tenant = organization.tenant
    taken: set[str] = set()
    orders, customers = _sizes(seed, organization)
    turn = COUNTRIES.index(tenant.home)
    for index in range(tenant.businesses):
        draw = Draw(seed, tenant.key, "business", index)
        country = countries()[COUNTRIES[(turn + index) % len(COUNTRIES)]]
        trade = trades()[INDUSTRIES[index % len(INDUSTRIES)]]
        city, time_zone = draw.choice(country.cities)
        name = _name(draw, country, trade, city, taken)
        taken.add(name)
        age = timedelta(days=draw.randrange(500, 880) if index else 880, minutes=draw.randrange(600))
        created_at = max(now - age, organization.created_at + timedelta(hours=1 + index % 12))
        business_id = draw.id("bus", created_at)
        site = spelled(name).replace("--", "-") or f"shop-{index + 1}"
        archived = index % 50 == 49  # noqa: PLR2004 - one in fifty has closed
        rows: list[Row] = [
            (
                businesses,
                {
                    "id": business_id,
                    "organization_id": organization.id,
                    "name": name,
                    "name_key": name.casefold(),
                    "industry": trade.industry,
                    "time_zone": time_zone,
                    "currency": country.currency.code,
                    "website": f"https://{site}.example.com",
                    "status": "ARCHIVED" if archived else "ACTIVE",
                    "demo": True,
                    "created_at": created_at,
                },
            )
        ]
        rows += _locations(draw, organization.id, business_id, country, created_at, city)
        open_locations = tuple(str(row["id"]) for table, row in rows[1:] if row["archived_at"] is None)
        yield (
            Business(
                organization,
                index,
                business_id,
                name,
                trade,
                country,
                time_zone,
                created_at,
                open_locations,
                orders[index],
                customers[index],
            ),
            rows,
        )


def _sizes(seed: int, organization: Organization) -> tuple[list[int], list[int]]:
    """How many orders and customers each business has; the first may hold far more than its share."""
    tenant = organization.tenant
    if not tenant.business_orders:
        return [0] * tenant.businesses, [0] * tenant.businesses
    draw = Draw(seed, tenant.key, "sizes")
    weights = [draw.lognormvariate(0, 0.45) for _ in range(tenant.businesses)]
    if tenant.heavy_orders:
        rest = shares(tenant.business_orders - tenant.heavy_orders, weights[1:])
        orders = [tenant.heavy_orders, *rest]
    else:
        orders = shares(tenant.business_orders, weights)
    return orders, shares(tenant.customers, orders)


def _name(draw: Draw, country: Country, trade: Trade, city: str, taken: set[str]) -> str:
    """A name that the organization has not given yet."""
    while True:
        given, family = written(draw.choice(country.given)), written(draw.choice(country.family))
        name = draw.choice(trade.names[country.language]).format(given=given, family=family, city=city)
        if name not in taken:
            return name
        name = f"{name} {draw.choice(country.cities)[0]}"
        if name not in taken:
            return name
        name = f"{name} {draw.randrange(2, 30)}"
        if name not in taken:
            return name


def _locations(
    draw: Draw, organization_id: str, business_id: str, country: Country, created_at: datetime, city: str
) -> Iterator[Row]:
    for number in range(draw.choices((1, 2, 3, 4), (60, 25, 10, 5))[0]):
        opened_at = created_at + timedelta(minutes=number)
        place, zone = (city, None) if not number else draw.choice(country.cities)
        street = draw.choice(country.streets).format(n=draw.randrange(1, 140))
        yield (
            locations,
            {
                "id": draw.id("loc", opened_at),
                "organization_id": organization_id,
                "business_id": business_id,
                "name": street if number else place,
                "address": f"{street}, {place}",
                "time_zone": zone,
                "archived_at": created_at + timedelta(days=200) if number > 1 and draw.chance(0.3) else None,
            },
        )
