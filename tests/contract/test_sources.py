"""Every source of every platform answers its five questions consistently, whatever is asked and from whichever side."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from datasources.database.engine import Scope
from datasources.database.scope import NoOrganization
from datasources.paging import Page, Position, Selection, Source, Window
from schema.platform import BUSINESSES, ORDERS, Platform
from tests.contract.world import OPEN, PARENTS, Listed, World, everything, selections, whole

pytestmark = pytest.mark.anyio
UNKNOWN = "zzz_00000000000000000000000000"


def sources(platform: Platform) -> Iterator[tuple[str, Source[Any]]]:
    """The sources of a platform by area. A platform may have none: then there is nothing to be consistent."""
    yield from platform.sources.items()


def in_order(selection: Selection, first: Position, second: Position) -> int:
    """How two places stand in a list: nulls last either way, the id in the direction of the list."""
    if (first.value is None) != (second.value is None):
        return 1 if first.value is None else -1
    one, other = (_comparable(position) for position in (first, second))
    risen = (one > other) - (one < other)
    return -risen if selection.descending else risen


def _comparable(position: Position) -> tuple[Any, ...]:
    return (position.id,) if position.value is None else (position.value, position.id)


def outline(page: Page[Any]) -> tuple[list[str], bool, bool]:
    """What a page shows, and what it says is around it."""
    return [row.id for row in page.rows], page.has_next, page.has_previous


async def test_a_list_is_the_same_from_either_end_in_pages_of_any_size(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        rows = (await whole(source, world.ada, everything(area))).rows
        assert rows, f"the demo data has nothing of {platform.key} in {area}"
        for name, selection in selections(area, rows).items():
            listed = await whole(source, world.ada, selection)
            shown = f"{platform.key} {area}, {name}"
            assert bool(listed.rows) is not name.startswith("none"), shown
            assert len(set(listed.ids)) == len(listed.ids) == await source.count(world.ada, selection), shown
            assert [position.id for position in listed.positions] == listed.ids, shown
            assert all(in_order(selection, *pair) < 0 for pair in pairwise(listed.positions)), shown
            assert (await whole(source, world.ada, selection, from_end=True)).ids == listed.ids, shown
            size = max(7, len(listed.ids) // 9)
            for from_end in (False, True):
                paged = await whole(source, world.ada, selection, size=size, from_end=from_end)
                assert paged == listed, shown


async def test_a_page_lies_between_the_places_that_it_is_given(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        rows = (await whole(source, world.ada, everything(area))).rows
        for name, selection in selections(area, rows).items():
            listed = await whole(source, world.ada, selection)
            count = len(listed.ids)
            if not count:
                assert outline(await source.page(world.ada, selection, Window(5))) == ([], False, False)
                continue
            shown = f"{platform.key} {area}, {name}"
            for low, high in ((0, count - 1), (count // 3, 2 * count // 3), (count // 2, count // 2)):
                between = listed.ids[low + 1 : high]
                after, before = listed.positions[low], listed.positions[high]
                found = await source.page(world.ada, selection, Window(5, after=after, before=before))
                assert outline(found)[0] == between[:5], shown
                assert found.has_next is (len(between) > 5), shown
                found = await source.page(world.ada, selection, Window(5, from_end=True, after=after, before=before))
                assert outline(found)[0] == between[-5:], shown
                assert found.has_previous is (len(between) > 5), shown


async def test_a_page_of_no_rows_still_says_whether_there_are_any(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        selection = everything(area)
        assert outline(await source.page(world.ada, selection, Window(0))) == ([], True, False)
        assert outline(await source.page(world.ada, selection, Window(0, from_end=True))) == ([], False, True)


async def test_rows_are_found_by_id_and_what_is_unknown_is_left_out(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        page = await source.page(world.ada, everything(area), Window(50))
        ids = [row.id for row in page.rows]
        found = await source.by_ids(world.ada, [*ids, UNKNOWN, "", "no id", ids[0].upper()])
        assert dict(found) == {row.id: row for row in page.rows}
        assert dict(await source.by_ids(world.ada, [])) == {}


async def test_each_parent_has_its_part_of_the_list(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        rows = (await whole(source, world.ada, everything(area))).rows
        for by in PARENTS[area]:
            parents = list(dict.fromkeys(getattr(row, by) for row in rows if getattr(row, by) is not None))[:12]
            for name, selection in selections(area, rows).items():
                if not parents:
                    break
                shown = f"{platform.key} {area} by {by}, {name}"
                listed = await whole(source, world.ada, selection)
                keys = [*parents, UNKNOWN]
                parts = {key: [row.id for row in listed.rows if getattr(row, by) == key] for key in keys}
                assert dict(await source.counts(world.ada, by, keys, selection)) == {
                    key: len(part) for key, part in parts.items()
                }, shown
                for from_end in (False, True):
                    found = await source.pages(world.ada, by, keys, selection, Window(3, from_end))
                    for key, part in parts.items():
                        more = len(part) > 3
                        expected = (part[-3:], False, more) if from_end else (part[:3], more, False)
                        assert outline(found[key]) == expected, shown
            await check_bounded(source, world, by, parents, area)
            assert dict(await source.pages(world.ada, by, [], everything(area), Window(3))) == {}
            assert dict(await source.counts(world.ada, by, [], everything(area))) == {}


async def check_bounded(source: Source[Any], world: World, by: str, parents: list[str], area: str) -> None:
    """Pages of parents begin after a place and end before another, like those of the whole list."""
    listed: Listed = await whole(source, world.ada, everything(area))
    low, high = listed.positions[len(listed.ids) // 4], listed.positions[3 * len(listed.ids) // 4]
    between = listed.rows[len(listed.ids) // 4 + 1 : 3 * len(listed.ids) // 4]
    found = await source.pages(world.ada, by, parents, everything(area), Window(4, after=low, before=high))
    for key in parents:
        assert [row.id for row in found[key].rows] == [row.id for row in between if getattr(row, by) == key][:4]


async def test_the_businesses_of_an_organization_are_all_that_it_has(
    registry: dict[str, Platform], world: World
) -> None:
    source = registry["attribution"].sources[BUSINESSES]
    listed = await whole(source, world.ada, everything(BUSINESSES))
    keys = [str(world.ada.organization_id), str(world.grace.organization_id)]
    counts = await source.counts(world.ada, "organization_id", keys, everything(BUSINESSES))
    assert dict(counts) == {keys[0]: len(listed.ids), keys[1]: 0}
    pages = await source.pages(world.ada, "organization_id", keys, everything(BUSINESSES), Window(3))
    assert [outline(pages[key]) for key in keys] == [(listed.ids[:3], len(listed.ids) > 3, False), ([], False, False)]


async def bought(registry: dict[str, Platform], scope: Scope) -> set[str]:
    """The prompts that an organization has bought, which it goes on seeing when they are withdrawn."""
    purchases = await whole(registry["marketplace"].sources[ORDERS], scope, everything(ORDERS))
    return {row.prompt_id for row in purchases.rows}


async def test_no_row_is_seen_from_another_organization(
    platform: Platform, registry: dict[str, Platform], world: World
) -> None:
    for area, source in sources(platform):
        of_ada = await whole(source, world.ada, everything(area))
        of_grace = await whole(source, world.grace, everything(area))
        common = set(of_ada.ids) & set(of_grace.ids)
        if area in OPEN:
            open_to_all = set((await whole(source, world.nobody, everything(area))).ids)
            common -= open_to_all
            common -= await bought(registry, world.grace)
        assert common == set()
        private = [identity for identity in of_ada.ids if identity not in of_grace.ids][:200]
        assert dict(await source.by_ids(world.grace, private)) == {}
        for by in PARENTS[area]:
            parents = [getattr(row, by) for row in of_ada.rows if row.id in private and getattr(row, by) is not None]
            keys = list(dict.fromkeys(parents))[:20]
            pages = await source.pages(world.grace, by, keys, everything(area), Window(250))
            shown = {row.id for page in pages.values() for row in page.rows}
            assert shown & set(private) == set()
            counts = await source.counts(world.grace, by, keys, everything(area))
            assert dict(counts) == {key: len(page.rows) for key, page in pages.items()}


async def test_who_is_not_signed_in_sees_only_what_is_open(platform: Platform, world: World) -> None:
    for area, source in sources(platform):
        if area in OPEN:
            rows = (await whole(source, world.nobody, everything(area))).rows
            assert {row.status for row in rows} == {"PUBLISHED"}
            continue
        ids = [row.id for row in (await source.page(world.ada, everything(area), Window(1))).rows]
        with pytest.raises(NoOrganization):
            await source.by_ids(world.nobody, ids)
        with pytest.raises(NoOrganization):
            await source.page(world.nobody, everything(area), Window(1))
        with pytest.raises(NoOrganization):
            await source.count(world.nobody, everything(area))
        for by in PARENTS[area]:
            with pytest.raises(NoOrganization):
                await source.pages(world.nobody, by, [UNKNOWN], everything(area), Window(1))
            with pytest.raises(NoOrganization):
                await source.counts(world.nobody, by, [UNKNOWN], everything(area))
