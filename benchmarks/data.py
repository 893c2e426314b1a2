"""The data of the benchmarks: one organization, the same rows every time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table

from datasources.database.engine import Database
from datasources.database.ids import ulid
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.tables.attribution import appointments, campaigns
from datasources.database.tables.gateway import businesses, customers, memberships, organizations, users
from datasources.database.tables.messaging import packages, service_orders, services

BUSINESSES = 1_000
CAMPAIGNS, ORDERS, CUSTOMERS = 20, 50, 10
"""So many of each a business has; its orders are service orders and appointments by turns."""

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_YEAR = 365 * 24 * 3_600
_CHUNK = 5_000
_INDUSTRIES = ("BARBERSHOP", "SALON", "SPA", "DENTAL", "FITNESS")
_CAMPAIGN_STATUSES = ("ACTIVE", "PAUSED", "ENDED")
_ORDER_STATUSES = {
    service_orders: ("PENDING", "PAYMENT_SUBMITTED", "PAID", "COMPLETED", "CANCELLED"),
    appointments: ("CONFIRMED", "COMPLETED", "NO_SHOW", "CANCELLED"),
}

Row = dict[str, object]


def global_id(prefix: str, number: int) -> str:
    """The id of the ``number``-th row of a type."""
    return f"{prefix}_{ulid(1_760_000_000_000 + number, number * 0x9E3779B97F4A7C15 % 2**80)}"


ORGANIZATION, USER = global_id("org", 1), global_id("usr", 1)
_SERVICE, _PACKAGE = global_id("svc", 1), global_id("pkg", 1)


def business_id(number: int) -> str:
    """The id of a business; they are numbered from 0."""
    return global_id("bus", number)


async def fill(database_url: str, *, count: int = BUSINESSES) -> None:
    """Makes the tables and ``count`` businesses with all that belongs to them, in an empty database."""
    database = Database(database_url)
    try:
        await upgrade(database, BUILT_IN)
        async with database.scoped(ORGANIZATION).transaction() as transaction:
            for table, rows in _tables(count):
                waiting = list(rows)
                for start in range(0, len(waiting), _CHUNK):
                    await transaction.insert(table, waiting[start : start + _CHUNK])
                # Without figures about the tables PostgreSQL would plan for empty ones.
                await transaction.connection.exec_driver_sql(f"ANALYZE {table.name}")
    finally:
        await database.close()


def _tables(count: int) -> Iterator[tuple[Table, Iterator[Row]]]:
    yield organizations, iter([_organization()])
    yield users, iter([_person()])
    yield memberships, iter([{"user_id": USER, "role": "OWNER", "joined_at": _NOW}])
    yield services, iter([{"id": _SERVICE, "name": "Logos", "description": "Logos", "active": True}])
    yield packages, iter([_package()])
    yield businesses, (_business(number) for number in range(count))
    yield customers, (_customer(number) for number in range(count * CUSTOMERS))
    yield campaigns, (_campaign(number) for number in range(count * CAMPAIGNS))
    yield service_orders, (_service_order(number) for number in range(0, count * ORDERS, 2))
    yield appointments, (_appointment(number) for number in range(1, count * ORDERS, 2))


def _organization() -> Row:
    return {"id": ORGANIZATION, "name": "Bench", "slug": "bench", "capabilities": [], "created_at": _NOW}


def _person() -> Row:
    address = "owner@example.com"
    return {
        "id": USER,
        "email": address,
        "email_key": address,
        "skills": [],
        "interests": [],
        "preferences": {},
        "created_at": _NOW,
    }


def _package() -> Row:
    return {
        "id": _PACKAGE,
        "service_id": _SERVICE,
        "name": "Small",
        "active": True,
        "price_minor": 4_900,
        "currency": "EUR",
    }


def _business(number: int) -> Row:
    name = f"Business {number * 7_919 % 100_003:06}"
    return {
        "id": business_id(number),
        "name": name,
        "name_key": name.casefold(),
        "industry": _INDUSTRIES[number % len(_INDUSTRIES)],
        "time_zone": "Europe/Berlin",
        "currency": "EUR",
        "website": None,
        "status": "ACTIVE",
        "demo": False,
        "created_at": _before(number * 104_729),
    }


def _customer(number: int) -> Row:
    name = f"Customer {number:06}"
    return {
        "id": global_id("cus", number),
        "business_id": business_id(number // CUSTOMERS),
        "name": name,
        "name_key": name.casefold(),
        "phone": None,
        "email": f"customer{number}@example.com",
        "first_seen_at": _before(number * 15_485_863),
    }


def _campaign(number: int) -> Row:
    name = f"Campaign {number * 7_919 % 1_000_003:07}"
    return {
        "id": global_id("cmp", number),
        "business_id": business_id(number // CAMPAIGNS),
        "provider": "META_ADS" if number % 2 else "GOOGLE_ADS",
        "external_id": str(120_200_000_000_000 + number),
        "name": name,
        "name_key": name.casefold(),
        "status": _CAMPAIGN_STATUSES[number % len(_CAMPAIGN_STATUSES)],
        "objective": None,
        "daily_budget_minor": 2_500,
        "currency": "EUR",
        "starts_at": _before(number * 32_452_843),
        "ends_at": None,
    }


def _order(table: Table, prefix: str, number: int) -> Row:
    statuses = _ORDER_STATUSES[table]
    business, place = divmod(number, ORDERS)
    return {
        "id": global_id(prefix, number),
        "business_id": business_id(business),
        "customer_id": global_id("cus", business * CUSTOMERS + place % CUSTOMERS),
        "number": f"{prefix[0].upper()}-{number:06}",
        "status": statuses[number // 2 % len(statuses)],
        "total_minor": 500 + number * 6_700_417 % 40_000,
        "currency": "EUR",
        "placed_at": _before(number * 86_028_121),
        "updated_at": _before(number * 86_028_121 // 2),
    }


def _service_order(number: int) -> Row:
    return {**_order(service_orders, "sor", number), "package_id": _PACKAGE, "payment_proof_id": None}


def _appointment(number: int) -> Row:
    own: Row = {"starts_at": _before(number * 49_979_687), "service": "Cut", "location_id": None}
    return {**_order(appointments, "apt", number), **own}


def _before(seconds: int) -> datetime:
    """A moment of the year before the present of the data."""
    return _NOW - timedelta(seconds=seconds % _YEAR)
