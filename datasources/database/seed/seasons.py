"""When people order: more in spring and December, hardly on Sundays, mostly while shops are open."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from datasources.database.seed.rows import Draw

MONTHS = (0.9, 0.85, 1.05, 1.2, 1.2, 1.0, 0.85, 0.8, 0.95, 1.0, 1.05, 1.45)
"""Each month's share of an average one, from January on."""

WEEKDAYS = (0.8, 0.95, 1.0, 1.05, 1.25, 1.3, 0.35)
"""Each weekday's share of an average one, from Monday on."""

HOURS = (1, 1, 1, 1, 1, 2, 5, 12, 25, 40, 48, 50, 44, 42, 44, 46, 50, 55, 58, 54, 44, 30, 14, 5)
"""How busy each hour is, in local time."""

HISTORY = timedelta(days=730)
"""How far the orders go back."""

OPENS, CLOSES = 9, 19
"""Opening hours, in local time, except on Sundays."""

_SUNDAY = 6
_DAY = timedelta(days=1)
_HOUR_WEIGHTS = tuple(accumulate(HOURS))


def season(day: date) -> float:
    """How busy ``day`` is, as a share of an average one."""
    return MONTHS[day.month - 1] * WEEKDAYS[day.weekday()]


def order_times(draw: Draw, count: int, begin: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """``count`` moments between ``begin`` and ``end``, in order."""
    first = begin.astimezone(zone).date()
    days = [first + timedelta(days=offset) for offset in range((end.astimezone(zone).date() - first).days + 1)]
    growth = 1 / (2 * HISTORY.days)
    weights = list(accumulate(season(day) * (0.7 + growth * offset) for offset, day in enumerate(days)))
    hours = draw.choices(range(24), cum_weights=_HOUR_WEIGHTS, k=count)
    found = []
    for day, hour in zip(draw.choices(days, cum_weights=weights, k=count), hours, strict=True):
        second = draw.randrange(3600)
        at = datetime.combine(day, time(hour, second // 60, second % 60, draw.randrange(1000) * 1000), zone)
        # The hours before the beginning and after the end are moved into the next and the last whole day.
        shifted = at.astimezone(UTC) + _DAY * (at < begin) - _DAY * (at > end)
        found.append(min(max(shifted, begin), end))
    found.sort()
    return found


def opening_time(draw: Draw, after: datetime, days: int, zone: ZoneInfo, minutes: int) -> datetime:
    """A quarter of an hour while the shop is open, about ``days`` after ``after``, with ``minutes`` left that day."""
    day = after.astimezone(zone).date() + timedelta(days=max(1, days))
    if day.weekday() == _SUNDAY:
        day += timedelta(days=1)
    quarter = draw.randrange((CLOSES - OPENS) * 4 - minutes // 15)
    return datetime.combine(day, time(OPENS + quarter // 4, quarter % 4 * 15), zone).astimezone(UTC)


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """``total`` split by ``weights`` into whole numbers, each at least one."""
    whole = sum(weights)
    rest = total - len(weights)
    bounds = [round(rest * part / whole) for part in accumulate(weights)]
    return [1 + upper - lower for lower, upper in zip([0, *bounds], bounds, strict=False)]
