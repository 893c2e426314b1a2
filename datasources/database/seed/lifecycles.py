"""How orders of each kind go on after they were placed, up to the present."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from datasources.database.seed.journal import Step
from datasources.database.seed.rows import Draw

SYSTEM = "system"

ACCEPTED = ("Transfer found on the statement.", "Receipt checked.", None, None)
REJECTED = ("The amount does not match.", "The receipt is of another day.", "The picture can't be read.")
NO_PAYMENT = "No payment within 72 hours."
CHANGED_MIND = ("Can't make it.", "Found another day.", "Double booking, sorry.", None)
REFUNDED = ("Bought twice by mistake.", "Did not fit our use.", "Asked within 14 days.")


def _until(now: datetime, steps: Iterator[Step]) -> list[Step]:
    return list(takewhile(lambda step: step.at <= now, steps))


def _later(draw: Draw, at: datetime, least: timedelta, most: timedelta) -> datetime:
    return at + least + (most - least) * (draw.random() ** 2)


def service_order(
    draw: Draw, placed_at: datetime, now: datetime, customer: str, staff: str, stays: str | None
) -> list[Step]:
    """A package sold in a conversation; one that ``stays`` goes no further than that status."""
    minutes, hours, days = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

    def steps() -> Iterator[Step]:
        yield Step(placed_at, "PENDING", customer)
        if stays == "PENDING":
            return
        if stays is None and draw.chance(0.12):
            by_customer = draw.chance(0.4)
            at = _later(draw, placed_at, hours, 2 * days) if by_customer else placed_at + 3 * days
            yield Step(at, "CANCELLED", customer if by_customer else SYSTEM, None if by_customer else NO_PAYMENT)
            return
        submitted_at = _later(draw, placed_at, 2 * minutes, 2 * minutes if stays else 2 * days)
        yield Step(submitted_at, "PAYMENT_SUBMITTED", customer)
        if stays == "PAYMENT_SUBMITTED":
            return
        reviewed_at = _later(draw, submitted_at, 3 * minutes, 20 * hours)
        if draw.chance(0.08):
            yield Step(reviewed_at, "REJECTED", staff, draw.choice(REJECTED))
            if draw.chance(0.35):
                yield Step(reviewed_at + 7 * days, "CANCELLED", SYSTEM, "Not submitted again within a week.")
                return
            submitted_at = _later(draw, reviewed_at, 10 * minutes, days)
            yield Step(submitted_at, "PAYMENT_SUBMITTED", customer)
            reviewed_at = _later(draw, submitted_at, 3 * minutes, 10 * hours)
        yield Step(reviewed_at, "PAID", staff, draw.choice(ACCEPTED))
        if draw.chance(0.93):
            yield Step(_later(draw, reviewed_at, 2 * hours, 14 * days), "COMPLETED", staff)

    return _until(now, steps())


@dataclass(frozen=True, slots=True)
class Booking:
    """When an appointment was booked, and for when."""

    placed_at: datetime
    starts_at: datetime
    ends_at: datetime


def appointment(draw: Draw, booking: Booking, now: datetime, customer: str, staff: str) -> list[Step]:
    """A booking: confirmed, and kept, missed or called off."""
    placed_at, starts_at = booking.placed_at, booking.starts_at

    def steps() -> Iterator[Step]:
        confirmed_at = placed_at
        if draw.chance(0.3):
            yield Step(placed_at, "PENDING", customer)
            confirmed_at = min(_later(draw, placed_at, timedelta(minutes=4), timedelta(hours=12)), starts_at)
            yield Step(confirmed_at, "CONFIRMED", staff)
        else:
            yield Step(placed_at, "CONFIRMED", SYSTEM, "From the booking platform.")
        fate = draw.random()
        if fate < 0.1:  # noqa: PLR2004 - a tenth is called off
            left = starts_at - confirmed_at
            yield Step(confirmed_at + left * draw.random(), "CANCELLED", customer, draw.choice(CHANGED_MIND))
        elif fate < 0.15:  # noqa: PLR2004 - one in twenty does not come
            yield Step(starts_at + timedelta(minutes=20), "NO_SHOW", staff)
        else:
            yield Step(booking.ends_at, "COMPLETED", staff if draw.chance(0.5) else SYSTEM)

    return _until(now, steps())


def card_payment(draw: Draw, placed_at: datetime, now: datetime, buyer: str, outcome: str) -> list[Step]:
    """Something paid by card, which ends as ``outcome``: ``PAID``, ``REFUNDED`` or ``FAILED``."""

    def steps() -> Iterator[Step]:
        yield Step(placed_at, "PENDING", buyer)
        settled_at = placed_at + timedelta(milliseconds=draw.randrange(900, 30_000))
        if outcome == "FAILED":
            yield Step(settled_at, "FAILED", SYSTEM, "The card was declined.")
            return
        yield Step(settled_at, "PAID", SYSTEM)
        if outcome == "REFUNDED":
            refunded_at = _later(draw, settled_at, timedelta(hours=3), timedelta(days=14))
            yield Step(refunded_at, "REFUNDED", buyer, draw.choice(REFUNDED))

    return _until(now, steps())
