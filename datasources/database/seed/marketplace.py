"""Who bought which prompt, what they wrote about it, and the figures that follow from it.

A purchase counts once money has moved, also when it was given back later; revenue is what was not given back. Each
review is of a purchase, so no prompt has more reviews than purchases, and the reviews are the same at every scale.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from datasources.database.seed.journal import Journal, Kind
from datasources.database.seed.lifecycles import card_payment
from datasources.database.seed.pools import countries, load
from datasources.database.seed.prompts import Prompt
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import HISTORY, order_times
from datasources.database.seed.tenants import LAKESIDE, MAREA, Organization
from datasources.database.tables.marketplace import prompt_figures, prompt_purchases, reviews

PROMPT_PURCHASE = Kind(prompt_purchases, "marketplace", "ppu", "P")

FEE_PER_CENT = 15
"""What the platform keeps of a sale."""

REVIEWED = {LAKESIDE: 240, MAREA: 80}
"""How many of its purchases an organization reviews."""

BOUGHT = ("PAID", "REFUNDED")


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase that will be made: of what, when, how it ends, and what is written about it."""

    at: datetime
    prompt: Prompt
    outcome: str
    rating: int | None


@dataclass(frozen=True, slots=True)
class Payer:
    """A business that a purchase can be booked to."""

    id: str
    currency: str
    created_at: datetime


def plan(seed: int, now: datetime, buyer: Organization, catalogue: Sequence[Prompt]) -> list[Purchase]:
    """Every purchase of one organization, in the order of time; never of its own prompts."""
    draw = Draw(seed, buyer.tenant.key, "purchases")
    for_sale = sorted(
        ((prompt.published_at, prompt) for prompt in catalogue if prompt.published_at and prompt.seller.id != buyer.id),
        key=lambda found: found[0],
    )
    published = [at for at, _ in for_sale]
    weights = list(accumulate(prompt.popularity for _, prompt in for_sale))
    found: list[Purchase] = []
    for _ in range(REVIEWED.get(buyer.tenant.key, 0)):
        at, prompt = draw.choices(for_sale, cum_weights=weights)[0]
        begin = max(at, now - HISTORY) + timedelta(hours=1)
        bought_at = begin + (now - timedelta(days=20) - begin) * draw.random()
        found.append(Purchase(bought_at, prompt, "PAID", draw.choices((5, 4, 3, 2, 1), (46, 32, 13, 6, 3))[0]))
    begin = max(buyer.created_at + timedelta(days=1), now - HISTORY, published[0])
    for at in order_times(
        draw, buyer.tenant.prompt_purchases - len(found), begin, now - timedelta(minutes=5), ZoneInfo("UTC")
    ):
        there = bisect_right(published, at)
        prompt = draw.choices(for_sale[:there], cum_weights=weights[:there])[0][1]
        found.append(Purchase(at, prompt, draw.choices(("PAID", "REFUNDED", "FAILED"), (91, 5, 4))[0], None))
    return sorted(found, key=lambda purchase: purchase.at)


def purchase_rows(
    seed: int,
    now: datetime,
    buyer: Organization,
    purchases: Sequence[Purchase],
    payers: Sequence[Payer],
    journal: Journal,
) -> Iterator[Row]:
    """The purchases of one organization; most are booked to a business in the prompt's currency."""
    draw = Draw(seed, buyer.tenant.key, "purchase-orders")
    by_currency: dict[str, list[Payer]] = {}
    for business in payers:
        by_currency.setdefault(business.currency, []).append(business)
    for number, purchase in enumerate(purchases, 1):
        prompt = purchase.prompt
        candidates = by_currency.get(prompt.currency)
        payer = draw.choice(candidates) if candidates and draw.chance(0.6) else None
        fee = prompt.price_minor * FEE_PER_CENT // 100
        yield from journal.order(
            PROMPT_PURCHASE,
            draw.id(PROMPT_PURCHASE.prefix, purchase.at),
            payer.id if payer and payer.created_at < purchase.at else None,
            card_payment(draw, purchase.at, now, draw.choice(buyer.staff), purchase.outcome),
            {
                "customer_id": None,
                "number": f"{PROMPT_PURCHASE.letter}-{number:06}",
                "total_minor": prompt.price_minor,
                "currency": prompt.currency,
                "prompt_id": prompt.id,
                "version_number": prompt.version_at(purchase.at),
                "platform_fee_minor": fee,
                "seller_earnings_minor": prompt.price_minor - fee,
            },
        )


def reviewed(plans: Sequence[Sequence[Purchase]]) -> list[Purchase]:
    """The purchases that somebody wrote about, in the order of time."""
    found = [purchase for purchases in plans for purchase in purchases if purchase.rating is not None]
    return sorted(found, key=lambda purchase: (purchase.at, purchase.prompt.id))


def review_rows(seed: int, written_about: Sequence[Purchase]) -> Iterator[Row]:
    """A review of each of these purchases."""
    texts = load("prompts")["reviews"]
    everywhere = sorted(countries())
    for number, purchase in enumerate(written_about):
        draw = Draw(seed, "review", number)
        created_at = purchase.at + timedelta(days=draw.randrange(1, 18), seconds=draw.randrange(80_000))
        yield (
            reviews,
            {
                "id": draw.id("rev", created_at),
                "prompt_id": purchase.prompt.id,
                "author": countries()[draw.choice(everywhere)].person(draw)[0],
                "rating": purchase.rating,
                "text": draw.choice(texts[str(purchase.rating)]) if draw.chance(0.85) else None,
                "created_at": created_at,
            },
        )


def figure_rows(
    seed: int, catalogue: Sequence[Prompt], sales: dict[str, int], revenue: dict[str, int]
) -> Iterator[Row]:
    """How often each prompt was seen, bought and run."""
    for prompt in catalogue:
        draw = Draw(seed, "figures", prompt.slug)
        bought = sales.get(prompt.id, 0)
        seen = 0 if prompt.published_at is None else draw.randrange(40, 400) + round(prompt.popularity * 60)
        runs = draw.randrange(5, 60) + bought * 12
        successes = round(runs * draw.uniform(0.88, 0.995))
        yield (
            prompt_figures,
            {
                "prompt_id": prompt.id,
                "views": seen + bought * draw.randrange(15, 50),
                "purchases": bought,
                "runs": runs,
                "successes": successes,
                "median_latency_ms": draw.randrange(700, 5_200),
                "median_tokens": draw.randrange(240, 1_900),
                "revenue_minor": revenue.get(prompt.id, 0),
            },
        )
