"""How many statements an operation costs depends on what it asks for, and never on how many rows it finds."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.schema.harvest import Harvest
from tests.schema.in_process import Answer, InProcess, statements
from tests.schema.operations import NoSample, Operation, Samples, ends, reaches
from tests.schema.samples import PngFile, samples
from tests.schema.ways import NODE, NODES, Probe, Step, Ways

pytestmark = pytest.mark.anyio

SIZES = (1, 2, 20)
MOST = 4
"""Rows of a connection below the rows that are counted over: lists of lists need not be long at every level."""


OF_ONE_KIND: Mapping[Step, Mapping[str, object]] = {
    Step("Query", "auditLog"): {"filter": {"actions": ["order.moved"]}},
}
"""What lists are asked for where rows lead to things of any kind: each kind of them takes a statement."""


@dataclass
class Meter:
    """Asks as Ada, and counts."""

    inside: InProcess
    ada: Harvest
    ways: Ways

    async def cost(self, text: str, variables: dict[str, object]) -> tuple[Answer, list[str]]:
        """The answer to an operation, and its statements."""
        with statements() as found:
            answer = await self.inside.ask(text, variables, as_=self.ada.who)
        return answer, found

    async def ask(self, probe: Probe, ids: list[str], first: int) -> tuple[Answer, list[str]]:
        """The answer to a probe over these rows, with so many rows of each connection, and its statements."""
        given: dict[Step, Mapping[str, object]] = {
            NODES: {"ids": ids},
            NODE: {"id": ids[0] if ids else ""},
            **OF_ONE_KIND,
        }
        operation = Operation(self.ways, self.ada.samples, first=min(first, MOST) if ids else first, given=given)
        answer, found = await self.cost(operation.probe(probe), operation.variables)
        assert "errors" not in answer, (str(probe), answer["errors"])
        return answer["data"], found

    async def costs(self, probe: Probe) -> list[int]:
        """How many statements a probe takes over 1, 2 and 20 rows, for the sizes with which it reaches its end."""
        if probe.way[:1] not in ((NODES,), (NODE,)):
            return await self._costs(probe, [])
        rows = self.ada.ids[probe.way[1].on if len(probe.way) > 1 else probe.on]
        costs = await self._costs(probe, rows)
        return costs if len(costs) == len(SIZES) else await self._costs(probe, await self.rows_for(probe))

    async def _costs(self, probe: Probe, rows: list[str]) -> list[int]:
        answers = [await self.ask(probe, rows[:size], size) for size in SIZES]
        return [len(found) for data, found in answers if reaches(data, probe)]

    async def rows_for(self, probe: Probe) -> list[str]:
        """Rows from which a probe reaches its end, so that one already costs what all do; any rows if none does."""
        candidates = self.ada.ids[probe.way[1].on if len(probe.way) > 1 else probe.on][: max(SIZES)]
        of_many = Probe((NODES, *probe.way[1:]), probe.on, probe.leaves)
        data, _ = await self.ask(of_many, candidates, 1)
        rows = zip(candidates, data["nodes"], strict=True)
        return [identity for identity, row in rows if reaches({"nodes": [row]}, of_many)] or candidates


EMPTY = {
    "CreditPurchase.customer": "credits are bought by an organization, not by its customers",
    "PromptPurchase.customer": "prompts are bought by an organization, not by its customers",
    "SecurityEvent.business": "who may come in has to do with an organization, not with one of its businesses",
    "OrderConnection.unavailable": "every platform answers",
    "UnavailablePlatform.platform": "every platform answers",
    "UnavailablePlatform.reason": "every platform answers",
    "UnavailablePlatform.retryAfter": "every platform answers",
}
"""Fields that have nothing behind them in the demo data, and so cannot be compared over several sizes."""


async def pay(inside: InProcess, ada: Harvest) -> list[str]:
    """Sends proofs of payment for some orders, of which the demo data has none."""
    find = '{ orders(first: 3, filter: {platforms: ["messaging"], status: [PENDING]}) { nodes { id } } }'
    paid = [str(node["id"]) for node in (await inside.data(find, as_=ada.who))["orders"]["nodes"]]
    send = "mutation ($input: SubmitPaymentProofInput!) { submitPaymentProof(input: $input) { userErrors { code } } }"
    for identity in paid:
        sent = await inside.data(send, {"input": {"orderId": identity, "proof": {"upload": PngFile()}}}, as_=ada.who)
        assert sent["submitPaymentProof"] == {"userErrors": []}
    return paid


@pytest.fixture(scope="module")
async def meter(inside: InProcess, of_ada: Harvest, ways: Ways) -> Meter:
    """Ada, with a counter."""
    paid = await pay(inside, of_ada)
    of_ada.ids["ServiceOrder"] = [*paid, *(each for each in of_ada.ids["ServiceOrder"] if each not in paid)]
    moves = '{ auditLog(filter: {actions: ["order.moved"]}) { nodes { id } } }'
    entries = await inside.data(moves, as_=of_ada.who)
    of_ada.ids["AuditEntry"] = [str(entry["id"]) for entry in entries["auditLog"]["nodes"]]
    return Meter(inside, of_ada, ways)


def test_the_ways_lead_over_every_field(ways: Ways) -> None:
    """What the other tests here walk is the whole of what ``Query`` leads to."""
    covered = {step for probe in ways.probes() for step in probe.covered}
    assert ways.fields() - covered == set()


async def test_ada_has_rows_of_every_type_with_ids(meter: Meter) -> None:
    """Without rows the counts below would say nothing."""
    assert set(meter.ways.targets(NODES)) - set(meter.ada.ids) == set()


async def test_no_field_costs_more_for_more_rows(meter: Meter) -> None:
    """Each field, and each two fields in a row, over 1, 2 and 20 rows (or as many as there are).

    A size counts when the way reaches its end with it: a page of one order may not have one of the kind that is meant.
    """
    grown, compared = [], set[Step]()
    for probe in meter.ways.probes():
        costs = await meter.costs(probe)
        if len(set(costs)) > 1:
            grown.append((str(probe), costs))
        if len(costs) > 1:
            compared |= probe.covered
    assert grown == []
    assert {f"{step.on}.{step.field}" for step in meter.ways.fields() - compared} == set(EMPTY)


async def test_one_object_takes_one_statement(meter: Meter) -> None:
    """``node`` asks nobody but the table of the type that the id names, and nobody at all for an id that is none."""
    for on in meter.ways.targets(NODE):
        _, found = await meter.ask(Probe((NODE,), on, ("id",)), meter.ada.ids[on][:1], 1)
        assert len(found) == 1, (on, found)
    _, found = await meter.ask(Probe((NODE,), "Business", ("id",)), ["no id at all"], 1)
    assert found == []


async def test_everything_at_once_costs_no_more_than_one_by_one(meter: Meter) -> None:
    """All fields of a type beside each other: siblings share loaders and do not get in each other's way."""
    dearer = []
    for on in meter.ways.targets(NODES):
        singles = [Probe((NODES,), on, meter.ways.leaves(on))]
        for step in meter.ways.composites(on):
            singles += [
                Probe((NODES, *hop), target, meter.ways.leaves(target))
                for hop, target in meter.ways.hops(on)
                if hop[0] == step
            ]
        for size in SIZES:
            ids = meter.ada.ids[on][:size]
            head = len((await meter.ask(Probe((NODES,), on, ("id",)), ids, size))[1])
            alone = sum([len((await meter.ask(each, ids, size))[1]) - head for each in singles])
            operation = Operation(meter.ways, meter.ada.samples, first=min(size, MOST), given={NODES: {"ids": ids}})
            called = operation.called(NODES)
            body = f"{{ {called} {{ ... on {on} {operation.selection(on, 1)} }} }}"
            answer, together = await meter.cost(operation.text(body), operation.variables)
            assert "errors" not in answer, (on, answer["errors"])
            if len(together) > head + alone:
                dearer.append((on, size, len(together), head, alone))
    assert dearer == []


NESTED = """query ($first: Int!) {
  businesses(first: $first) { totalCount edges { cursor } nodes {
    name locations { business { name } }
    campaigns(first: $first) { totalCount edges { node { name business { name } } } nodes { status } }
    customers(first: $first) { nodes { name lifetimeValue { amount } } }
    orders(first: $first) { totalCount nodes {
      number history { to } business { name } platform { key }
      customer { name business { name } orders(first: $first) { totalCount nodes { number customer { name } } } }
    } }
  } }
}"""
KINDS_OF_ORDERS = 4


async def test_a_wide_and_deep_operation_costs_a_statement_for_each_list_of_it(meter: Meter) -> None:
    """Several nested connections at once, and businesses, their orders, their customers, the orders of those."""
    costs = [len((await meter.cost(NESTED, {"first": first}))[1]) for first in SIZES]
    page_and_count = 2
    lists = {
        "businesses": page_and_count,
        "locations": 1,
        "businesses by id, shared by all who lead to one": 1,
        "campaigns": page_and_count,
        "customers": 1,
        "lifetimeValue": KINDS_OF_ORDERS,
        "orders": page_and_count * KINDS_OF_ORDERS,
        "history": 1,
        "customers by id, and those of their orders": 2,
        "orders of customers": page_and_count * KINDS_OF_ORDERS,
    }
    assert max(costs) <= sum(lists.values())
    assert costs[1] == costs[2]


def _connections(ways: Ways) -> list[tuple[Probe, Step]]:
    """Every connection field below a type with ids, and at the root."""
    found = []
    for on, way in {"Query": (), **dict.fromkeys(ways.targets(NODES), (NODES,))}.items():
        for step in ways.composites(on):
            (target, *_) = ways.targets(step)
            if step != NODES and ways.is_connection(target):
                found.append((Probe((*way, step), target), step))
    return found


def _counts(found: list[str]) -> list[str]:
    return [statement for statement in found if "count(" in statement.lower() and " limit " not in _flat(statement)]


def _pages(found: list[str]) -> list[str]:
    return [statement for statement in found if " limit " in _flat(statement)]


def _flat(statement: str) -> str:
    return " ".join(statement.lower().split())


async def test_a_list_is_counted_only_when_its_count_is_selected(meter: Meter) -> None:
    """``totalCount`` alone reads no page, ``nodes`` and ``edges`` count nothing, and together they are the sum."""
    connections = _connections(meter.ways)
    assert len(connections) > 8
    for probe, step in connections:
        costs = {}
        for selected in ("totalCount", "nodes { id }", "edges { cursor }", "pageInfo { hasNextPage }", "__typename"):
            costs[selected] = await _of_selected(meter, probe, step, selected)
        many = await _of_selected(
            meter, probe, step, "totalCount edges { cursor node { id } } nodes { id } pageInfo { endCursor }"
        )
        counts, page = costs["totalCount"], costs["nodes { id }"]
        assert _counts(counts), (str(probe), counts)
        assert _pages(counts) == [], (str(probe), counts)
        assert _counts(page) == [], (str(probe), page)
        assert _pages(page), (str(probe), page)
        assert len(_pages(page)) == len(_counts(counts)) == len(_pages(many)) == len(_counts(many)), str(probe)
        assert [len(costs[each]) for each in ("edges { cursor }", "pageInfo { hasNextPage }")] == [len(page)] * 2
        assert _pages(costs["__typename"]) == _counts(costs["__typename"]) == [], str(probe)


async def _of_selected(meter: Meter, probe: Probe, step: Step, selected: str) -> list[str]:
    ids = meter.ada.ids.get(step.on, [])[:20]
    operation = Operation(meter.ways, meter.ada.samples, first=5, given={NODES: {"ids": ids}})
    body = f"{{ {operation.called(step)} {{ {selected} }} }}"
    if step.on != "Query":
        body = f"{{ {operation.called(NODES)} {{ ... on {step.on} {body} }} }}"
    answer, found = await meter.cost(operation.text(body), operation.variables)
    assert "errors" not in answer, (str(probe), answer["errors"])
    return found


async def test_the_count_is_seen_through_fragments_and_aliases(meter: Meter) -> None:
    """However the selection is written, a page is read exactly when rows are asked for."""
    counted = """{ a: businesses { ...Count } } fragment Count on BusinessConnection { many: totalCount }"""
    _, found = await meter.cost(counted, {})
    assert (len(_counts(found)), len(_pages(found))) == (1, 0)
    paged = """{ a: businesses { ... { ...Rows } } } fragment Rows on BusinessConnection { all: nodes { id } }"""
    _, found = await meter.cost(paged, {})
    assert (len(_counts(found)), len(_pages(found))) == (0, 1)
    both = """{ businesses { totalCount } businesses { nodes { id } } }"""
    answer, found = await meter.cost(both, {})
    assert (len(_counts(found)), len(_pages(found))) == (1, 1)
    assert answer["data"]["businesses"]["nodes"]


async def test_a_field_without_a_sample_for_its_argument_is_told(meter: Meter) -> None:
    """A new required argument fails the tests above until it has a value in the table, with its name."""
    operation = Operation(meter.ways, Samples({}, {}))
    with pytest.raises(NoSample, match=r"Query\.echo\(text:\) of type String!"):
        operation.called(Step("Query", "echo"))
    assert samples({}, text="hi").by_coordinate["Query.echo(text:)"] == "hi"
    assert list(ends({"a": None}, (Step("Query", "a"),))) == [(["a"], None)]
