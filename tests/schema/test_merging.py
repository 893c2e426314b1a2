"""One list out of several sources: in order, and every row exactly once, whichever sources fail on the way."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.database.engine import Scope
from datasources.paging import ForeignPosition, Page, Position, Selection, Window
from schema import cursors
from schema.cursors import Place
from schema.errors import BadRequest, UpstreamFailed
from schema.merging import Asked, MergedPage, merged_count, merged_counts, merged_page, merged_pages

SCOPE = cast(Scope, None)
ORDER = "VALUE+"


class Row(NamedTuple):
    """A row of a source."""

    id: str
    value: int | None
    parent: str


def sort_key(value: int | None, identity: str, *, down: bool) -> tuple[Any, ...]:
    """The order that every source keeps: nulls last, ids break ties in the direction of the order."""
    characters = [-ord(each) for each in identity] if down else [ord(each) for each in identity]
    return (value is None, (-(value or 0) if down else value or 0), characters)


@dataclass
class Rows:
    """A source over a list in memory; ``failing`` says what the next calls raise."""

    rows: Sequence[Row]
    failing: list[Exception | None] = field(default_factory=list)
    calls: int = 0

    def _called(self) -> None:
        self.calls += 1
        error = self.failing.pop(0) if self.failing else None
        if error is not None:
            raise error

    def _page(self, rows: Sequence[Row], selection: Selection, window: Window) -> Page[Row]:
        down = selection.descending
        ordered = sorted(rows, key=lambda row: sort_key(row.value, row.id, down=down))
        for bound, keep in ((window.after, 1), (window.before, -1)):
            if bound is not None:
                assert not isinstance(bound.value, str)
                edge = sort_key(cast("int | None", bound.value), bound.id, down=down)
                ordered = [
                    row
                    for row in ordered
                    if (sort_key(row.value, row.id, down=down) > edge if keep == 1 else False)
                    or (sort_key(row.value, row.id, down=down) < edge if keep == -1 else False)
                ]
        more = len(ordered) > window.limit
        kept = ordered[-window.limit :] if window.from_end and window.limit else ordered[: window.limit]
        return Page(
            rows=kept,
            positions=[Position(row.value, row.id) for row in kept],
            has_next=window.before is not None if window.from_end else more,
            has_previous=more if window.from_end else window.after is not None,
        )

    async def by_ids(self, _scope: Scope, ids: Sequence[str]) -> Mapping[str, Row]:
        """By id."""
        return {row.id: row for row in self.rows if row.id in ids}

    async def page(self, _scope: Scope, selection: Selection, window: Window) -> Page[Row]:
        """A page."""
        self._called()
        return self._page(self.rows, selection, window)

    async def pages(
        self, _scope: Scope, by: str, keys: Sequence[str], selection: Selection, window: Window
    ) -> Mapping[str, Page[Row]]:
        """A page of each parent."""
        self._called()
        assert by == "parent"
        return {key: self._page([row for row in self.rows if row.parent == key], selection, window) for key in keys}

    async def count(self, _scope: Scope, _selection: Selection) -> int:
        """How many."""
        self._called()
        return len(self.rows)

    async def counts(self, _scope: Scope, _by: str, keys: Sequence[str], _selection: Selection) -> Mapping[str, int]:
        """How many of each parent."""
        self._called()
        return {key: sum(row.parent == key for row in self.rows) for key in keys}


VALUES = st.none() | st.integers(0, 4)
SOURCES = st.lists(st.lists(VALUES, max_size=9), min_size=1, max_size=4)
FAILURES = st.lists(st.sets(st.integers(0, 3)), max_size=8)


def made(values: Sequence[Sequence[int | None]]) -> dict[str, Rows]:
    """Sources with these values; their ids interleave."""
    return {
        f"s{source}": Rows([Row(f"r{number:02}{source}", value, f"p{number % 2}") for number, value in enumerate(of)])
        for source, of in enumerate(values)
    }


def expected(sources: Mapping[str, Rows], *, down: bool) -> list[Row]:
    """All rows in order."""
    rows = [row for source in sources.values() for row in source.rows]
    return sorted(rows, key=lambda row: sort_key(row.value, row.id, down=down))


def through_a_cursor(place: Place) -> Place:
    """As a client sends it back."""
    return cursors.decode(cursors.encode(ORDER, place), ORDER, "after")


async def walk(
    sources: Mapping[str, Rows], *, limit: int, down: bool, from_end: bool, failures: Sequence[set[int]]
) -> list[list[Row]]:
    """Page after page as a client follows cursors; ``failures``: which sources fail at each of the first pages."""
    found: list[list[Row]] = []
    place: Place | None = None
    turns = 0
    while True:
        failing = {f"s{number}" for number in failures[turns]} if turns < len(failures) else set()
        for name, source in sources.items():
            source.failing = [UpstreamFailed("down")] if name in failing else []
        selection = Selection("VALUE", descending=down)
        ends: dict[str, Any] = {"before" if from_end else "after": place}
        page = await merged_page(SCOPE, sources, Asked(selection, limit, from_end, **ends), partial=True)
        assert {each.platform_key for each in page.unavailable} == failing & set(sources)
        assert len(page.rows) <= limit
        found.append(list(page.rows))
        if page.places:
            place = through_a_cursor(page.places[0 if from_end else -1])
        turns += 1
        more = page.has_previous if from_end else page.has_next
        assert more or not page.unavailable  # who fails may have more
        if not more and turns >= len(failures):
            return found
        assert turns < 200


@given(values=SOURCES, limit=st.integers(1, 5), down=st.booleans(), from_end=st.booleans())
def test_pages_of_healthy_sources_are_the_sorted_list(
    values: list[list[int | None]], *, limit: int, down: bool, from_end: bool
) -> None:
    sources = made(values)
    found = asyncio.run(walk(sources, limit=limit, down=down, from_end=from_end, failures=[]))
    pages = reversed(found) if from_end else found
    assert [row for page in pages for row in page] == expected(sources, down=down)
    assert all(len(page) == limit for page in found[:-1])


@given(values=SOURCES, limit=st.integers(1, 5), down=st.booleans(), from_end=st.booleans(), failures=FAILURES)
def test_every_row_comes_exactly_once_whichever_sources_fail_on_the_way(
    values: list[list[int | None]], *, limit: int, down: bool, from_end: bool, failures: list[set[int]]
) -> None:
    sources = made(values)
    found = asyncio.run(walk(sources, limit=limit, down=down, from_end=from_end, failures=failures))
    rows = [row for page in found for row in page]
    assert sorted(rows) == sorted(expected(sources, down=down), key=lambda row: row)
    for source in sources.values():
        own = [row for page in (reversed(found) if from_end else found) for row in page if row in source.rows]
        assert own == expected({"": source}, down=down)
    for page in found:
        assert page == sorted(page, key=lambda row: sort_key(row.value, row.id, down=down))


@given(
    values=SOURCES,
    limit=st.integers(0, 5),
    down=st.booleans(),
    from_end=st.booleans(),
    failures=st.sets(st.integers(0, 3)),
)
def test_pages_of_many_parents_are_the_pages_of_each(
    values: list[list[int | None]], *, limit: int, down: bool, from_end: bool, failures: set[int]
) -> None:
    asked = Asked(Selection("VALUE", descending=down), limit, from_end)

    def failing(sources: dict[str, Rows]) -> dict[str, Rows]:
        for number in failures & set(range(len(sources))):
            sources[f"s{number}"].failing = [UpstreamFailed("down")]
        return sources

    async def both() -> None:
        keys = ["p0", "p1", "nobody"]
        together = failing(made(values))
        found = await merged_pages(SCOPE, together, "parent", keys, asked, partial=True)
        assert all(source.calls == 1 for source in together.values())
        for key, page in zip(keys, found, strict=True):
            alone = failing(made(values))
            for source in alone.values():
                source.rows = [row for row in source.rows if row.parent == key]
            assert page == await merged_page(SCOPE, alone, asked, partial=True)

    asyncio.run(both())


@given(values=SOURCES, failures=st.sets(st.integers(0, 3)))
def test_a_count_is_whole_or_not_given(values: list[list[int | None]], failures: set[int]) -> None:
    async def counted() -> None:
        sources = made(values)
        selection = Selection("VALUE")
        everything = sum(len(source.rows) for source in sources.values())
        assert await merged_count(SCOPE, sources, selection, partial=False) == everything
        halves = await merged_counts(SCOPE, sources, "parent", ["p0", "p1"], selection, partial=True)
        assert sum(half or 0 for half in halves) == everything
        for number in failures & set(range(len(sources))):
            sources[f"s{number}"].failing = [UpstreamFailed("down"), UpstreamFailed("down")]
        missing = any(source.failing for source in sources.values())
        whole = await merged_count(SCOPE, sources, selection, partial=True)
        assert whole == (None if missing else everything)

    asyncio.run(counted())


def page_of(sources: Mapping[str, Rows], *, partial: bool = True) -> MergedPage:
    """The first page."""
    return asyncio.run(merged_page(SCOPE, sources, Asked(Selection("VALUE"), 3), partial=partial))


def test_a_platform_that_fails_is_named_with_what_may_be_said(caplog: pytest.LogCaptureFixture) -> None:
    sources = made([[1], [2], [3]])
    sources["s1"].failing = [UpstreamFailed("Square does not answer.", retry_after=30)]
    sources["s2"].failing = [RuntimeError("password=hunter2")]
    page = page_of(sources)
    assert [row.id for row in page.rows] == ["r000"]
    upstream, ours = page.unavailable
    assert upstream == ("s1", "Square does not answer.", 30)
    assert "hunter2" not in ours.reason
    assert "hunter2" in caplog.text
    assert ours.reason.rpartition(" ")[2] in caplog.text


@pytest.mark.parametrize("error", [BadRequest("no such thing"), ForeignPosition()])
def test_a_mistake_of_the_caller_is_no_outage(error: Exception) -> None:
    sources = made([[1], [2]])
    sources["s1"].failing = [error]
    with pytest.raises(type(error)):
        page_of(sources)


@pytest.mark.parametrize("count", [1, 2])
def test_where_no_platform_may_be_missing_a_failure_is_the_fields(count: int) -> None:
    sources = made([[1]] * count)
    sources["s0"].failing = [UpstreamFailed("down")]
    with pytest.raises(UpstreamFailed):
        page_of(sources, partial=False)
