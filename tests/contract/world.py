"""What the checks of platforms look at: two organizations, and how a list of an area may be asked for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from datasources.database.engine import Database, Scope
from datasources.database.ids import new_id
from datasources.database.tables.gateway import businesses, customers, organizations
from datasources.paging import Page, Position, Selection, Source, Window
from schema.platform import BUSINESSES, CAMPAIGNS, ORDERS, PROMPTS, Platform

OPEN = frozenset({PROMPTS})
"""Areas of which everybody sees a part."""


class _Organization(NamedTuple):
    id: str
    slug: str


@dataclass(frozen=True)
class World:
    """The handles through which rows are seen."""

    ada: Scope
    grace: Scope
    nobody: Scope

    @classmethod
    async def of(cls, database: Database) -> "World":
        """The organizations of the demo data."""
        statement = select(organizations.c.id, organizations.c.slug)
        found = await database.unscoped("a test looks for its organizations").fetch(statement, _Organization)
        by_slug = {organization.slug: organization.id for organization in found}
        ada, grace = (next(by_slug[slug] for slug in by_slug if begins in slug) for begins in ("lakeside", "northwind"))
        return cls(database.scoped(ada), database.scoped(grace), database.scoped(None))


async def write_shop_orders(database_url: str, shop: Platform) -> None:
    """Orders of the shop for both organizations: some at the same moment, some without a business or a customer."""
    assert shop.branch is not None
    assert shop.branch.metadata is not None
    orders, products = (shop.branch.metadata.tables[name] for name in ("shop_orders", "shop_products"))
    database = Database(database_url)
    try:
        world = await World.of(database)
        for scope, count in ((world.ada, 40), (world.grace, 5)):
            async with scope.transaction() as transaction:
                own = await _ids(scope, businesses)
                people = await _ids(scope, customers)
                product = {"id": new_id("shp"), "business_id": own[0], "sku": "1", "name": "Mug"}
                await transaction.insert(products, [{**product, "price_minor": 950, "currency": "EUR"}])
                await transaction.insert(
                    orders,
                    [
                        {
                            "id": new_id("sho"),
                            "business_id": own[number % len(own)] if number % 4 else None,
                            "customer_id": people[number % len(people)] if number % 3 else None,
                            "number": str(number),
                            "status": ("PAID", "REFUNDED", "PENDING")[number % 3],
                            "total_minor": 100 * (number % 7),
                            "currency": ("EUR", "USD")[number % 2],
                            "placed_at": datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=number // 3),
                            "updated_at": datetime(2026, 10, 2, tzinfo=UTC) + timedelta(days=number // 5),
                            "product_id": product["id"],
                            "quantity": 1,
                        }
                        for number in range(count)
                    ],
                )
    finally:
        await database.close()


async def _ids(scope: Scope, table: Any) -> list[str]:
    statement = select(table.c.id).where(table.c.organization_id == scope.organization_id).order_by(table.c.id).limit(9)
    return await scope.database.unscoped("a test reads ids").fetch(statement, str)


def selections(area: str, rows: Sequence[Any]) -> Mapping[str, Selection]:
    """Ways to ask for a list of this area, by what they show; ``rows`` are all of it, for values to filter by."""
    return _SELECTIONS[area](rows)


def _some(rows: Sequence[Any], attribute: str) -> list[Any]:
    """Up to three values that rows have."""
    return list(dict.fromkeys(getattr(row, attribute) for row in rows if getattr(row, attribute) is not None))[:3]


def _orders(rows: Sequence[Any]) -> dict[str, Selection]:
    moments = sorted(row.placed_at for row in rows)
    currency = _some(rows, "currency")[0]
    several: dict[str, Any] = {
        "status": _some(rows, "status"),
        "placed_from": moments[0],
        "placed_to": moments[-1],
        "currency": currency,
        "min_total_minor": 1,
    }
    buyers = _some(rows, "customer_id")
    return {
        "newest first": Selection("PLACED_AT", descending=True),
        "oldest first": Selection("PLACED_AT"),
        "moved last": Selection("UPDATED_AT", descending=True),
        "dearest first": Selection("TOTAL", descending=True, filters={"currency": currency}),
        "cheapest first": Selection("TOTAL", filters={"currency": currency}),
        "all filters": Selection("PLACED_AT", descending=True, filters=several),
        "of businesses": Selection("PLACED_AT", filters={"business_ids": [*_some(rows, "business_id"), "bus_none"]}),
        **{f"of customer {buyer}": Selection("PLACED_AT", filters={"customer_id": buyer}) for buyer in buyers},
        "none: of a stranger": Selection("PLACED_AT", filters={"customer_id": "cus_none"}),
        "none: empty list": Selection("PLACED_AT", filters={"status": []}),
        "none: other currency": Selection("PLACED_AT", filters={"currency": "XAF"}),
    }


def _businesses(rows: Sequence[Any]) -> dict[str, Selection]:
    return {
        "by name": Selection("NAME"),
        "by name, backwards": Selection("NAME", descending=True),
        "newest first": Selection("CREATED_AT", descending=True),
        "by industry": Selection("NAME", filters={"industry": _some(rows, "industry")}),
        "searched": Selection("NAME", filters={"search": f"%{rows[0].name[1:4].casefold()}%", "status": ["ACTIVE"]}),
        "none: wildcards are letters": Selection("NAME", filters={"search": "%\\%\\_%"}),
        "none: empty list": Selection("NAME", filters={"industry": []}),
    }


def _campaigns(rows: Sequence[Any]) -> dict[str, Selection]:
    currency = _some(rows, "currency")[0]
    days = {"spend_from": date(2026, 9, 1), "spend_to": date(2026, 11, 1)}
    return {
        "by name": Selection("NAME"),
        "by beginning": Selection("STARTS_AT"),
        "by beginning, backwards": Selection("STARTS_AT", descending=True),
        "by spend": Selection("SPEND", descending=True, filters={"currency": currency}, parameters=days),
        "by spend, backwards": Selection("SPEND", filters={"currency": currency}, parameters=days),
        "filtered": Selection("NAME", filters={"status": _some(rows, "status"), "provider": _some(rows, "provider")}),
        "of businesses": Selection("NAME", filters={"business_ids": _some(rows, "business_id")}),
        "none: empty list": Selection("NAME", filters={"provider": []}),
    }


def _prompts(rows: Sequence[Any]) -> dict[str, Selection]:
    currency = _some(rows, "currency")[0]
    word = rows[0].title.split()[0].casefold()
    search = {"search_exact": word, "search_prefix": f"{word}%"}
    return {
        "newest first": Selection("PUBLISHED_AT", descending=True),
        "oldest first": Selection("PUBLISHED_AT"),
        "best first": Selection("RATING", descending=True),
        "worst first": Selection("RATING"),
        "bought most": Selection("PURCHASES", descending=True, filters={"published": "PUBLISHED"}),
        "cheapest first": Selection("PRICE", filters={"currency": currency, "min_price_minor": 1}),
        "searched": Selection("RELEVANCE", descending=True, filters={"search": f"%{word}%"}, parameters=search),
        "tagged": Selection("PURCHASES", filters={"tags": list(rows[0].tags)[:2], "min_rating": 1.0}),
        "none: empty list": Selection("PURCHASES", filters={"models": []}),
    }


_SELECTIONS = {ORDERS: _orders, BUSINESSES: _businesses, CAMPAIGNS: _campaigns, PROMPTS: _prompts}

PARENTS: Mapping[str, Sequence[str]] = {
    ORDERS: ("business_id", "customer_id"),
    CAMPAIGNS: ("business_id",),
    PROMPTS: ("seller_id",),
    BUSINESSES: (),
}
"""By what the rows of an area are asked for as lists of a parent, where the row itself says who that is."""

USUAL: Mapping[str, str] = {ORDERS: "PLACED_AT", BUSINESSES: "CREATED_AT", CAMPAIGNS: "NAME", PROMPTS: "PURCHASES"}
"""An order in which every row of an area can be listed."""


class Listed(NamedTuple):
    """A whole list, row by row with the place of each."""

    rows: list[Any]
    positions: list[Position]

    @property
    def ids(self) -> list[str]:
        """The ids of the rows."""
        return [row.id for row in self.rows]


async def pages_of(
    source: Source[Any], scope: Scope, selection: Selection, *, size: int, from_end: bool = False
) -> AsyncIterator[Page[Any]]:
    """The pages of a list, one after the other, until a page says that there is no more."""
    beyond: Position | None = None
    while True:
        window = Window(size, from_end, before=beyond) if from_end else Window(size, after=beyond)
        page = await source.page(scope, selection, window)
        yield page
        if not (page.has_previous if from_end else page.has_next):
            return
        beyond = page.positions[0 if from_end else -1]


async def whole(
    source: Source[Any], scope: Scope, selection: Selection, *, size: int = 250, from_end: bool = False
) -> Listed:
    """All pages of a list put together, in the order of the list whichever way they were read."""
    pages = [page async for page in pages_of(source, scope, selection, size=size, from_end=from_end)]
    if from_end:
        pages.reverse()
    return Listed(
        [row for page in pages for row in page.rows], [position for page in pages for position in page.positions]
    )


def everything(area: str) -> Selection:
    """The whole list of an area."""
    return Selection(USUAL[area])
