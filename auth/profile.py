"""What people may say of themselves: how long, how many, and nothing that a page or a database cannot hold."""

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import orjson

from auth.registration import MAX_NAME_LENGTH

MAX_BIO = 2_000
MAX_COMPANY = 200
MAX_URL = 2_000
MAX_TAGS = 50
MAX_TAG = 60
MAX_PREFERENCES_BYTES = 16 << 10
"""Of the preferences as JSON in UTF-8."""
MAX_PREFERENCES_DEPTH = 32


class Unfit(NamedTuple):
    """A value that cannot be, and why: a message for the person."""

    field: str
    message: str


def fitted(given: Mapping[str, object]) -> tuple[dict[str, object], list[Unfit]]:
    """The columns that a profile gets from what was given, and what of it does not fit.

    ``given`` has the fields of a profile that are to change, by their names as columns; ``None`` clears one.
    """
    columns: dict[str, object] = {}
    wrong: list[Unfit] = []
    for name, value in given.items():
        try:
            columns[name] = _FIELDS[name](value)
        except _Wrong as error:
            wrong.append(Unfit(name, str(error)))
    return columns, wrong


class _Wrong(Exception):
    """A value does not fit; the message says what would."""


def _line(most: int) -> Callable[[object], str | None]:
    return lambda value: _text(value, most, breaks=False)


def _lines(most: int) -> Callable[[object], str | None]:
    return lambda value: _text(value, most, breaks=True)


def _text(value: object, most: int, *, breaks: bool) -> str | None:
    """A text without space around it; ``None`` for one that says nothing."""
    text = "" if value is None else str(value).strip()
    if len(text) > most:
        raise _Wrong(f"This has at most {most:,} characters.")
    if any(unicodedata.category(each) in ("Cc", "Cs") and not (breaks and each in "\n\t") for each in text):
        raise _Wrong("This has characters that cannot be shown." if breaks else "This is one line, of characters.")
    return text or None


def _tags(value: object) -> list[str]:
    """Short texts, each once, in the order given."""
    given = value if isinstance(value, list) else []
    if len(given) > MAX_TAGS:
        raise _Wrong(f"These are at most {MAX_TAGS}.")
    texts = [_text(each, MAX_TAG, breaks=False) for each in given]
    return list(dict.fromkeys(text for text in texts if text is not None))


def _preferences(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Wrong("Preferences are an object.")
    for depth, each in _within(value):
        if depth > MAX_PREFERENCES_DEPTH:
            raise _Wrong(f"Preferences are at most {MAX_PREFERENCES_DEPTH} levels deep.")
        if isinstance(each, str) and "\0" in each:
            raise _Wrong("A text cannot contain the character U+0000.")
        if isinstance(each, float) and not math.isfinite(each):
            raise _Wrong("A number is too large.")
    try:
        size = len(orjson.dumps(value))
    except (orjson.JSONEncodeError, RecursionError):
        raise _Wrong("Preferences are JSON, with whole numbers of at most 64 bits.") from None
    if size > MAX_PREFERENCES_BYTES:
        raise _Wrong(f"Preferences have at most {MAX_PREFERENCES_BYTES >> 10} KiB as JSON.")
    return value


def _within(value: object) -> Iterator[tuple[int, object]]:
    """Every name and value with its depth, without recursion: what is sent may be deep."""
    waiting: list[tuple[int, object]] = [(0, value)]
    while waiting:
        depth, each = waiting.pop()
        yield depth, each
        if depth > MAX_PREFERENCES_DEPTH:
            continue
        if isinstance(each, dict):
            waiting.extend((depth + 1, part) for pair in each.items() for part in pair)
        elif isinstance(each, list):
            waiting.extend((depth + 1, part) for part in each)


_FIELDS: Mapping[str, Callable[[object], object]] = {
    "name": _line(MAX_NAME_LENGTH),
    "bio": _lines(MAX_BIO),
    "company": _line(MAX_COMPANY),
    "website": _line(MAX_URL),
    "avatar_url": _line(MAX_URL),
    "skills": _tags,
    "interests": _tags,
    "preferences": _preferences,
}
