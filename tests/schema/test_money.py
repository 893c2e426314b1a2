"""Amounts go in and out exactly, with as many digits as their currency has."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import BadRequest
from schema.money import amount, minor_units

DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "TND": 3}
CURRENCIES = st.sampled_from(sorted(DIGITS))


@given(minor=st.integers(-(2**63), 2**63 - 1), currency=CURRENCIES)
def test_an_amount_comes_back_as_it_was(minor: int, currency: str) -> None:
    made = amount(minor, currency)
    assert made.currency == currency
    assert minor_units(Decimal(made.amount), currency) == minor
    assert Decimal(made.amount) == Decimal(minor).scaleb(-DIGITS[currency])


@given(minor=st.integers(-(2**63), 2**63 - 1), currency=CURRENCIES)
def test_an_amount_is_written_in_full(minor: int, currency: str) -> None:
    text = amount(minor, currency).amount
    whole, _, fraction = text.removeprefix("-").partition(".")
    assert len(fraction) == DIGITS[currency]
    assert whole == "0" or not whole.startswith("0")
    assert (whole + fraction).isdigit()
    assert text.startswith("-") == (minor < 0)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1990, "EUR", "19.90"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (0, "EUR", "0.00"),
        (1990, "JPY", "1990"),
        (-7, "KRW", "-7"),
        (1990, "KWD", "1.990"),
        (-1, "BHD", "-0.001"),
        (2**53 + 1, "EUR", "90071992547409.93"),
    ],
)
def test_amounts_by_example(minor: int, currency: str, text: str) -> None:
    assert amount(minor, currency) == (text, currency)


@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-(10**20), max_value=10**20),
    currency=CURRENCIES,
)
def test_what_the_currency_cannot_hold_is_refused_and_never_rounded(value: Decimal, currency: str) -> None:
    exact = value == value.quantize(Decimal(1).scaleb(-DIGITS[currency]))
    if exact:
        assert Decimal(amount(minor_units(value, currency), currency).amount) == value
    else:
        with pytest.raises(BadRequest, match=f"{currency} has no smaller unit than"):
            minor_units(value, currency)


def test_zeros_at_the_end_change_nothing() -> None:
    assert minor_units(Decimal("19.90000"), "EUR") == 1990
    assert minor_units(Decimal("1E+3"), "JPY") == 1000
    with pytest.raises(BadRequest):
        minor_units(Decimal("0.5"), "JPY")
