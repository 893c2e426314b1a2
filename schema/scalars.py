"""Custom scalars: what a client may send, and what it gets.

Each refuses what it cannot mean with a message that says what it takes. Output is passed on as it is stored wherever
the encoder can write it (datetimes, for one), so that a leaf costs nothing.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, NewType
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import strawberry
from strawberry.types.scalar import ScalarDefinition

from schema.errors import BadRequest

BigInt = NewType("BigInt", int)
Json = NewType("Json", object)
Url = NewType("Url", str)
EmailAddress = NewType("EmailAddress", str)
PhoneNumber = NewType("PhoneNumber", str)
CurrencyCode = NewType("CurrencyCode", str)
TimeZone = NewType("TimeZone", str)
Upload = NewType("Upload", object)

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MAX_DIGITS = 30


def _text(kind: str, value: object) -> str:
    if not isinstance(value, str):
        message = f"{kind} is written as a string."
        raise BadRequest(message)
    return value


def _parse_datetime(value: object) -> datetime:
    text = _text("A DateTime", value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or len(text) <= len("2026-01-31"):
        message = f"“{text[:60]}” is not a DateTime. Write RFC 3339 with an offset, such as 2026-01-31T09:30:00Z."
        raise BadRequest(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "That moment is out of range."
        raise BadRequest(message) from None


def _parse_date(value: object) -> date:
    text = _text("A Date", value)
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"“{text[:60]}” is not a Date. Write it like 2026-01-31."
        raise BadRequest(message) from None


def _parse_decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int):
        message = 'A Decimal is written as a string, such as "19.90", so that no digit is lost.'
        raise BadRequest(message)
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if (
        not number.is_finite()
        or len(number.as_tuple().digits) > _MAX_DIGITS
        or abs(int(number.adjusted())) > _MAX_DIGITS
    ):
        message = f'“{str(value)[:60]}” is not a Decimal. Write digits with at most one point, such as "19.90".'
        raise BadRequest(message)
    return number


def _parse_big_int(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        number = int(value)
    else:
        message = 'A BigInt is written as a string of digits, such as "9007199254740993".'
        raise BadRequest(message)
    if not -(2**63) <= number < 2**63:
        message = "That BigInt does not fit into 64 bits."
        raise BadRequest(message)
    return number


def _parse_url(value: object) -> str:
    text = _text("A URL", value)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or not text.isprintable():
        message = f"“{text[:60]}” is not a URL. Write an absolute http or https address."
        raise BadRequest(message)
    return text


def _matching(kind: str, pattern: re.Pattern[str], hint: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(kind, value)
        if not pattern.fullmatch(text):
            message = f"“{text[:60]}” is not {kind[0].lower()}{kind[1:]}. {hint}"
            raise BadRequest(message)
        return text

    return parse


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _parse_time_zone(value: object) -> str:
    text = _text("A TimeZone", value)
    if text not in _time_zones():
        message = f"“{text[:60]}” is not a TimeZone. Write an IANA name, such as Europe/Berlin."
        raise BadRequest(message)
    return text


def _no_literal(_value: object) -> object:
    message = "An Upload is a file of a multipart request: send it through a variable."
    raise BadRequest(message)


def _parse_upload(value: object) -> object:
    if isinstance(value, str | int | float | bool | list | dict):
        _no_literal(value)
    return value


def _scalar(
    name: str, description: str, url: str | None, serialize: Callable[[Any], object], parse: Callable[[Any], Any]
) -> ScalarDefinition:
    definition: ScalarDefinition = strawberry.scalar(
        name=name, description=description, specified_by_url=url, serialize=serialize, parse_value=parse
    )
    return definition


def _as_it_is(value: object) -> object:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: _scalar(
        "DateTime",
        "A moment, as RFC 3339 in UTC, such as 2026-01-31T09:30:00Z.",
        "https://scalars.graphql.org/andimarek/date-time",
        _as_it_is,
        _parse_datetime,
    ),
    date: _scalar(
        "Date",
        "A day without a time, such as 2026-01-31.",
        "https://scalars.graphql.org/andimarek/local-date",
        _as_it_is,
        _parse_date,
    ),
    Decimal: _scalar("Decimal", 'An exact decimal number as a string, such as "19.90".', None, str, _parse_decimal),
    BigInt: _scalar(
        "BigInt",
        "A whole number of up to 64 bits as a string, because JavaScript loses digits beyond 2^53.",
        None,
        str,
        _parse_big_int,
    ),
    Json: _scalar("JSON", "Any JSON value.", "https://www.rfc-editor.org/rfc/rfc8259", _as_it_is, _as_it_is),
    Url: _scalar("URL", "An absolute http or https address.", "https://url.spec.whatwg.org/", _as_it_is, _parse_url),
    EmailAddress: _scalar(
        "EmailAddress",
        "An e-mail address, such as ada@example.com.",
        "https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address",
        _as_it_is,
        _matching("An EmailAddress", _EMAIL, "Write it like ada@example.com."),
    ),
    PhoneNumber: _scalar(
        "PhoneNumber",
        "A phone number in E.164, such as +14155550123.",
        "https://www.itu.int/rec/T-REC-E.164",
        _as_it_is,
        _matching("A PhoneNumber", _PHONE, "Write it in E.164, such as +14155550123."),
    ),
    CurrencyCode: _scalar(
        "CurrencyCode",
        "An ISO 4217 currency code, such as EUR.",
        "https://www.iso.org/iso-4217-currency-codes.html",
        _as_it_is,
        _matching("A CurrencyCode", _CURRENCY, "Write three capital letters of ISO 4217, such as EUR."),
    ),
    TimeZone: _scalar(
        "TimeZone",
        "An IANA time zone, such as Europe/Berlin.",
        "https://www.iana.org/time-zones",
        _as_it_is,
        _parse_time_zone,
    ),
    Upload: _scalar(
        "Upload",
        "A file of a multipart request.",
        "https://github.com/jaydenseric/graphql-multipart-request-spec",
        _as_it_is,
        _parse_upload,
    ),
}
