"""Every list that the schema pages, in every order and under several filters, and its rows as one page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import GraphQLEnumType, get_named_type

from tests.schema.harvest import Harvest
from tests.schema.in_process import LONGEST_PAGE, InProcess
from tests.schema.operations import Operation
from tests.schema.samples import DAYS
from tests.schema.ways import NODES, Step, Ways

Arguments = Mapping[str, Any]

FILTERS: Mapping[str, Sequence[Arguments]] = {
    "AuditFilter": [{"minRisk": "LOW"}, {"actions": ["session.opened"]}],
    "BusinessFilter": [{"search": "o"}],
    "CampaignFilter": [{"status": ["ACTIVE", "ENDED"], "search": "a"}],
    "EventFilter": [{"types": ["SecurityEvent"]}, {"platforms": ["tributary"]}],
    "OrderFilter": [
        {"status": ["PAID", "COMPLETED", "CONFIRMED"]},
        {"platforms": ["messaging", "billing"]},
        {"placed": {"from": "2026-06-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}, "currency": "USD"},
    ],
    "WebhookDeliveryFilter": [{"status": ["FAILED"]}, {"types": ["OrderChanged"]}],
    "PromptFilter": [{"minRating": 3.5}, {"mine": True}],
}
"""Filters to try beside none, by their type."""

NEEDED: Mapping[str, Arguments] = {
    "CampaignOrderField.SPEND": {"filter": {"currency": "USD"}, "range": DAYS},
    "OrderOrderField.TOTAL": {"filter": {"currency": "USD"}},
    "PromptOrderField.PRICE": {"filter": {"currency": "USD"}},
    "PromptOrderField.RELEVANCE": {"search": "e"},
}
"""What an order cannot do without."""


@dataclass(frozen=True)
class Listed:
    """A list: its field, and the arguments that choose and order its rows."""

    step: Step
    arguments: Arguments

    def __str__(self) -> str:
        return f"{self.step.on}.{self.step.field} {dict(self.arguments)}"

    @property
    def ordering(self) -> str | None:
        """What it is ordered by; ``None``: as the schema likes."""
        order = self.arguments.get("orderBy")
        return None if order is None else str(order["field"])


def listed(ways: Ways) -> Iterator[Listed]:
    """Every connection field of the schema with every order in both directions, and with each filter."""
    for on in ("Query", *ways.targets(NODES)):
        for step in ways.composites(on):
            (target, *_) = ways.targets(step)
            if ways.is_connection(target):
                yield Listed(step, {})
                arguments = ways.field(step).args
                if "filter" in arguments:
                    for each in FILTERS[get_named_type(arguments["filter"].type).name]:
                        yield Listed(step, {"filter": each})
                if "search" in arguments:
                    yield Listed(step, {"search": "e"})
                if "orderBy" in arguments:
                    order = get_named_type(arguments["orderBy"].type).name
                    yield from _ordered(ways, step, f"{order}Field")


def _ordered(ways: Ways, step: Step, fields: str) -> Iterator[Listed]:
    kind = ways.schema.type_map[fields]
    assert isinstance(kind, GraphQLEnumType)
    for name in kind.values:
        needed = dict(NEEDED.get(f"{fields}.{name}", {}))
        within = {"range": needed.pop("range")} if "range" in needed else {}
        if set(needed) <= set(ways.field(step).args):
            for direction in ("ASC", "DESC"):
                yield Listed(step, {**needed, "orderBy": {"field": name, "direction": direction, **within}})


@dataclass
class Pages:
    """Asks for pages as Grace, whose lists fit into one page each."""

    inside: InProcess
    grace: Harvest
    ways: Ways
    _whole: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def lists(self) -> list[Listed]:
        """Every list."""
        return list(listed(self.ways))

    async def ask(self, chosen: Listed, paging: Arguments, *, rows: str = "id") -> dict[str, Any]:
        """A page, or the errors alone; below a type with ids, the page of one of its rows, with others beside it."""
        every = dict.fromkeys(("first", "after", "last", "before"))  # one document for all pages of a list
        given = {chosen.step: {**chosen.arguments, **every, **paging}, NODES: {"ids": self._parents(chosen)}}
        operation = Operation(self.ways, self.grace.samples, given=given)
        page = "totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
        (target, *_) = self.ways.targets(chosen.step)
        if "unavailable" in self.ways.object(target).fields:
            page += " unavailable { reason }"
        body = f"{{ {operation.called(chosen.step)} {{ {page} edges {{ cursor node {{ {rows} }} }} nodes {{ id }} }} }}"
        if chosen.step.on != "Query":
            body = f"{{ {operation.called(NODES)} {{ ... on {chosen.step.on} {body} }} }}"
        answer = await self.inside.ask(operation.text(body), operation.variables, as_=self.grace.who)
        if "errors" in answer:
            return {"errors": answer["errors"]}
        data = answer["data"] if chosen.step.on == "Query" else answer["data"]["nodes"][0]
        found: dict[str, Any] = data[chosen.step.field]
        return found

    def _parents(self, chosen: Listed) -> list[str]:
        ids = self.grace.ids.get(chosen.step.on, [])
        return [ids[-1], *ids[:2]] if ids else []

    async def whole(self, chosen: Listed) -> list[tuple[str, str]]:
        """The ids and the cursors of all rows."""
        key = str(chosen)
        if key not in self._whole:
            found = await self.ask(chosen, {"first": LONGEST_PAGE})
            assert "errors" not in found, (key, found["errors"])
            assert found["totalCount"] == len(found["edges"]) < LONGEST_PAGE, key
            self._whole[key] = found
        return [(edge["node"]["id"], edge["cursor"]) for edge in self._whole[key]["edges"]]
