"""Every page of every list is the slice that Relay's algorithm takes of the whole list, and no cursor breaks it."""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.schema.harvest import Harvest
from tests.schema.in_process import InProcess
from tests.schema.lists import Arguments, Listed, Pages
from tests.schema.ways import Step, Ways

pytestmark = pytest.mark.anyio

DEFAULT = 25
PARTS = 7
"""A random page is asked of every seventh list: there are many lists, and most differ little."""

PLACE = st.none() | st.floats(0, 1)
SIZE = st.none() | st.integers(0, 9) | st.just(40)


@pytest.fixture(scope="module")
async def pages(inside: InProcess, of_grace: Harvest, ways: Ways) -> Pages:
    """Grace's lists."""
    return Pages(inside, of_grace, ways)


async def test_the_lists_have_rows_to_page_through(pages: Pages) -> None:
    """Every connection of the schema is among them, and those at the root have several pages."""
    steps = {chosen.step for chosen in pages.lists}
    assert steps >= {Step("Query", "orders"), Step("Business", "customers"), Step("Seller", "prompts")}
    for chosen in pages.lists:
        if chosen.step.on == "Query" and not chosen.arguments:
            assert len(await pages.whole(chosen)) > 10, str(chosen)


async def test_lists_are_in_the_order_that_they_are_asked_for_in(pages: Pages) -> None:
    """By the value, then by the id, nulls last in both directions."""
    compared = set()
    for chosen in pages.lists:
        if chosen.ordering in KEYS:
            rows, key = KEYS[chosen.ordering]
            found = await pages.ask(chosen, {"first": 1000}, rows=f"id {rows}")
            keys = [(key(edge["node"]), edge["node"]["id"]) for edge in found["edges"]]
            present = [each for each in keys if each[0] is not None]
            absent = [each for each in keys if each[0] is None]
            down = chosen.arguments["orderBy"]["direction"] == "DESC"
            assert keys == sorted(present, reverse=down) + sorted(absent, reverse=down), str(chosen)
            compared.add(chosen.ordering)
    assert compared == set(KEYS)


def _moment(name: str) -> tuple[str, Callable[[Any], Any]]:
    return name, lambda node: None if node[name] is None else datetime.fromisoformat(node[name])


def _amount(name: str) -> tuple[str, Callable[[Any], Any]]:
    return f"{name} {{ amount }}", lambda node: Decimal(node[name]["amount"])


KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "NAME": ("name", lambda node: node["name"].casefold()),
    "CREATED_AT": _moment("createdAt"),
    "STARTS_AT": _moment("startsAt"),
    "PLACED_AT": _moment("placedAt"),
    "UPDATED_AT": _moment("updatedAt"),
    "PUBLISHED_AT": _moment("publishedAt"),
    "TOTAL": _amount("total"),
    "PRICE": _amount("price"),
    "RATING": ("rating", lambda node: node["rating"]),
}
"""Orders by what a client can read, with the fields to read and the value to compare."""


SEALED = Step("Query", "events")


def relay(rows: list[tuple[str, str]], paging: Arguments) -> dict[str, Any]:
    """Relay's algorithm on the whole list: https://relay.dev/graphql/connections.htm#sec-Pagination-algorithm."""
    cursors = [cursor for _, cursor in rows]
    after, before, last = paging.get("after"), paging.get("before"), paging.get("last")
    begin = 0 if after is None else cursors.index(after) + 1
    end = len(rows) if before is None else cursors.index(before)
    within = rows[begin : max(begin, end)]
    if last is None:
        first = paging.get("first")
        kept = within[: DEFAULT if first is None else first]
        more = {"hasNextPage": len(within) > len(kept), "hasPreviousPage": after is not None}
    else:
        kept = within[len(within) - min(last, len(within)) :]
        more = {"hasNextPage": before is not None, "hasPreviousPage": len(within) > len(kept)}
    return {"edges": kept, **more}


def cut(found: Any) -> dict[str, Any]:
    """A page in the form of ``relay``, after a look at what must hold for every page."""
    edges = [(edge["node"]["id"], edge["cursor"]) for edge in found["edges"]]
    assert [node["id"] for node in found["nodes"]] == [identity for identity, _ in edges]
    info = found["pageInfo"]
    if edges:
        assert (info["startCursor"], info["endCursor"]) == (edges[0][1], edges[-1][1])
    return {"edges": edges, "hasNextPage": info["hasNextPage"], "hasPreviousPage": info["hasPreviousPage"]}


@given(part=st.integers(0, PARTS - 1), size=SIZE, backwards=st.booleans(), after=PLACE, before=PLACE)
@example(part=None, size=None, backwards=False, after=None, before=None)
@example(part=0, size=2, backwards=True, after=0.2, before=0.9)
@example(part=1, size=0, backwards=True, after=0.2, before=0.9)
@example(part=2, size=3, backwards=False, after=0.9, before=0.1)
@settings(max_examples=10)
async def test_a_page_is_the_slice_of_the_whole_list(
    pages: Pages, *, part: int | None, size: int | None, backwards: bool, after: float | None, before: float | None
) -> None:
    """Whatever is asked for, of every list, in every order, under every filter; a part of them at a time."""
    for chosen in pages.lists if part is None else pages.lists[part::PARTS]:
        rows = await pages.whole(chosen)
        paging: dict[str, Any] = {}
        if size is not None:
            paging["last" if backwards else "first"] = size
        for name, place in (("after", after), ("before", before)):
            if place is not None and rows:
                paging[name] = rows[round(place * (len(rows) - 1))][1]
        found = await pages.ask(chosen, paging)
        assert "errors" not in found, (str(chosen), paging, found)
        assert cut(found) == relay(rows, paging), (str(chosen), paging)
        assert found["totalCount"] == len(rows), str(chosen)


async def test_forwards_and_backwards_give_the_same_rows(pages: Pages) -> None:
    """Page after page by the cursors of ``pageInfo``, in both directions, every row once."""
    for chosen in pages.lists:
        rows = await pages.whole(chosen)
        size = max(3, len(rows) // 5)
        forwards = await _walk(pages, chosen, size, ("first", "after", "endCursor", "hasNextPage"))
        backwards = await _walk(pages, chosen, size, ("last", "before", "startCursor", "hasPreviousPage"))
        assert [row for page in forwards for row in page] == rows, str(chosen)
        assert [row for page in reversed(backwards) for row in page] == rows, str(chosen)


async def _walk(
    pages: Pages, chosen: Listed, size: int, words: tuple[str, str, str, str]
) -> list[list[tuple[str, str]]]:
    limit, place, cursor, more = words
    found: list[list[tuple[str, str]]] = []
    paging: dict[str, Any] = {limit: size}
    while True:
        page = await pages.ask(chosen, paging)
        found.append(cut(page)["edges"])
        if not page["pageInfo"][more]:
            return found
        paging = {limit: size, place: page["pageInfo"][cursor]}
        assert len(found) < 50, str(chosen)


async def test_a_page_without_rows_keeps_its_place(pages: Pages) -> None:
    """A client that polls for new rows goes on from where it was."""
    for chosen in pages.lists:
        rows = await pages.whole(chosen)
        if rows:
            found = await pages.ask(chosen, {"first": 5, "after": rows[-1][1]})
            assert found["edges"] == []
            assert found["pageInfo"]["endCursor"] == rows[-1][1], str(chosen)


@pytest.mark.parametrize(
    ("paging", "word"),
    [
        ({"first": 1, "last": 1}, "not both"),
        ({"first": -1}, "from 0 to 1000"),
        ({"last": 1001}, "from 0 to 1000"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(pages: Pages, paging: Arguments, word: str) -> None:
    """Of every list alike."""
    for chosen in pages.lists:
        errors = (await pages.ask(chosen, paging))["errors"]
        assert {error["extensions"]["code"] for error in errors} == {"BAD_REQUEST"}, str(chosen)
        assert all(word in error["message"] for error in errors), errors


def encoded(value: object) -> str:
    """A cursor of anything."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([2**63, 2**64 - 1, -(2**63) - 1, 10**30, 1e308, "\x00", "9" * 400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.just("t"), inner, max_size=3),
    max_leaves=6,
)
VALUE = JSON | st.fixed_dictionaries({"t": JSON})
IDS = st.text(max_size=31) | JSON


async def _codes(pages: Pages, chosen: Listed, paging: Arguments) -> set[str]:
    found = await pages.ask(chosen, paging)
    return {error["extensions"]["code"] for error in found.get("errors", ())}


@given(cursor=st.text() | JSON.map(encoded) | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example(cursor="")
@example(cursor="e" + "A" * 22)
@example(cursor="x" * 5000)
@example(cursor="“")
@settings(max_examples=20)
async def test_what_is_no_cursor_is_refused(pages: Pages, cursor: str) -> None:
    """Random text, and base64 of random bytes and of random JSON."""
    for chosen in pages.lists:
        if chosen.step.on == "Query" and not chosen.arguments:
            assert await _codes(pages, chosen, {"first": 2, "after": cursor}) == {"BAD_REQUEST"}, str(chosen)


@given(
    part=st.integers(0, PARTS - 1),
    value=VALUE,
    identity=IDS,
    backwards=st.booleans(),
    apart=st.none()
    | st.dictionaries(
        st.sampled_from(["messaging", "billing", "nowhere"]), st.none() | st.tuples(VALUE, IDS), max_size=2
    ),
)
@example(part=None, value="text", identity="x", backwards=False, apart=None)
@example(part=None, value=7, identity="x", backwards=True, apart=None)
@example(part=1, value=2**63, identity="x", backwards=False, apart=None)
@example(part=2, value=2**31, identity="x", backwards=False, apart=None)
@example(part=3, value={"t": 1}, identity="x", backwards=False, apart={"messaging": ("text", "y")})
@example(part=0, value={"t": 1}, identity="a\x00b", backwards=False, apart=None)
@example(part=0, value={"t": -62135596800000000}, identity="", backwards=False, apart=None)
@example(part=None, value=None, identity="x", backwards=True, apart=None)
@settings(max_examples=20)
async def test_a_cursor_that_somebody_made_up_is_no_fault_of_ours(
    pages: Pages, *, part: int | None, value: Any, identity: Any, backwards: bool, apart: Any
) -> None:
    """The right order with a value of any kind: a page or BAD_REQUEST, never INTERNAL, and no platform to blame."""
    ordered = [each for each in pages.lists if each.step.on == "Query" and (each.ordering or not each.arguments)]
    ordered = [each for each in ordered if each.step != SEALED]  # whose cursors cannot be made up
    for chosen in ordered if part is None else ordered[part::PARTS]:
        (_, genuine), *_ = await pages.whole(chosen) or [("", "")]
        if genuine:
            order = _order(genuine)
            cursor = encoded([order, [value, identity], *([] if apart is None else [apart])])
            paging = {"last": 2, "before": cursor} if backwards else {"first": 2, "after": cursor}
            found = await pages.ask(chosen, paging)
            codes = {error["extensions"]["code"] for error in found.get("errors", ())}
            assert codes <= {"BAD_REQUEST"}, (str(chosen), paging)
            assert not found.get("unavailable"), (str(chosen), paging)


async def test_a_cursor_of_another_order_is_refused(pages: Pages) -> None:
    """By the name of the order and its direction; the message says what to keep."""
    for chosen in pages.lists:
        for other in pages.lists:
            if chosen.step == other.step and chosen.arguments.get("orderBy") != other.arguments.get("orderBy"):
                rows = await pages.whole(other)
                if rows and _order(rows[0][1]) != _order((await pages.whole(chosen) or [("", rows[0][1])])[0][1]):
                    found = await pages.ask(chosen, {"first": 1, "after": rows[0][1]})
                    assert "another order" in found["errors"][0]["message"], (str(chosen), str(other))
                    assert found["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def _order(cursor: str) -> str:
    return str(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0])
