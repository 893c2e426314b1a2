"""Cursors of lists: opaque to clients, and refused with a clear word when they are not ours.

A cursor is the place of a row: its sort value and its id, with the name of the order that they belong to. In a list
that is merged over platforms it also holds where each platform stands that is not at that place (see
``schema.merging``).
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from datasources.paging import Position, SortValue
from schema.errors import BadRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins or ends. ``apart`` has the platforms that stand elsewhere; ``None``: at the very start."""

    position: Position | None
    apart: Mapping[str, Position | None] = field(default_factory=dict)


def encode(order: str, place: Place) -> str:
    """The cursor of a place in a list in this order."""
    parts: list[Any] = [order, _pack(place.position)]
    if place.apart:
        parts.append({platform: _pack(position) for platform, position in place.apart.items()})
    return urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def decode(cursor: str, order: str, argument: str) -> Place:
    """The place of a cursor; raises ``BadRequest`` when it is not a cursor of a list in this order."""
    try:
        parts = orjson.loads(_bytes(cursor))
        name, position = parts[0], _unpack(parts[1])
        apart = {str(key): _unpack(value) for key, value in parts[2].items()} if len(parts) > 2 else {}  # noqa: PLR2004
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, binascii.Error):
        message = f"`{argument}` is not a cursor of this list. Send a cursor exactly as you received it."
        raise BadRequest(message) from None
    if name != order:
        message = f"`{argument}` is a cursor of a list in another order. Keep `orderBy` the same from page to page."
        raise BadRequest(message)
    return Place(position, apart)


def _bytes(cursor: str) -> bytes:
    if len(cursor) > _MAX_LENGTH:
        raise ValueError
    return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))


def _pack(position: Position | None) -> list[Any] | None:
    if position is None:
        return None
    value, identity = position
    if isinstance(value, datetime):
        return [{"t": (value - _EPOCH) // _MICROSECOND}, identity]
    return [value, identity]


def _unpack(packed: Any) -> Position | None:
    if packed is None:
        return None
    value, identity = packed
    if isinstance(value, dict):
        value = _EPOCH + int(value["t"]) * _MICROSECOND
    if (
        not isinstance(identity, str)
        or not isinstance(value, datetime | str | int | float | None)
        or isinstance(value, bool)
    ):
        raise ValueError  # noqa: TRY004 -- the content is wrong, not a type in our code
    checked: SortValue = value
    return Position(checked, identity)
