"""Credits that organizations bought."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from datasources.database.seed.journal import Journal, Kind
from datasources.database.seed.lifecycles import card_payment
from datasources.database.seed.marketplace import Payer
from datasources.database.seed.pools import countries
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import HISTORY, order_times
from datasources.database.seed.tenants import Organization
from datasources.database.tables.billing import credit_purchases

CREDIT_PURCHASE = Kind(credit_purchases, "billing", "crp", "C")

PACKS = ((100, 10), (500, 45), (1_000, 85), (5_000, 390))
"""How many credits for how many dollars."""


def credit_rows(
    seed: int, now: datetime, buyer: Organization, payers: Sequence[Payer], journal: Journal
) -> Iterator[Row]:
    """The purchases of one organization, in its home currency; some are booked to a business."""
    draw = Draw(seed, buyer.tenant.key, "credits")
    currency = countries()[buyer.tenant.home].currency
    payers = [payer for payer in payers if payer.currency == currency.code]
    begin = max(buyer.created_at + timedelta(days=1), now - HISTORY)
    times = order_times(draw, buyer.tenant.credit_purchases, begin, now - timedelta(minutes=5), ZoneInfo("UTC"))
    for number, at in enumerate(times, 1):
        amount, dollars = draw.choices(PACKS, (50, 30, 15, 5))[0]
        payer = draw.choice(payers) if payers and draw.chance(0.3) else None
        yield from journal.order(
            CREDIT_PURCHASE,
            draw.id(CREDIT_PURCHASE.prefix, at),
            payer.id if payer and payer.created_at < at else None,
            card_payment(draw, at, now, draw.choice(buyer.staff), draw.choices(("PAID", "FAILED"), (97, 3))[0]),
            {
                "customer_id": None,
                "number": f"{CREDIT_PURCHASE.letter}-{number:06}",
                "total_minor": currency.price(dollars),
                "currency": currency.code,
                "credits": amount,
            },
        )
