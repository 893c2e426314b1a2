"""A mail that is to be written, and how long something holds in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from datasources.mail.template import Template

_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail that is to be written: the address it goes to, its template and the values for that.

    ``user_id`` is whom it is to, where they have an account: their unsent mail goes with the account.
    """

    template: Template
    to: str
    values: Mapping[str, str] = field(repr=False)  # single-use links are among them
    user_id: str | None = None


def in_words(duration: timedelta) -> str:
    """``2 days``, ``1 hour``, ``90 minutes``: whole numbers of the largest unit that fits."""
    minutes = timedelta(minutes=max(1, round(duration / timedelta(minutes=1))))
    unit, length = next(each for each in _UNITS if not minutes % each[1])
    count = minutes // length
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
