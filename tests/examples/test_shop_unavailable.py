"""A platform that fails takes only its own part with it, and what it could not show comes when it is back, once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from datasources.database.engine import Scope
from datasources.paging import Page, Selection, Source, Window
from gateway.platforms import chosen
from schema.errors import UpstreamFailed
from schema.platform import ORDERS as AREA
from tests.examples.package import by_key, seen
from tests.examples.shop import SECRET, Shop, businesses, migrate
from tests.serving import ADA, Running, running

ORDERS = """query ($filter: OrderFilter, $first: Int, $after: String, $last: Int, $before: String) {
  orders(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount
    nodes { id placedAt }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    unavailable { platform { key } reason retryAfter }
  }
}"""
GONE: list[dict[str, object]] = [{"platform": {"key": "shop"}, "reason": "The shop is closed.", "retryAfter": 30}]


@dataclass
class Closing:
    """The source of a shop that can be closed."""

    source: Source[Any]
    error: Exception | None = None

    def open(self) -> Source[Any]:
        """The source; raises what it was told to while it is closed."""
        if self.error is not None:
            raise self.error
        return self.source

    async def by_ids(self, scope: Scope, ids: Sequence[str]) -> Mapping[str, Any]:
        return await self.open().by_ids(scope, ids)

    async def page(self, scope: Scope, selection: Selection, window: Window) -> Page[Any]:
        return await self.open().page(scope, selection, window)

    async def pages(
        self, scope: Scope, by: str, keys: Sequence[str], selection: Selection, window: Window
    ) -> Mapping[str, Page[Any]]:
        return await self.open().pages(scope, by, keys, selection, window)

    async def count(self, scope: Scope, selection: Selection) -> int:
        return await self.open().count(scope, selection)

    async def counts(self, scope: Scope, by: str, keys: Sequence[str], selection: Selection) -> Mapping[str, int]:
        return await self.open().counts(scope, by, keys, selection)


@dataclass(frozen=True)
class Door:
    """A gateway whose shop can be closed, and Ada's business with its orders."""

    gateway: Running
    source: Closing
    business_id: str

    def page(self, **variables: Any) -> dict[str, Any]:
        """A page of the business's orders."""
        given = {"filter": {"businessIds": [self.business_id]}, **variables}
        return dict(self.gateway.data(ORDERS, given, as_=ADA)["orders"])

    def close(self, error: Exception | None = None) -> None:
        """From now on the source fails."""
        self.source.error = error or UpstreamFailed("The shop is closed.", retry_after=30)

    def open(self) -> None:
        """From now on it works again."""
        self.source.error = None


@pytest.fixture(scope="module")
def building(
    installed: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Closing, str]]:
    """The gateway, and forty orders among those of a business: one at the moment of every second of the newest."""
    with seen(installed, SHOP_WEBHOOK_SECRET=SECRET):
        platforms = chosen(())
        shop = by_key(platforms, "shop")
        closing = Closing(shop.sources[AREA])
        platforms[platforms.index(shop)] = replace(shop, sources={AREA: closing})
        migrate(database_url, platforms)
        with running(database_url, tmp_path_factory.mktemp("closing"), platforms=platforms) as gateway:
            business_id = businesses(gateway, ADA)[0]
            store = Shop.of(gateway, ADA, "closing", business_id)
            newest = gateway.data(ORDERS, {"first": 80, "filter": {"businessIds": [business_id]}}, as_=ADA)["orders"][
                "nodes"
            ]
            for number, node in enumerate(newest[::2]):
                store.place(f"{number}", node["placedAt"])
            yield gateway, closing, business_id


@pytest.fixture
def door(building: tuple[Running, Closing, str]) -> Iterator[Door]:
    """The shop, open."""
    found = Door(*building)
    yield found
    found.open()


def ids(page: Mapping[str, Any]) -> list[str]:
    return [node["id"] for node in page["nodes"]]


def test_the_rest_is_whole_and_the_missing_platform_is_named(door: Door) -> None:
    without = [identity for identity in ids(door.page(first=60)) if not identity.startswith("sho_")]
    door.close()
    page = door.page(first=20)
    assert page["unavailable"] == GONE
    assert page["totalCount"] is None
    assert ids(page) == without[:20]
    assert page["pageInfo"]["hasNextPage"]


def test_a_fault_that_nobody_foresaw_is_named_without_a_word_of_what_it_was(door: Door) -> None:
    door.close(RuntimeError("secret: 42"))
    [missing] = door.page(first=1)["unavailable"]
    assert missing["platform"] == {"key": "shop"}
    assert missing["retryAfter"] is None
    assert "secret" not in missing["reason"]


def test_each_business_has_its_page_too(door: Door) -> None:
    door.close()
    query = """{ businesses(first: 3) { nodes { orders(first: 2) {
      totalCount nodes { id } unavailable { platform { key } reason retryAfter } } } } }"""
    for business in door.gateway.data(query, as_=ADA)["businesses"]["nodes"]:
        assert business["orders"]["unavailable"] == GONE
        assert business["orders"]["totalCount"] is None


def test_another_platform_alone_is_not_touched(door: Door) -> None:
    door.close()
    page = door.page(first=5, filter={"businessIds": [door.business_id], "platforms": ["attribution", "messaging"]})
    assert page["unavailable"] == []
    assert isinstance(page["totalCount"], int)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("closed_at", [{0, 1}, {1, 3}], ids=str)
def test_what_was_missed_comes_later_and_exactly_once(door: Door, *, backwards: bool, closed_at: set[int]) -> None:
    def step(number: int, cursor: str | None) -> dict[str, Any]:
        (door.close if number in closed_at else door.open)()
        found = door.page(**({"last": 40, "before": cursor} if backwards else {"first": 40, "after": cursor}))
        assert found["unavailable"] == (GONE if number in closed_at else [])
        return found

    found = list(walk(step, backwards=backwards))
    door.open()
    assert len(found) == len(set(found))
    assert set(found) == set(walk(lambda _, cursor: door.page(first=250, after=cursor), backwards=False))


def walk(step: Callable[[int, str | None], dict[str, Any]], *, backwards: bool) -> Iterator[str]:
    """Every id, page by page, until there is no more."""
    cursor, number = None, 0
    while True:
        page = step(number, cursor)
        yield from ids(page)
        info = page["pageInfo"]
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return
        cursor, number = info["startCursor" if backwards else "endCursor"], number + 1
