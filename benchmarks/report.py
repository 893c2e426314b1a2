"""The table that a run prints."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from benchmarks.contest import Result

_COLUMNS = ("", "workload", "database", "gateway", "floor", "ratio", "range", "aim")
_WIDTHS = (4, 22, 12, 12, 12, 9, 16, 18)


def heading() -> str:
    """When and on what the figures that follow were taken."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{_processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    loaded = f"load average {os.getloadavg()[0]:.1f} at the start"
    return f"{now}, {machine}, {loaded}"


def columns() -> str:
    """The names of the columns, and what they are."""
    return f"CPU time of the server per request, medians of the rounds\n\n{_line(_COLUMNS)}"


def row(database: str, result: Result) -> str:
    """A line of the table."""
    ratios = result.ratios
    aim = f"≤ {result.aim:g}: {'met' if result.meets_aim else 'not met'}"
    return _line(
        (
            result.key.upper(),
            result.title,
            database,
            _time(result.ours),
            _time(result.floor),
            f"{median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            aim,
        )
    )


def _time(rounds: Sequence[float]) -> str:
    return f"{median(rounds) / 1_000:.2f} ms"


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- read up to the first name
        return next((line.partition(": ")[2].strip() for line in lines if line.startswith("model name")), "unknown")
