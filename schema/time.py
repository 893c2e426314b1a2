"""Spans of time and steps through them."""

from datetime import UTC, datetime
from enum import Enum
from typing import Any

import strawberry

from schema.errors import BadRequest


@strawberry.enum(description="The step of a series.")
class Granularity(Enum):
    """``Granularity``."""

    MINUTE = strawberry.enum_value("MINUTE", description="A point a minute.")
    HOUR = strawberry.enum_value("HOUR", description="A point an hour.")
    DAY = strawberry.enum_value("DAY", description="A point a day.")
    WEEK = strawberry.enum_value("WEEK", description="A point a week, from Monday.")
    MONTH = strawberry.enum_value("MONTH", description="A point a month.")


@strawberry.enum(description="Which way a list runs.")
class SortDirection(Enum):
    """``SortDirection``."""

    ASC = strawberry.enum_value("ASC", description="From the least to the greatest.")
    DESC = strawberry.enum_value("DESC", description="From the greatest to the least.")


@strawberry.input(description="A span of time.")
class TimeRange:
    """``TimeRange``."""

    from_: datetime = strawberry.field(name="from", description="Inclusive.")
    to: datetime | None = strawberry.field(default=None, description="Exclusive; now when absent.")


@strawberry.type(description="A span of time.")
class DateRange:
    """``DateRange``."""

    from_: datetime = strawberry.field(name="from", description="Inclusive.")
    to: datetime = strawberry.field(description="Exclusive.")


def bounds(span: TimeRange) -> tuple[datetime, datetime]:
    """The span as two moments; raises ``BadRequest`` when it ends before it begins."""
    end = span.to or datetime.now(UTC)
    if end < span.from_:
        message = f"`to` ({end.isoformat()}) lies before `from` ({span.from_.isoformat()})."
        raise BadRequest(message)
    return span.from_, end


def direction(order: Any, default: SortDirection) -> bool:
    """Whether an ``orderBy`` (or its absence) means descending."""
    return (order.direction if order is not None else default) is SortDirection.DESC
