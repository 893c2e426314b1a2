"""What was used: the area ``USAGE``."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import strawberry

from datasources.database.accounts import OrganizationRow
from datasources.database.usage import UsageSum, usage_sums
from schema.context import Context, Info, as_graphql
from schema.directives import Cost, scopes
from schema.errors import BadRequest
from schema.platform import UsageMetric
from schema.registry import PlatformType
from schema.scalars import BigInt
from schema.time import DateRange, Granularity, TimeRange, bounds

READ_USAGE = scopes("usage:read")
MAX_POINTS = 5_000
_SECONDS = {
    Granularity.MINUTE: 60,
    Granularity.HOUR: 3_600,
    Granularity.DAY: 86_400,
    Granularity.WEEK: 604_800,
    Granularity.MONTH: 2_419_200,
}


class Total(NamedTuple):
    """The sum of a metric."""

    metric: str
    value: int


class Point(NamedTuple):
    """A step of a series."""

    at: datetime
    value: int


class Series(NamedTuple):
    """A metric over time; steps in which nothing was used are left out."""

    metric: str
    points: Sequence[Point]


class OfPlatform(NamedTuple):
    """The totals of one platform."""

    platform_key: str
    totals: Sequence[Total]


class Report(NamedTuple):
    """What ``usage`` resolves to."""

    range: Any
    totals: Sequence[Total]
    series: Sequence[Series]
    by_platform: Sequence[OfPlatform]


@strawberry.type(description="How much of something was used.")
class UsageTotal:
    """``UsageTotal``."""

    metric: UsageMetric = strawberry.field(description="What is counted.")
    value: BigInt = strawberry.field(description="How much.")


@strawberry.type(description="How much was used in one step of time.")
class UsagePoint:
    """``UsagePoint``."""

    at: datetime = strawberry.field(description="When the step begins, in UTC.")
    value: BigInt = strawberry.field(description="How much.")


@strawberry.type(description="Use over time.")
class UsageSeries:
    """``UsageSeries``."""

    metric: UsageMetric = strawberry.field(description="What is counted.")
    points: list[UsagePoint] = strawberry.field(description="In order of time; steps without use are left out.")


@strawberry.type(description="Use on one platform.")
class PlatformUsage:
    """``PlatformUsage``."""

    totals: list[UsageTotal] = strawberry.field(description="By metric.")

    @strawberry.field(description="Which platform.")
    @staticmethod
    def platform(root: strawberry.Parent[OfPlatform], info: Info) -> PlatformType:
        """The platform behind its key."""
        return info.context.composition.platform_type(root.platform_key)


@strawberry.type(description="What was used in a span of time.", directives=[READ_USAGE])
class UsageReport:
    """``UsageReport``."""

    range: DateRange = strawberry.field(description="The span.")
    totals: list[UsageTotal] = strawberry.field(description="By metric; those without use are left out.")
    series: list[UsageSeries] = strawberry.field(description="By metric, over time.")
    by_platform: list[PlatformUsage] = strawberry.field(description="By the platform that counted it.")


class _Range(NamedTuple):
    from_: datetime
    to: datetime


async def _report(
    context: Context, span: TimeRange, granularity: Granularity, metrics: list[UsageMetric] | None
) -> Report:
    start, end = bounds(span)
    if (end - start) / timedelta(seconds=_SECONDS[granularity]) > MAX_POINTS:
        step = granularity.name.lower()
        message = f"That is more than {MAX_POINTS} points of a {step}. Ask for a shorter range or a longer step."
        raise BadRequest(message)
    wanted = context.composition.enum_values["UsageMetric"] if metrics is None else metrics
    rows = await usage_sums(context.scope, wanted, start, end, granularity.name)
    return Report(_Range(start, end), _totals(rows), _series(rows), _by_platform(context, rows))


def _totals(rows: Iterable[UsageSum]) -> list[Total]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.metric] = sums.get(row.metric, 0) + row.value
    return [Total(metric, value) for metric, value in sorted(sums.items())]


def _series(rows: Iterable[UsageSum]) -> list[Series]:
    steps: dict[str, dict[datetime, int]] = {}
    for row in rows:
        points = steps.setdefault(row.metric, {})
        points[row.at] = points.get(row.at, 0) + row.value
    return [
        Series(metric, [Point(at, value) for at, value in sorted(points.items())])
        for metric, points in sorted(steps.items())
    ]


def _by_platform(context: Context, rows: Sequence[UsageSum]) -> list[OfPlatform]:
    keys = [platform.key for platform in context.composition.platforms]
    of = {key: [row for row in rows if row.platform == key] for key in keys}
    return [OfPlatform(key, _totals(own)) for key, own in of.items() if own]


_RANGE = Annotated[TimeRange, strawberry.argument(name="range", description="The span of time.")]
_STEP = Annotated[Granularity, strawberry.argument(description="The step of the series.")]
_METRICS = Annotated[list[UsageMetric] | None, strawberry.argument(description="Only these; all when absent.")]


@strawberry.type(description="Roots of the area, and what it adds to organizations.")
class UsageFields:
    """Fields of ``Query`` and ``Organization``."""

    @strawberry.field(
        description="What the organization used, in all, over time and by platform.",
        directives=[READ_USAGE, Cost(weight=10)],
    )
    @staticmethod
    async def usage(
        root: strawberry.Parent[Any],
        info: Info,
        span: _RANGE,
        granularity: _STEP = Granularity.DAY,
        metrics: _METRICS = None,
    ) -> UsageReport | None:
        """``usage``: one statement, also where several paths of one field lead to the organization."""
        context = info.context
        if isinstance(root, OrganizationRow) and root.id != context.organization_id:
            return None  # another organization of the viewer

        async def batch(organization_ids: list[str]) -> list[Report]:
            return [await _report(context, span, granularity, metrics)] * len(organization_ids)

        node = info._raw_info.field_nodes[0]  # noqa: SLF001 -- the same field has the same arguments everywhere
        loader = context.keyed_loader(("usage", id(node)), lambda: batch)
        return as_graphql(await loader.load(context.organization_id))
