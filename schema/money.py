"""Money: exact, in minor units inside and as a decimal string outside."""

from decimal import Decimal
from typing import Any, NamedTuple

import strawberry

from schema.errors import BadRequest
from schema.scalars import CurrencyCode

_DIGITS = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Digits after the point where they are not two (ISO 4217)."""

_SHIFT = {digits: Decimal(1).scaleb(-digits) for digits in (0, 2, 3)}


class Amount(NamedTuple):
    """What a ``Money`` is made from: the decimal text and the currency."""

    amount: str
    currency: str


@strawberry.type(description="An amount in one currency.")
class Money:
    """``Money``."""

    amount: Decimal = strawberry.field(description="Exact, with as many digits after the point as the currency has.")
    currency: CurrencyCode = strawberry.field(description="The currency of the amount.")


def amount(minor: int, currency: str) -> Amount:
    """``1990`` and ``EUR`` are 19.90 EUR; ``1990`` and ``JPY`` are 1990 JPY."""
    digits = _DIGITS.get(currency, 2)
    if digits == 0:
        return Amount(str(minor), currency)
    sign, whole = ("-", -minor) if minor < 0 else ("", minor)
    text = str(whole).rjust(digits + 1, "0")
    return Amount(f"{sign}{text[:-digits]}.{text[-digits:]}", currency)


def minor_units(value: Decimal, currency: str) -> int:
    """The other way round; raises ``BadRequest`` for more digits than the currency has."""
    scaled = value / _SHIFT[_DIGITS.get(currency, 2)]
    if scaled != scaled.to_integral_value():
        message = f"{currency} has no smaller unit than {_SHIFT[_DIGITS.get(currency, 2)]}: {value} cannot be exact."
        raise BadRequest(message)
    return int(scaled)


def money(column: str, description: str) -> Any:
    """Declares a ``Money`` field that is stored as ``<column>_minor`` beside the row's ``currency``.

    Null where the column is.
    """
    attribute = f"{column}_minor"

    def resolve(root: Any, _info: Any = None) -> Any:
        minor = getattr(root, attribute)
        return None if minor is None else amount(minor, root.currency)

    resolve.__annotations__ = {"root": Any, "_info": strawberry.Info}
    return strawberry.field(
        resolver=resolve, metadata={"money": attribute, "resolve": resolve}, description=description
    )
