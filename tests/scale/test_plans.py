"""Pages of large tables are found through indexes, the tenth as the first, in as many statements."""

from typing import Any

import pytest

from tests.scale.plans import Judge, recorded
from tests.serving import ADA, Running

ORDERS = """query ($first: Int, $after: String, $last: Int, $before: String) {
  orders(first: $first, after: $after, last: $last, before: $before) {
    nodes { id number status total { amount currency } placedAt customer { name } business { name } }
    pageInfo { endCursor startCursor hasNextPage }
  }
}"""
THREE_LEVELS = """query ($first: Int!, $range: TimeRange!) {
  businesses(first: $first) {
    nodes {
      name
      campaigns(first: 20) { nodes { name performance(range: $range) { totals { spend { amount } } } } }
      orders(first: 20) { nodes { number customer { name } history { to } } pageInfo { endCursor } }
      customers(first: 20) { nodes { name } }
      locations { name }
    }
  }
}"""


# Some of the days for which there is made-up data, at every scale.
RANGE = {"from": "2026-09-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}


def page(gateway: Running, **variables: object) -> dict[str, Any]:
    """A page of orders."""
    found: dict[str, Any] = gateway.data(ORDERS, variables, as_=ADA)["orders"]
    return found


def test_the_first_page_of_orders_is_found_through_indexes(large: Running, judge: Judge) -> None:
    large.token(ADA)
    with recorded(large) as statements:
        assert len(page(large, first=50)["nodes"]) == 50
    assert judge.complaints(statements) == []


def test_the_tenth_page_of_orders_is_found_as_the_first_is(large: Running, judge: Judge) -> None:
    cursor, ids = None, set[str]()
    for _ in range(9):
        found = page(large, first=50, after=cursor)
        cursor = found["pageInfo"]["endCursor"]
        ids.update(node["id"] for node in found["nodes"])
    with recorded(large) as statements:
        tenth = page(large, first=50, after=cursor)
    assert len(ids | {node["id"] for node in tenth["nodes"]}) == 500
    assert judge.complaints(statements) == []


def test_the_last_page_and_the_one_before_it_are_found_through_indexes(large: Running, judge: Judge) -> None:
    with recorded(large) as statements:
        last = page(large, last=50)
        page(large, last=50, before=last["pageInfo"]["startCursor"])
    assert judge.complaints(statements) == []


def test_three_levels_are_found_through_indexes(large: Running, judge: Judge) -> None:
    large.token(ADA)
    with recorded(large) as statements:
        found = large.data(THREE_LEVELS, {"first": 50, "range": RANGE}, as_=ADA)["businesses"]["nodes"]
    assert sum(len(business["orders"]["nodes"]) for business in found) >= 100
    assert judge.complaints(statements) == []


BESIDE = ("FROM events", "outgoing_mails", "FROM memberships", "FROM audit_heads")
"""What a gateway reads by itself now and then, whatever is asked."""


@pytest.mark.parametrize("query", [ORDERS, THREE_LEVELS], ids=["orders", "three levels"])
def test_the_number_of_statements_does_not_grow_with_the_page(large: Running, query: str) -> None:
    large.token(ADA)
    counts = []
    for first in (25, 50, 100):
        with recorded(large) as statements:
            variables: dict[str, object] = {"first": first}
            large.data(query, variables | ({"range": RANGE} if "$range" in query else {}), as_=ADA)
        counts.append(len([sql for sql, _ in statements if not any(table in sql for table in BESIDE)]))
    assert len(set(counts)) == 1, counts
