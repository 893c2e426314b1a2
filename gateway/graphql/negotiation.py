"""Which media type to answer with, by the ``Accept`` header."""

from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
EVENTS = "text/event-stream"
HTML = "text/html"

# In the order in which a wildcard gets them.
ANSWERS = (JSON, GRAPHQL, EVENTS)

_MAX_CACHED_HEADER = 500


@dataclass(frozen=True, slots=True)
class _Range:
    type: str
    subtype: str
    quality: float

    def specificity(self, media: str) -> int:
        """How exactly this names ``media``; 0 when it does not."""
        main, _, sub = media.partition("/")
        if self.type == "*" and self.subtype == "*":
            return 1
        if self.type != main:
            return 0
        if self.subtype == "*":
            return 2
        return 3 if self.subtype == sub else 0


def preferred(accept: str | None, offers: tuple[str, ...] = ANSWERS) -> str | None:
    """The one of ``offers`` that the client likes best, or ``None`` when it takes none of them.

    Equal quality goes to what the header names first, because clients list their choices in order; then to the order
    of ``offers``.
    """
    if not accept or not accept.strip():
        return offers[0]
    if len(accept) > _MAX_CACHED_HEADER:
        return _choose(accept, offers)
    return _choose_cached(accept, offers)


def names_event_stream(accept: str | None) -> bool:
    """Whether the client asks for events by name; ``*/*`` says nothing on whether it can read a stream."""
    return any(one.type == "text" and one.specificity(EVENTS) and one.quality > 0 for one in _ranges(accept or ""))


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether the client asks for gzip by name (RFC 9110, section 12.5.3)."""
    for part in (accept_encoding or "").split(","):
        coding, *parameters = part.split(";")
        if coding.strip().lower() in {"gzip", "x-gzip"}:
            return _quality(parameters) > 0
    return False


def _choose(accept: str, offers: tuple[str, ...]) -> str | None:
    ranges = _ranges(accept)
    best: tuple[float, int, int] | None = None
    chosen = None
    for order, media in enumerate(offers):
        matches = [
            (specificity, -position, one.quality)
            for position, one in enumerate(ranges)
            if (specificity := one.specificity(media))
        ]
        if not matches:
            continue
        _, position, quality = max(matches)
        rank = (quality, position, -order)
        if quality > 0 and (best is None or rank > best):
            best, chosen = rank, media
    return chosen


_choose_cached = lru_cache(maxsize=256)(_choose)


def _ranges(accept: str) -> list[_Range]:
    ranges = []
    for part in accept.split(","):
        media, *parameters = part.split(";")
        main, _, sub = media.strip().lower().partition("/")
        if main and sub:
            ranges.append(_Range(main, sub, _quality(parameters)))
    return ranges


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
