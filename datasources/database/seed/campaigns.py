"""Advertising campaigns with a figure for each day that they ran."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from datasources.database.seed.businesses import Business
from datasources.database.seed.pools import Currency, load
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import season
from datasources.database.tables.attribution import campaign_days, campaigns

LONGEST = 60
"""Days of figures that a campaign which still runs has."""


OCCASIONS = ((2, 3, 4), (4, 5), (6, 7, 8), (8, 9), (11,), (11, 12), (1,), (), (), (), (), ())
"""The months of each occasion in the file of words; none for what goes at any time."""


@dataclass(frozen=True, slots=True)
class _Run:
    """When a campaign ran, and how it ended."""

    status: str
    first: date
    last: date
    ends: date | None


def campaign_rows(seed: int, now: datetime, business: Business) -> Iterator[Row]:
    """The campaigns of one business."""
    draw = Draw(seed, business.organization.tenant.key, "campaigns", business.index)
    words, objectives = load("campaigns")["occasions"], load("campaigns")["objectives"]
    currency = business.country.currency
    for _ in range(draw.randint(*business.organization.tenant.campaigns)):
        provider = draw.choices(("META_ADS", "GOOGLE_ADS"), (6, 4))[0]
        objective, (cheap, dear, least, most) = draw.choice(sorted(objectives[provider].items()))
        run = _run(draw, now, business)
        starts_at = datetime.combine(run.first, time(), business.zone).astimezone(UTC)
        campaign_id = draw.id("cmp", starts_at)
        occasion = words[business.country.language][_occasion(draw, run.first)]
        name = f"{occasion} {run.first:%Y-%m} · {objective.removeprefix('OUTCOME_').replace('_', ' ').title()}"
        dollars = draw.choice((8, 10, 15, 20, 25, 40, 60))
        yield (
            campaigns,
            {
                "id": campaign_id,
                "organization_id": business.organization.id,
                "business_id": business.id,
                "provider": provider,
                "external_id": str(
                    draw.randrange(10**16, 10**17) if provider == "META_ADS" else draw.randrange(10**10, 10**11)
                ),
                "name": name,
                "name_key": name.casefold(),
                "status": run.status,
                "objective": objective,
                "daily_budget_minor": currency.price(dollars),
                "currency": currency.code,
                "starts_at": starts_at,
                "ends_at": run.ends and datetime.combine(run.ends, time(), business.zone).astimezone(UTC),
            },
        )
        per_thousand, rate = draw.uniform(cheap, dear), draw.uniform(least, most) / 100
        for offset in range(max(0, (run.last - run.first).days - LONGEST), (run.last - run.first).days):
            day = run.first + timedelta(days=offset)
            yield (
                campaign_days,
                {
                    "organization_id": business.organization.id,
                    "campaign_id": campaign_id,
                    "day": day,
                    **_figures(draw, dollars * (0.6 + 0.4 * season(day)), per_thousand, rate, currency),
                    "fetched_at": min(
                        now, datetime.combine(day + timedelta(days=1), time(14, draw.randrange(60)), UTC)
                    ),
                },
            )


def _occasion(draw: Draw, day: date) -> int:
    """Which of the occasions a campaign that begins on ``day`` is for."""
    return draw.choice([place for place, months in enumerate(OCCASIONS) if not months or day.month in months])


def _run(draw: Draw, now: datetime, business: Business) -> _Run:
    """A run whose last day, exclusive, is not after today."""
    today = now.astimezone(business.zone).date()
    status = draw.choices(("ACTIVE", "PAUSED", "ENDED", "DELETED"), (35, 15, 46, 4))[0]
    oldest = min(480, (today - business.created_at.date()).days - 1)
    first = today - timedelta(days=draw.randrange(20, max(21, oldest)))
    if status == "ACTIVE":
        planned = today + timedelta(days=draw.randrange(10, 60)) if draw.chance(0.4) else None
        return _Run(status, first, today, planned)
    length = draw.randrange(10, LONGEST)
    last = min(today, first + timedelta(days=length))
    return _Run(status, first, last, last if status == "ENDED" else None)


def _figures(draw: Draw, dollars: float, per_thousand: float, rate: float, currency: Currency) -> dict[str, object]:
    spent = dollars * draw.uniform(0.75, 1.08)
    impressions = max(1, round(spent / (per_thousand * draw.uniform(0.85, 1.2)) * 1000))
    clicks = round(impressions * rate * draw.uniform(0.7, 1.3))
    return {"spend_minor": currency.exact(spent), "impressions": impressions, "clicks": min(impressions, clicks)}
