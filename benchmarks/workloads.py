"""What is asked of the contenders: the same question as a GraphQL document and as the body of a plain endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.data import business_id


@dataclass(frozen=True)
class Workload:
    """One question.

    ``variables``: what requests send, one after the other; to the gateway beside ``query``, to the floor's ``path`` as
    they are. ``aim``: what we wish the ratio to be at most. ``requests``: how many a round has.
    """

    key: str
    title: str
    query: str
    path: str
    variables: Sequence[Mapping[str, Any]]
    aim: float
    requests: int
    needs_shop: bool = False
    """Whether it asks the outside platform in ``examples/shop``."""


def queries(businesses: int) -> list[Workload]:
    """Q1 to Q5 over a database with so many businesses."""
    return [
        Workload(
            "q1",
            "tiny",
            "query Tiny($id: ID!) { business(id: $id) { id name industry createdAt } }",
            "/business",
            [{"id": business_id(number)} for number in range(min(businesses, 64))],
            aim=1.5,
            requests=1_000,
        ),
        Workload(
            "q2",
            "nested",
            """query Nested($first: Int!, $campaigns: Int!) {
              businesses(first: $first) {
                nodes { id name industry campaigns(first: $campaigns) { nodes { id name status externalId } } }
              }
            }""",
            "/businesses-with-campaigns",
            [{"first": 50, "campaigns": 20}],
            aim=1.5,
            requests=100,
        ),
        Workload(
            "q3",
            "deep",
            """query Deep($first: Int!, $orders: Int!) {
              businesses(first: $first) {
                nodes {
                  id name
                  orders(first: $orders) {
                    nodes {
                      id number status total { amount currency } placedAt
                      customer { id name business { id name } }
                    }
                  }
                }
              }
            }""",
            "/businesses-with-orders",
            [{"first": 20, "orders": 20}],
            aim=1.8,
            requests=100,
        ),
        Workload(
            "q4",
            "wide",
            """query Wide($first: Int!) {
              orders(first: $first) {
                nodes { __typename id number status placedAt updatedAt total { amount currency } }
              }
            }""",
            "/orders",
            [{"first": 1_000}],
            aim=1.3,
            requests=100,
        ),
        Workload(
            "q5",
            "REST",
            """query Rest($first: Int!) {
              shopPosts(first: $first) { id userId title user { id name email } }
            }""",
            "/posts",
            [{"first": 100}],
            aim=1.3,
            requests=200,
            needs_shop=True,
        ),
    ]
