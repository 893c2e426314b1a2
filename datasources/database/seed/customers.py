"""The customers of a business, who appear with their first order and come back, some of them often."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from datasources.database.seed.businesses import Business
from datasources.database.seed.rows import Draw, Row
from datasources.database.tables.gateway import customers

DOMAINS = ("example.com", "example.net", "example.org")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as orders know them."""

    id: str
    name: str


class Clientele:
    """Who comes with each order of a business; after the last order everybody has come."""

    def __init__(self, draw: Draw, business: Business) -> None:
        self._draw = draw
        self._business = business
        self._known: list[Customer] = []
        count = min(business.customers, business.orders)
        self._new = {0, *draw.sample(range(1, business.orders), count - 1)}
        self._first_number = draw.randrange(100_000)

    def come(self, order: int, at: datetime) -> tuple[Customer, Iterator[Row]]:
        """The customer of the order with this number in time, and their row when they are new."""
        if order not in self._new:
            # Regulars: the square leans towards those who came first.
            return self._known[int(len(self._known) * self._draw.random() ** 2)], iter(())
        draw, business = self._draw, self._business
        seen_at = at - timedelta(minutes=draw.randrange(1, 30), seconds=draw.randrange(60))
        name, spelling = business.country.person(draw)
        customer = Customer(draw.id("cus", seen_at), name)
        self._known.append(customer)
        phone = business.country.phone(self._first_number, len(self._known))
        email = f"{spelling}{draw.randrange(1, 99)}@{draw.choice(DOMAINS)}" if draw.chance(0.7) else None
        row: Row = (
            customers,
            {
                "id": customer.id,
                "organization_id": business.organization.id,
                "business_id": business.id,
                "name": name,
                "name_key": name.casefold(),
                "phone": phone,
                "email": email,
                "first_seen_at": seen_at,
            },
        )
        return customer, iter((row,))
