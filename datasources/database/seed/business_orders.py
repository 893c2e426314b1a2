"""What a business sells: packages of services in conversations, and appointments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from datasources.database.seed.businesses import Business
from datasources.database.seed.customers import Clientele, Customer
from datasources.database.seed.journal import Journal, Kind, Step
from datasources.database.seed.lifecycles import Booking, appointment, service_order
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import HISTORY, opening_time, order_times
from datasources.database.seed.shelf import Package, Shelf
from datasources.database.tables.attribution import appointments
from datasources.database.tables.messaging import service_orders

SERVICE_ORDER = Kind(service_orders, "messaging", "sor", "S")
APPOINTMENT = Kind(appointments, "attribution", "apt", "A")

OPEN = ("PAYMENT_SUBMITTED", "PENDING")
"""The newest service orders of a business wait for somebody to act on them."""


def business_order_rows(
    seed: int, now: datetime, business: Business, shelf: Shelf, journal: Journal, platforms: frozenset[str]
) -> Iterator[Row]:
    """The orders of one business with their customers, in the order of time."""
    if not business.orders:
        return
    draw = Draw(seed, business.organization.tenant.key, "orders", business.index)
    clientele = Clientele(draw, business)
    counter = _Counter(draw, now, business, journal)
    packages, new = shelf.packages(business)
    if SERVICE_ORDER.platform in platforms:
        yield from new
    for number, (at, in_chat, stays) in enumerate(_placements(draw, now, business)):
        customer, arrival = clientele.come(number, at)
        yield from arrival
        if in_chat and SERVICE_ORDER.platform in platforms:
            yield from counter.service_order(number, at, customer, draw.choice(packages), stays)
        elif not in_chat and APPOINTMENT.platform in platforms:
            yield from counter.appointment(number, at, customer)


def _placements(draw: Draw, now: datetime, business: Business) -> list[tuple[datetime, bool, str | None]]:
    """When each order is placed, whether in a conversation, and where it stays for somebody to try their hand."""
    open_orders = OPEN[: business.orders // 4]
    begin = max(business.created_at + timedelta(hours=2), now - HISTORY)
    times = order_times(draw, business.orders - len(open_orders), begin, now - timedelta(days=2), business.zone)
    found: list[tuple[datetime, bool, str | None]] = [(at, draw.chance(business.trade.in_chat), None) for at in times]
    for hours, status in zip((26, 4), open_orders, strict=False):
        found.append((now - timedelta(hours=hours * (0.3 + 0.7 * draw.random()), minutes=10), True, status))
    return found


@dataclass(frozen=True, slots=True)
class _Counter:
    """Where a business takes its orders."""

    draw: Draw
    now: datetime
    business: Business
    journal: Journal

    def _order(
        self, kind: Kind, number: int, customer: Customer, steps: Sequence[Step], values: dict[str, object]
    ) -> Iterator[Row]:
        return self.journal.order(
            kind,
            self.draw.id(kind.prefix, steps[0].at),
            self.business.id,
            steps,
            {
                "customer_id": customer.id,
                "number": f"{kind.letter}{self.business.index + 1:03}-{number + 1:05}",
                "currency": self.business.country.currency.code,
                **values,
            },
        )

    def service_order(
        self, number: int, at: datetime, customer: Customer, package: Package, stays: str | None
    ) -> Iterator[Row]:
        staff = self.draw.choice(self.business.organization.staff)
        return self._order(
            SERVICE_ORDER,
            number,
            customer,
            service_order(self.draw, at, self.now, customer.name, staff, stays),
            {"total_minor": package.price_minor, "package_id": package.id, "payment_proof_id": None},
        )

    def appointment(self, number: int, at: datetime, customer: Customer) -> Iterator[Row]:
        draw, business = self.draw, self.business
        name, dollars, minutes = draw.choice(business.trade.appointments)
        starts_at = opening_time(draw, at, int(draw.expovariate(1 / 6)), business.zone, minutes)
        staff = draw.choice(business.organization.staff)
        booking = Booking(at, starts_at, starts_at + timedelta(minutes=minutes))
        return self._order(
            APPOINTMENT,
            number,
            customer,
            appointment(draw, booking, self.now, customer.name, staff),
            {
                "total_minor": business.country.currency.price(dollars),
                "starts_at": starts_at,
                "service": name,
                "location_id": draw.choice(business.locations),
            },
        )
