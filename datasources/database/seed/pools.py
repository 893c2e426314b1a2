"""The words that demo data is made of, read from the files in ``data``."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

from datasources.database.seed.rows import Draw

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency with prices that people are used to."""

    code: str
    per_dollar: float
    digits: int
    step: int

    def price(self, dollars: float) -> int:
        """About so many dollars, rounded as prices are, in minor units."""
        return max(1, round(self.exact(dollars) / self.step)) * self.step

    def exact(self, dollars: float) -> int:
        """So many dollars in minor units."""
        return round(dollars * self.per_dollar * 10.0**self.digits)


@dataclass(frozen=True, slots=True)
class Country:
    """A country: its cities with time zones, how streets and people are called there, and telephone numbers."""

    language: str
    currency: Currency
    phones: tuple[tuple[str, int, int, int], ...]
    cities: tuple[tuple[str, str], ...]
    streets: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    family_first: bool

    def phone(self, start: int, index: int) -> str | None:
        """The ``index``-th of the fictional numbers from ``start`` on; ``None`` when all have been given out."""
        count = sum(numbers[2] for numbers in self.phones)
        if index >= count:
            return None
        place = (start + index) % count
        for prefix, first, in_range, digits in self.phones:
            if place < in_range:
                return f"{prefix}{first + place:0{digits}}"
            place -= in_range
        return None

    def person(self, draw: Draw) -> tuple[str, str]:
        """A name, and how it is spelled in an address."""
        given, family = draw.choice(self.given), draw.choice(self.family)
        parts = (family, given) if self.family_first else (given, family)
        return " ".join(map(written, parts)), f"{spelled(given)}.{spelled(family)}"


@dataclass(frozen=True, slots=True)
class Trade:
    """An industry: names of businesses by language, appointments (name, dollars, minutes) and services."""

    industry: str
    in_chat: float
    names: dict[str, list[str]]
    appointments: tuple[tuple[str, float, int], ...]
    services: tuple[tuple[str, str, tuple[tuple[str, float], ...]], ...]


def written(name: str) -> str:
    """A name as its people write it."""
    return name.partition("|")[0]


_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae"})


def spelled(name: str) -> str:
    """A name in the letters of addresses and slugs."""
    plain = normalize("NFKD", name.rpartition("|")[2].casefold().translate(_LETTERS))
    return "".join(letter if letter.isalnum() else "-" for letter in plain if letter.isascii() and letter != "'").strip(
        "-"
    )


@cache
def load(name: str) -> dict[str, Any]:
    """A file of words."""
    return tomllib.loads((_DATA / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def currencies() -> dict[str, Currency]:
    """Every currency by its code."""
    return {code: Currency(code, *figures) for code, figures in load("places")["currencies"].items()}


@cache
def countries() -> dict[str, Country]:
    """Every country by its code."""
    places = load("places")
    areas = places["area_codes"]["north_america"]
    found = {}
    for each in places["countries"]:
        ranges = [tuple(numbers) for numbers in each["phones"]] or [("+1{area}5550", 100, 100, 3)]
        found[each["code"]] = Country(
            language=each["language"],
            currency=currencies()[each["currency"]],
            phones=tuple(
                (prefix.format(area=area), first, count, digits)
                for prefix, first, count, digits in ranges
                for area in (areas if "{area}" in prefix else [""])
            ),
            cities=tuple((city, zone) for city, zone in each["cities"]),
            streets=tuple(each["streets"]),
            given=tuple(each["given"]),
            family=tuple(each["family"]),
            family_first=each.get("family_first", False),
        )
    return found


@cache
def trades() -> dict[str, Trade]:
    """Every industry by its value in the contract."""
    return {
        each["industry"]: Trade(
            industry=each["industry"],
            in_chat=each["in_chat"],
            names=each["names"],
            appointments=tuple((name, float(dollars), minutes) for name, dollars, minutes in each["appointments"]),
            services=tuple(
                (name, description, tuple((package, float(dollars)) for package, dollars in packages))
                for name, description, packages in each["services"]
            ),
        )
        for each in load("trades")["trades"]
    }
