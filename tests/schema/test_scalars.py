"""What a client may send for each scalar, and how what it may not is refused."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLScalarType, is_specified_scalar_type, parse_value
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import BadRequest
from schema.scalars import SCALARS
from tests.schema.ways import Ways

GOOD: dict[str, list[tuple[object, object]]] = {
    "DateTime": [
        ("2026-01-31T09:30:00Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31T10:30:00+01:00", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31T09:30:00.123456-00:30", datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)),
    ],
    "Date": [("2026-01-31", date(2026, 1, 31))],
    "Decimal": [("19.90", Decimal("19.90")), ("-0.001", Decimal("-0.001")), (7, Decimal(7)), ("1e3", Decimal(1000))],
    "BigInt": [("9007199254740993", 9007199254740993), (7, 7), ("-9223372036854775808", -(2**63)), ("007", 7)],
    "JSON": [({"a": [1, None, "x"]}, {"a": [1, None, "x"]}), (None, None), (True, True)],
    "URL": [("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"), ("http://[::1]:8000", "http://[::1]:8000")],
    "EmailAddress": [("ada@example.com", "ada@example.com"), ("a.b+c@例え.jp", "a.b+c@例え.jp")],
    "PhoneNumber": [("+14155550123", "+14155550123")],
    "CurrencyCode": [("EUR", "EUR")],
    "TimeZone": [("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC")],
    "Upload": [],
}
BAD: dict[str, list[object]] = {
    "DateTime": [
        "2026-01-31",
        "2026-01-31T09:30:00",
        "yesterday",
        "",
        7,
        None,
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        ["2026-01-31T09:30:00Z"],
    ],
    "Date": ["2026-02-30", "31.01.2026", "", 20260131, None, "2026-01-31T00:00:00Z"],
    "Decimal": [
        "",
        "1,5",
        "NaN",
        "Infinity",
        "-Infinity",
        "sNaN",
        "1e999",
        "1" * 31,
        "0.1" + "0" * 40 + "1",
        1.5,
        True,
        None,
        [],
        "1.x",
    ],
    "BigInt": [
        "",
        "1.0",
        "1e3",
        "9223372036854775808",
        2**63,
        -(2**63) - 1,
        1.0,
        True,
        None,
        "٣",
        "0x10",
        "+1",
        "1_000",
    ],
    "JSON": [],
    "URL": [
        "example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https://[",
        "",
        "https://a\nb",
        7,
        "//a",
    ],
    "EmailAddress": [
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "a@b@c",
        "",
        7,
        "a\x00@b",
        "a" * 65 + "@b",
        None,
    ],
    "PhoneNumber": ["0", "+0123456789", "14155550123", "+1 415 555", "", "+1234567890123456", 7, "+١٤١٥٥٥٥٠١٢٣"],
    "CurrencyCode": ["eur", "EURO", "E", "", "ÄÖÜ", 978],
    "TimeZone": ["Berlin", "", "Europe/berlin2", "../etc/passwd", 1, "+01:00"],
    "Upload": ["text", 7, 1.5, True, [], {}],
}


def scalars(ways: Ways) -> dict[str, GraphQLScalarType]:
    """Every scalar of the schema that is not GraphQL's own, and those that no field uses yet."""
    return {
        name: kind
        for name, kind in ways.schema.type_map.items()
        if isinstance(kind, GraphQLScalarType) and not is_specified_scalar_type(kind)
    }


def parsers() -> dict[str, Any]:
    return {definition.name: definition.parse_value for definition in SCALARS.values()}


def test_every_scalar_has_its_examples(ways: Ways) -> None:
    """A new one fails here until it has some."""
    assert set(scalars(ways)) <= set(GOOD) == set(BAD) == set(parsers())


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_good_is_taken(name: str) -> None:
    for sent, meant in GOOD[name]:
        found = parsers()[name](sent)
        assert found == meant
        assert type(found) is type(meant)


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_is_not_is_refused_with_a_word_on_what_is(name: str) -> None:
    for sent in BAD[name]:
        with pytest.raises(BadRequest) as refused:
            parsers()[name](sent)
        assert len(refused.value.message) < 200, sent
        assert refused.value.message.endswith("."), sent


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes().map(str)
    | st.decimals().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(sent=ANYTHING)
def test_whatever_is_sent_is_taken_or_a_bad_request(sent: Any) -> None:
    for parse in parsers().values():
        with contextlib.suppress(BadRequest):
            parse(sent)


@given(moment=st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))  # noqa: DTZ001 -- hypothesis wants its bounds naive
def test_a_moment_is_the_same_moment_in_utc(moment: datetime) -> None:
    offset = moment.utcoffset() or timedelta()
    if offset.total_seconds() % 60 == 0:
        found = parsers()["DateTime"](moment.isoformat())
        assert found == moment.astimezone(UTC)  # an hour that clocks skip equals itself in no other zone
        assert found.utcoffset() == timedelta()


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_a_big_number_keeps_its_digits(number: int) -> None:
    definition = {each.name: each for each in SCALARS.values()}["BigInt"]
    assert definition.parse_value is not None
    assert definition.serialize is not None
    assert definition.parse_value(definition.serialize(number)) == number
    assert definition.serialize(number) == str(number)


def test_variables_and_literals_mean_the_same(ways: Ways) -> None:
    """What is written into the document is refused as what is sent beside it."""
    found = scalars(ways)
    for name in ("CurrencyCode", "DateTime", "Decimal"):
        good, meant = GOOD[name][0]
        assert found[name].parse_literal(parse_value(f'"{good}"'), {}) == meant
        with pytest.raises((BadRequest, GraphQLError)):
            found[name].parse_literal(parse_value('"…"'), {})
