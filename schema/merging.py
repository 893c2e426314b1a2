"""One list out of several: a k-way merge of the pages of every source that supplies an area.

All sources order by the same (value, id), so a row's position is at once the position of every source that has nothing
before it left to show. A source that failed, or that stands elsewhere after it failed before, keeps its own position
in the cursor, so that nothing of it is passed by.
"""

import asyncio
import heapq
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from datasources.database.engine import Scope
from datasources.paging import Page, Position, Selection, Source, Window
from schema.cursors import Place
from schema.errors import BadRequest, UpstreamFailed, client_error

logger = logging.getLogger(__name__)


class Unavailable(NamedTuple):
    """A platform whose rows are missing, why, and in how many seconds to ask again."""

    platform_key: str
    reason: str
    retry_after: int | None


@dataclass(frozen=True, slots=True)
class MergedPage:
    """A page over all sources; ``places`` are the cursors' contents, one per row."""

    rows: Sequence[Any]
    places: Sequence[Place]
    has_next: bool
    has_previous: bool
    unavailable: Sequence[Unavailable] = ()


class Asked(NamedTuple):
    """What is asked of the merged list."""

    selection: Selection
    limit: int
    from_end: bool = False
    after: Place | None = None
    before: Place | None = None

    def window(self, platform: str) -> Window:
        """The window of one source."""
        return Window(self.limit, self.from_end, _at(self.after, platform), _at(self.before, platform))

    @property
    def start(self) -> Place | None:
        """Where reading begins, in its direction."""
        return self.before if self.from_end else self.after


def _at(place: Place | None, platform: str) -> Position | None:
    return None if place is None else place.apart.get(platform, place.position)


Sources = Mapping[str, Source[Any]]


async def merged_page(scope: Scope, sources: Sources, asked: Asked, *, partial: bool) -> MergedPage:
    """One page of the whole list. With ``partial`` a failing source is named instead of failing the page."""
    pages, failed = await _each(
        sources, lambda key, source: source.page(scope, asked.selection, asked.window(key)), partial=partial
    )
    return _merge(pages, failed, asked)


async def merged_pages(
    scope: Scope, sources: Sources, by: str, keys: Sequence[str], asked: Asked, *, partial: bool
) -> list[MergedPage]:
    """The page of each parent, in the order of ``keys``: one call per source."""
    by_source, failed = await _each(
        sources, lambda key, source: source.pages(scope, by, keys, asked.selection, asked.window(key)), partial=partial
    )
    return [_merge({name: found[key] for name, found in by_source.items()}, failed, asked) for key in keys]


async def merged_count(scope: Scope, sources: Sources, selection: Selection, *, partial: bool) -> int | None:
    """How many rows the whole list has; ``None`` while a source is unavailable."""
    counts, failed = await _each(sources, lambda _, source: source.count(scope, selection), partial=partial)
    return None if failed else sum(counts.values())


async def merged_counts(
    scope: Scope, sources: Sources, by: str, keys: Sequence[str], selection: Selection, *, partial: bool
) -> list[int | None]:
    """How many rows each parent has."""
    found, failed = await _each(sources, lambda _, source: source.counts(scope, by, keys, selection), partial=partial)
    return [None if failed else sum(counts[key] for counts in found.values()) for key in keys]


async def _each(
    sources: Sources, call: Callable[[str, Source[Any]], Awaitable[Any]], *, partial: bool
) -> tuple[dict[str, Any], list[Unavailable]]:
    """Calls every source at the same time; returns what they gave and which failed."""
    if len(sources) == 1 and not partial:
        ((key, source),) = sources.items()
        return {key: await call(key, source)}, []
    answers = await asyncio.gather(*(call(key, source) for key, source in sources.items()), return_exceptions=True)
    given: dict[str, Any] = {}
    failed: list[Unavailable] = []
    for key, answer in zip(sources, answers, strict=True):
        if not isinstance(answer, BaseException):
            given[key] = answer
        elif partial and isinstance(answer, Exception) and not isinstance(client_error(answer), BadRequest):
            failed.append(_unavailable(key, answer))
        else:
            raise answer
    return given, failed


def _unavailable(platform: str, error: Exception) -> Unavailable:
    known = client_error(error)
    if known is not None:
        after = known.extensions.get("retryAfter") if isinstance(known, UpstreamFailed) else None
        return Unavailable(platform, known.message, after if isinstance(after, int) else None)
    correlation_id = uuid.uuid4().hex
    logger.error("platform %s failed to list [%s]", platform, correlation_id, exc_info=error)
    return Unavailable(platform, f"Internal error. Quote this id when you ask for help: {correlation_id}", None)


@dataclass(frozen=True, slots=True)
class _Falling:
    """Turns the order of values round, for a merge that runs downwards."""

    value: Any

    def __lt__(self, other: "_Falling") -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Falling) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]


def _sort_key(position: Position, *, rising: bool) -> tuple[Any, ...]:
    """Sorts as the sources do: nulls last in list order, then value, then id."""
    value, identity = position
    if value is None:
        return (1, 0, identity) if rising else (1, 0, _Falling(identity))
    return (0, value, identity) if rising else (0, _Falling(value), _Falling(identity))


def _merge(pages: Mapping[str, Page[Any]], failed: Sequence[Unavailable], asked: Asked) -> MergedPage:
    if len(pages) == 1 and not failed and not (asked.start and asked.start.apart):
        (page,) = pages.values()
        places = [Place(position) for position in page.positions]
        return MergedPage(page.rows, places, page.has_next, page.has_previous)
    rising = not asked.selection.descending
    streams = [
        [
            (_sort_key(position, rising=rising), name, row, position)
            for row, position in zip(page.rows, page.positions, strict=True)
        ]
        for name, page in pages.items()
    ]
    everything = list(heapq.merge(*streams, key=lambda entry: entry[0]))
    kept = everything[-asked.limit :] if asked.from_end and asked.limit else everything[: asked.limit]
    more = len(everything) > asked.limit or bool(failed)
    more = more or any(page.has_previous if asked.from_end else page.has_next for page in pages.values())
    apart = _apart(pages, failed, asked)
    return MergedPage(
        rows=[row for _, _, row, _ in kept],
        places=[Place(position, apart(key)) for key, _, _, position in kept],
        has_next=asked.before is not None if asked.from_end else more,
        has_previous=more if asked.from_end else asked.after is not None,
        unavailable=failed,
    )


def _apart(
    pages: Mapping[str, Page[Any]], failed: Sequence[Unavailable], asked: Asked
) -> Callable[[tuple[Any, ...]], dict[str, Position | None]]:
    """For a row's sort key: the sources whose position is not that of the row."""
    start, rising = asked.start, not asked.selection.descending
    unmoved: dict[str, Position | None] = {entry.platform_key: _at(start, entry.platform_key) for entry in failed}
    if start is None or not (failed or start.apart):
        return lambda _: dict(unmoved)
    starts = {name: (position, _sort_key(position, rising=rising)) for name in pages if (position := _at(start, name))}

    def apart(key: tuple[Any, ...]) -> dict[str, Position | None]:
        # A source that begins beyond this row has shown nothing yet: it stays where it began.
        ahead = {
            name: position
            for name, (position, place) in starts.items()
            if (place < key if asked.from_end else key < place)
        }
        return {**unmoved, **ahead}

    return apart
