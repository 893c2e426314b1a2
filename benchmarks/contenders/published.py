"""What contenders in Python make of a published event; in memory, so that its moment is when they take it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import NamedTuple


class OrderChanged(NamedTuple):
    """An event as subscribers get it."""

    id: str
    at: str
    before: str
    after: str


def order_changed(published: Mapping[str, str]) -> OrderChanged:
    """The event, with an id and a moment of its own unless it has them already.

    It has them when answers are compared, so that all send the same.
    """
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    identity = published.get("id") or f"evt_{token_hex(13)}"
    return OrderChanged(identity, published.get("at") or now, published["from"], published["to"])
