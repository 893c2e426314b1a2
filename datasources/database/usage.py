"""What was used: counted per minute, summed over time by the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, select, type_coerce

from datasources.database.columns import UtcDateTime, any_of
from datasources.database.engine import Scope
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import usage_records


class UsageSum(NamedTuple):
    """The sum of one metric of one platform over the step of time that begins ``at``."""

    metric: str
    platform: str
    at: datetime
    value: int


_KEPT: Mapping[str, tuple[int, str]] = {
    "MINUTE": (16, ":00.000000Z"),
    "HOUR": (13, ":00:00.000000Z"),
    "DAY": (10, "T00:00:00.000000Z"),
    "MONTH": (7, "-01T00:00:00.000000Z"),
}
"""How much of the text of a moment a step keeps, and what it puts in place of the rest (SQLite)."""


def _step(dialect: str, granularity: str) -> ColumnElement[Any]:
    """The start, in UTC, of the minute, hour, day, week (from Monday) or month that a record falls into."""
    at = usage_records.c.at
    if dialect == "postgresql":
        return func.date_trunc(granularity.lower(), at, "UTC", type_=UtcDateTime())
    if granularity == "WEEK":
        monday = func.date(func.substr(at, 1, 10), "weekday 0", "-6 days")
        return type_coerce(monday.concat("T00:00:00.000000Z"), UtcDateTime())
    length, rest = _KEPT[granularity]
    return type_coerce(func.substr(at, 1, length).concat(rest), UtcDateTime())


@lru_cache(maxsize=16)
def _sums(dialect: str, granularity: str) -> Select[Any]:
    step = _step(dialect, granularity).label("step")
    records = usage_records.c
    return (
        select(records.metric, records.platform, step, func.sum(records.value))
        .where(
            records.organization_id == TENANT,
            any_of(records.metric, "metrics"),
            records.at >= bindparam("range_from", type_=UtcDateTime()),
            records.at < bindparam("range_to", type_=UtcDateTime()),
        )
        .group_by(records.metric, records.platform, step)
        .order_by(records.metric, records.platform, step)
    )


async def usage_sums(
    scope: Scope, metrics: Sequence[str], start: datetime, end: datetime, granularity: str
) -> list[UsageSum]:
    """The sums of these metrics from ``start`` (included) to ``end`` (not), by metric, platform and step, in order."""
    statement = _sums(scope.dialect, granularity)
    found = await scope.fetch(statement, UsageSum, {"metrics": metrics, "range_from": start, "range_to": end})
    return [row._replace(value=int(row.value)) for row in found]
