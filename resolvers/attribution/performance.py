"""How a campaign did: its daily figures, in total and over time."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import strawberry

from datasources.database.attribution import CampaignDayRow, CampaignRow, days_of
from datasources.database.businesses import BusinessRow
from schema.context import Context, Info, as_graphql
from schema.directives import Cost
from schema.errors import BadRequest
from schema.money import Money, amount
from schema.platform import BUSINESSES
from schema.time import Granularity, TimeRange, bounds

FRESH = timedelta(days=1)
MAX_DAYS = 3_700
_ONE_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


@strawberry.enum(description="Whether a figure is real, and how fresh.")
class DataSource(Enum):
    """``DataSource``."""

    LIVE = strawberry.enum_value("LIVE", description="From the provider, and fresh.")
    STALE = strawberry.enum_value("STALE", description="From the provider, and older than it should be.")
    DEMO = strawberry.enum_value("DEMO", description="Made up by the gateway; never mixed with real figures.")


@strawberry.type(description="Where figures come from.")
class Provenance:
    """``Provenance``."""

    source: DataSource = strawberry.field(description="Whether they are real, and how fresh.")
    fetched_at: datetime | None = strawberry.field(description="When the newest was fetched; null when none ever was.")
    reason: str | None = strawberry.field(description="Set when the source is not LIVE: why.")


class Metrics(NamedTuple):
    """Sums over days; spend in minor units of the currency."""

    spend_minor: int
    impressions: int
    clicks: int
    currency: str


class Point(NamedTuple):
    """A step of the series."""

    at: datetime
    metrics: Metrics


class Performance(NamedTuple):
    """What ``performance`` resolves to."""

    totals: Metrics
    series: Sequence[Point]
    provenance: Provenance


@strawberry.type(description="What a campaign cost and brought.")
class CampaignMetrics:
    """``CampaignMetrics``."""

    impressions: int = strawberry.field(description="How often it was shown.")
    clicks: int = strawberry.field(description="How often it was clicked.")

    @strawberry.field(description="What it cost.")
    @staticmethod
    def spend(root: strawberry.Parent[Metrics]) -> Money:
        """The spend as money."""
        return as_graphql(amount(root.spend_minor, root.currency))

    @strawberry.field(description="Clicks per impression; null without impressions.")
    @staticmethod
    def click_through_rate(root: strawberry.Parent[Metrics]) -> float | None:
        """``clicks / impressions``."""
        return root.clicks / root.impressions if root.impressions else None

    @strawberry.field(description="Spend per click, rounded to the smallest unit; null without clicks.")
    @staticmethod
    def cost_per_click(root: strawberry.Parent[Metrics]) -> Money | None:
        """``spend / clicks``, half a unit rounded up."""
        if not root.clicks:
            return None
        return as_graphql(amount((2 * root.spend_minor + root.clicks) // (2 * root.clicks), root.currency))


@strawberry.type(description="What a campaign cost and brought in one step of time.")
class CampaignMetricsPoint:
    """``CampaignMetricsPoint``."""

    at: datetime = strawberry.field(description="When the step begins: midnight where the business is.")
    metrics: CampaignMetrics = strawberry.field(description="The figures of the step.")


@strawberry.type(description="How a campaign did.")
class CampaignPerformance:
    """``CampaignPerformance``."""

    totals: CampaignMetrics = strawberry.field(description="Over the whole span.")
    series: list[CampaignMetricsPoint] = strawberry.field(description="Over time; steps without figures are left out.")
    provenance: Provenance = strawberry.field(description="Where the figures come from.")


def _summed(rows: Iterable[CampaignDayRow], currency: str) -> Metrics:
    spend = impressions = clicks = 0
    for row in rows:
        spend += row.spend_minor
        impressions += row.impressions
        clicks += row.clicks
    return Metrics(spend, impressions, clicks, currency)


def _step_of(day: date, granularity: Granularity) -> date:
    if granularity is Granularity.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if granularity is Granularity.MONTH else day


def _provenance(business: BusinessRow, rows: Sequence[CampaignDayRow]) -> Provenance:
    fetched_at = max((row.fetched_at for row in rows), default=None)
    if business.demo:
        return Provenance(source=DataSource.DEMO, fetched_at=fetched_at, reason="The business is in demo mode.")
    if fetched_at is None:
        return Provenance(source=DataSource.STALE, fetched_at=None, reason="Nothing was fetched for these days yet.")
    if datetime.now(UTC) - fetched_at > FRESH:
        return Provenance(
            source=DataSource.STALE, fetched_at=fetched_at, reason="The last fetch is more than a day ago."
        )
    return Provenance(source=DataSource.LIVE, fetched_at=fetched_at, reason=None)


def _performance(
    campaign: CampaignRow, business: BusinessRow, rows: Sequence[CampaignDayRow], granularity: Granularity
) -> Performance:
    zone = ZoneInfo(business.time_zone)
    steps: dict[date, list[CampaignDayRow]] = {}
    for row in rows:
        steps.setdefault(_step_of(row.day, granularity), []).append(row)
    series = [
        Point(datetime.combine(day, time(), zone).astimezone(UTC), _summed(within, campaign.currency))
        for day, within in sorted(steps.items())
    ]
    return Performance(_summed(rows, campaign.currency), series, _provenance(business, rows))


def _days(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """The first and the last day, where the business is, that a span touches."""
    return start.astimezone(zone).date(), (end - _MOMENT).astimezone(zone).date()


def _batch(context: Context, span: TimeRange) -> Callable[[list[str]], Any]:
    """Reads the days of many campaigns at once, a day more at either end: every business has its own midnight."""
    start, end = bounds(span)
    if end - start > timedelta(days=MAX_DAYS):
        message = f"That is more than {MAX_DAYS} days. Ask for a shorter range."
        raise BadRequest(message)

    async def batch(campaign_ids: list[str]) -> list[list[CampaignDayRow]]:
        found = await days_of(context.scope, campaign_ids, start.date() - _ONE_DAY, end.date() + _ONE_DAY)
        return [found[campaign_id] for campaign_id in campaign_ids]

    return batch


_RANGE = Annotated[TimeRange, strawberry.argument(name="range", description="The days that count.")]
_STEP = Annotated[Granularity, strawberry.argument(description="DAY, WEEK or MONTH: providers report by the day.")]


@strawberry.type(description="What ads attribution adds to campaigns.")
class CampaignFigures:
    """Fields of ``Campaign``."""

    @strawberry.field(description="How it did in these days.", directives=[Cost(weight=5)])
    @staticmethod
    async def performance(
        root: strawberry.Parent[CampaignRow], info: Info, span: _RANGE, granularity: _STEP = Granularity.DAY
    ) -> CampaignPerformance | None:
        """``performance``: the figures of all campaigns of a level come from one statement."""
        if granularity in (Granularity.MINUTE, Granularity.HOUR):
            message = "Campaign figures are reported by the day. Ask for DAY, WEEK or MONTH."
            raise BadRequest(message)
        context = info.context
        node = info._raw_info.field_nodes[0]  # noqa: SLF001 -- the same field has the same range for every campaign
        loader = context.keyed_loader(("performance", id(node)), lambda: _batch(context, span))
        business: BusinessRow = await context.loader(BUSINESSES).load(root.business_id)
        rows: list[CampaignDayRow] = await loader.load(root.id)
        first, last = _days(*bounds(span), ZoneInfo(business.time_zone))
        within = [row for row in rows if first <= row.day <= last]
        return as_graphql(_performance(root, business, within, granularity))
