"""The query ``events`` as clients use it: catching up page by page, with what they may see and nothing else."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from datasources.database.engine import Database
from datasources.database.event_retention import remove_oldest
from datasources.database.events import NewEvent, append_event
from tests.serving import ADA, GRACE, Running

QUERY = """query ($filter: EventFilter, $first: Int, $after: String, $last: Int, $before: String) {
  events(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { __typename id cursor } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
WHOSE = "{ organization { id } businesses(first: 2) { nodes { id } } orders(first: 1) { nodes { id } } }"
MAKE_KEY = """mutation ($scopes: [String!]!) {
  createApiKey(input: {name: "a reader", scopes: $scopes}) { secret userErrors { message } }
}"""


class Organization:
    """Somebody's organization and what is in it."""

    def __init__(self, gateway: Running, email: str) -> None:
        self.gateway, self.email = gateway, email
        data = gateway.data(WHOSE, as_=email)
        self.id: str = data["organization"]["id"]
        self.businesses = [each["id"] for each in data["businesses"]["nodes"]]
        self.order = data["orders"]["nodes"][0]["id"]

    def page(self, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.gateway.data(QUERY, arguments, as_=self.email)["events"]
        return found

    def refused(self, **arguments: Any) -> dict[str, Any]:
        answer = self.gateway.query(QUERY, arguments, as_=self.email)
        assert answer["data"]["events"] is None
        (error,) = answer["errors"]
        found: dict[str, Any] = error
        return found

    def write(self, count: int, **other: Any) -> list[str]:
        """That many changes of an order, and the ids of the events."""

        async def run() -> list[str]:
            database = Database(self.gateway.database_url)
            change = NewEvent("messaging", "OrderChanged", self.order, None, {"from": None, "to": "PAID"})
            ids = []
            for _ in range(count):
                async with database.scoped(self.id).transaction() as transaction:
                    ids.append(await append_event(transaction, change._replace(**other)))
            await database.close()
            return ids

        return asyncio.run(run())


@pytest.fixture(scope="module")
def ada(gateway: Running) -> Organization:
    """Ada's."""
    return Organization(gateway, ADA)


@pytest.fixture(scope="module")
def grace(gateway: Running) -> Organization:
    """Grace's."""
    return Organization(gateway, GRACE)


def ids(page: Mapping[str, Any]) -> list[str]:
    return [node["id"] for node in page["nodes"]]


def walk(who: Organization, after: str | None, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Page after page until there is no more."""
    while True:
        page = who.page(after=after, **arguments)
        yield page
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return


def test_who_was_away_catches_up_page_by_page_and_sees_only_their_own(ada: Organization, grace: Organization) -> None:
    last_seen = ada.page(last=1)["pageInfo"]["endCursor"]
    expected = []
    for _ in range(4):
        expected += ada.write(5)
        grace.write(2)
    pages = list(walk(ada, last_seen, first=7))
    assert [len(page["nodes"]) for page in pages] == [7, 7, 6]
    assert [identity for page in pages for identity in ids(page)] == expected
    for page in pages:
        assert all(edge["cursor"] == edge["node"]["cursor"] for edge in page["edges"])
    assert ids(ada.page(last=3)) == expected[-3:]
    assert pages[0]["pageInfo"]["hasPreviousPage"]
    foreign = grace.refused(after=last_seen)
    assert foreign["extensions"]["code"] == "BAD_REQUEST"
    assert foreign["message"].startswith("`after` is not the cursor of an event of yours.")


def test_an_empty_page_has_a_place_from_which_nothing_is_missed(ada: Organization) -> None:
    only = {"businessId": "biz_without_events", "types": ["OrderChanged"]}
    empty = ada.page(filter=only)
    assert (empty["edges"], empty["pageInfo"]["hasNextPage"]) == ([], False)
    written = ada.write(2, business_id="biz_without_events")
    assert ids(ada.page(filter=only, after=empty["pageInfo"]["endCursor"])) == written


def test_a_filter_is_of_types_platforms_and_a_business(ada: Organization) -> None:
    start = ada.page(last=1)["pageInfo"]["endCursor"]
    here = ada.write(1, business_id=ada.businesses[1])
    billed = ada.write(1, platform="billing")
    ada.write(1, platform="switched-off")
    ada.write(1, type="OfAnotherTime")
    assert ids(ada.page(after=start)) == here + billed, "what is off or unknown by now is left out"
    assert ids(ada.page(after=start, filter={"platforms": ["billing"]})) == billed
    assert ids(ada.page(after=start, filter={"businessId": ada.businesses[1]})) == here
    assert ids(ada.page(after=start, filter={"types": ["SecurityEvent"]})) == []
    assert ids(ada.page(after=start, filter={"types": []})) == []
    for chosen, words in (
        ({"types": ["OrderChanged", "AccessChanged"]}, "No event is called 'AccessChanged'. There are: "),
        ({"platforms": ["switched-off"]}, "No platform is called 'switched-off'. There are: "),
    ):
        error = ada.refused(filter=chosen)
        assert error["extensions"]["code"] == "BAD_REQUEST"
        assert error["message"].startswith(words)
        assert ("OrderChanged" if "types" in chosen else "billing") in error["message"].removeprefix(words)


def test_only_types_that_the_caller_may_read_come_and_a_name_that_they_may_not_is_refused(ada: Organization) -> None:
    made = ada.gateway.data(MAKE_KEY, {"scopes": ["events:read", "orders:read"]}, as_=ADA)["createApiKey"]
    assert made["userErrors"] == []
    written = ada.write(1)

    def ask(**arguments: Any) -> dict[str, Any]:
        body = {"query": QUERY, "variables": arguments}
        answer = httpx.post(ada.gateway.graphql, json=body, headers={"x-api-key": made["secret"]})
        found: dict[str, Any] = answer.json()
        return found

    answer = ask(last=250)
    assert "errors" not in answer, answer
    nodes = [edge["node"] for edge in answer["data"]["events"]["edges"]]
    assert {node["__typename"] for node in nodes} == {"OrderChanged"}
    assert nodes[-1]["id"] == written[0]
    assert "SecurityEvent" in {edge["node"]["__typename"] for edge in ada.page(last=250)["edges"]}
    (refusal,) = ask(filter={"types": ["SecurityEvent"], "platforms": ["billing"]})["errors"]
    assert refusal["extensions"]["code"] == "FORBIDDEN"
    assert refusal["extensions"]["requiredScopes"] == [["audit:read"]]
    (nobody,) = ada.gateway.query(QUERY)["errors"]
    assert nobody["extensions"]["code"] == "UNAUTHENTICATED"


def test_the_whole_is_counted_only_when_that_is_asked_for(gateway: Running, ada: Organization) -> None:
    ada.write(30)
    with gateway.statements() as seen:
        gateway.data("{ events(first: 2) { nodes { id } } }", as_=ADA)
        gateway.data("{ events(first: 20) { edges { node { at } } pageInfo { hasNextPage } } }", as_=ADA)
        total = gateway.data("{ events { totalCount } }", as_=ADA)["events"]["totalCount"]
    assert ["count(" in sql for sql in seen if "FROM events " in sql + " "] == [False, False, True]
    assert total == sum(len(ids(page)) for page in walk(ada, None, first=250))


def test_a_cursor_that_is_too_old_says_so_and_names_the_oldest_that_works(
    gateway: Running, ada: Organization, grace: Organization
) -> None:
    ada.write(3)
    old, horizon, *rest = ada.page(last=20)["edges"]
    before = grace.page(last=250)
    cursors = gateway.app.state.gateway.services.events.cursors
    place = cursors.decode(ada.id, horizon["cursor"])

    async def remove() -> None:
        database = Database(gateway.database_url)
        await remove_oldest(database.scoped(ada.id), place._replace(position=place.position + 1))
        await database.close()

    asyncio.run(remove())
    for bounds in ({"after": old["cursor"]}, {"last": 5, "before": old["cursor"]}):
        error = ada.refused(**bounds)
        assert error["extensions"] == {
            "code": "BAD_REQUEST",
            "retryable": False,
            "oldestCursor": horizon["cursor"],
        }
    oldest = ada.page(after=horizon["cursor"])
    assert ids(oldest) == [edge["node"]["id"] for edge in rest]
    assert not oldest["pageInfo"]["hasPreviousPage"], "there is nothing before it any more"
    assert ids(ada.page()) == ids(oldest)
    assert grace.page(last=250) == before, "the other organization's log is as it was"
