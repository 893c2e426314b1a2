"""Two organizations on one gateway: to one, the other's things are exactly as if they did not exist."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLInputType, GraphQLList, get_named_type, get_nullable_type
from sqlalchemy import FromClause, true
from sqlalchemy.sql.elements import BinaryExpression

from datasources.database import listing
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Scope
from datasources.database.events import BEGINNING
from datasources.database.messaging import SERVICE_ORDERS
from datasources.database.scope import ORGANIZATION, TENANT, TENANT_PARAMETER, UnscopedStatement
from gateway.demo import PASSWORD
from tests.schema.harvest import Harvest
from tests.schema.in_process import Answer, InProcess
from tests.schema.operations import Operation
from tests.schema.samples import unknown_like
from tests.schema.ways import NODE, NODES, Step, Ways
from tests.serving import ADA, GRACE

pytestmark = pytest.mark.anyio

SHARED_TYPES = {
    "Prompt": "published ones are open to everybody",
    "Seller": "the public face of an organization that sells",
    "Review": "open to everybody",
}
"""Types whose rows several organizations may see."""


@dataclass(frozen=True)
class Place:
    """An argument that takes an id: the field, the argument, and the way into its input object."""

    step: Step
    argument: str
    path: tuple[str, ...]
    listed: bool

    def __str__(self) -> str:
        return f"{self.step.on}.{self.step.field}({'.'.join((self.argument, *self.path))}:)"

    def given(self, ways: Ways, harvest: Harvest, identity: str) -> dict[str, object]:
        """The arguments with this id in this place; the rest of an input object is made of samples."""
        value: object = [identity] if self.listed else identity
        kind = ways.field(self.step).args[self.argument].type
        return {self.argument: self._within(kind, self.path, value, harvest)}

    def _within(self, kind: GraphQLInputType, path: tuple[str, ...], value: object, harvest: Harvest) -> object:
        if not path:
            return value
        named = get_named_type(kind)
        assert isinstance(named, GraphQLInputObjectType)
        made = harvest.samples.value(named.name, named)
        assert isinstance(made, dict)
        if named.name == "LoginInput":
            made |= {"email": ADA, "password": PASSWORD}
        return {**made, path[0]: self._within(named.fields[path[0]].type, path[1:], value, harvest)}


def _places(kind: GraphQLInputType) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The ways into an argument's type that end at an id, and whether it takes a list of them."""
    named = get_named_type(kind)
    if named.name == "ID":
        yield (), isinstance(get_nullable_type(kind), GraphQLList)
    elif isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            for path, listed in _places(field.type):
                yield (name, *path), listed


def places(ways: Ways, root: str) -> list[Place]:
    """Every argument that takes an id, of every field that a root leads to."""
    return [
        Place(step, name, path, listed)
        for step in sorted(ways.fields(root))
        for name, argument in ways.field(step).args.items()
        for path, listed in _places(argument.type)
    ]


def private_ids(ways: Ways, of_grace: Harvest) -> list[str]:
    """An id of each type that only Grace may see."""
    kinds = {kind: ids for kind, ids in of_grace.ids.items() if kind not in SHARED_TYPES}
    assert set(kinds) == set(ways.targets(NODES)) - set(SHARED_TYPES)
    return [ids[-1] for ids in kinds.values()]


async def _answer(inside: InProcess, ways: Ways, harvest: Harvest, place: Place, identity: str) -> str:
    """What somebody is told when this id stands in this place, the id itself masked."""
    step, to = place.step, ways.to_types()
    given: dict[Step, dict[str, object]] = {step: place.given(ways, harvest, identity)}
    way = to.get(step.on, ())
    if way:
        given[NODES] = {"ids": harvest.ids[(*way, step)[1].on][:3]}
    operation = Operation(ways, harvest.samples, first=5, given=given)
    body = f"{{ {_all_of(operation, step)} }}"
    for before in reversed(way):
        on = step.on if before == way[-1] else way[way.index(before) + 1].on
        body = f"{{ {operation.called(before)} {{ ... on {on} {body} }} }}"
    kind = {"Mutation": "mutation"}.get(step.on, "query")
    answer = await inside.ask(operation.text(body, kind), operation.variables, as_=harvest.who)
    return masked(answer, identity)


def _all_of(operation: Operation, step: Step) -> str:
    targets = operation.ways.targets(step)
    below = " ".join(f"... on {target} {operation.selection(target, 1)}" for target in targets)
    return f"{operation.called(step)} {{ __typename {below} }}"


def masked(answer: Answer, identity: str) -> str:
    """An answer as text, without the id, what is new in each session, and the seconds that are left of a wait."""
    text = json.dumps(_without_session(answer), sort_keys=True).replace(identity, "<id>")
    text = re.sub(r"Try again in \d+ s\.", "Try again.", text)
    return text.replace(unknown_like(identity), "<id>")


def _without_session(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "<new>" if name.startswith("Session_") or (name == "id" and str(each).startswith("ses_")) else each
            for name, each in ((name, _without_session(each)) for name, each in value.items())
        }
    return [_without_session(each) for each in value] if isinstance(value, list) else value


async def leaks(inside: InProcess, ways: Ways, of_ada: Harvest, of_grace: Harvest, tried: list[Place]) -> list[str]:
    """Where one of Grace's ids gets Ada another answer than an id that nothing has."""
    found = []
    for place in tried:
        for identity in private_ids(ways, of_grace):
            hers = await _answer(inside, ways, of_ada, place, identity)
            nobodys = await _answer(inside, ways, of_ada, place, unknown_like(identity))
            if hers != nobodys:
                found.append(f"{place} with {identity}: {hers[:300]} instead of {nobodys[:300]}")
    return found


async def test_two_organizations_share_nothing_but_the_open_marketplace(of_ada: Harvest, of_grace: Harvest) -> None:
    """What Ada can reach and what Grace can reach, through every root and the event log."""
    both = of_ada.all & of_grace.all
    kinds = {kind for kind, ids in of_ada.ids.items() if both & set(ids)}
    assert kinds <= set(SHARED_TYPES)
    assert len(of_grace.all - both) > 100


def test_every_argument_that_takes_an_id_is_tried(ways: Ways) -> None:
    """The places come from the schema; these are some that must be among them."""
    found = {str(place) for root in ("Query", "Mutation", "Subscription") for place in places(ways, root)}
    assert found >= {
        "Query.node(id:)",
        "Query.nodes(ids:)",
        "Query.orders(filter.businessIds:)",
        "Business.orders(filter.customerId:)",
        "Mutation.cancelOrder(input.orderId:)",
        "Mutation.login(input.organizationId:)",
        "Subscription.orderChanged(orderId:)",
    }


async def test_anothers_id_reads_like_one_that_does_not_exist(
    inside: InProcess, ways: Ways, of_ada: Harvest, of_grace: Harvest
) -> None:
    """Every argument of every field, with every kind of id."""
    assert await leaks(inside, ways, of_ada, of_grace, places(ways, "Query")) == []


async def test_anothers_id_changes_nothing(inside: InProcess, ways: Ways, of_ada: Harvest, of_grace: Harvest) -> None:
    """Every argument of every mutation; Grace's rows are the same afterwards."""
    before = await inside.rows(of_grace.who.organization_id)
    assert len(before["service_orders"]) > 10
    assert await leaks(inside, ways, of_ada, of_grace, places(ways, "Mutation")) == []
    assert await inside.rows(of_grace.who.organization_id) == before


async def test_grace_herself_reads_what_ada_cannot(inside: InProcess, ways: Ways, of_grace: Harvest) -> None:
    """The same ids are good for something: otherwise the tests above would compare nothing with nothing."""
    for identity in private_ids(ways, of_grace):
        data = await inside.data("query ($id: ID!) { node(id: $id) { id } }", {"id": identity}, as_=of_grace.who)
        assert data["node"] == {"id": identity}


def event_fields(ways: Ways) -> list[Step]:
    """The subscriptions that tell of events of the log."""
    fields = [Step("Subscription", name) for name in ways.object("Subscription").fields]
    return [step for step in fields if any("cursor" in ways.object(target).fields for target in ways.targets(step))]


async def test_nobody_hears_of_anothers_events(
    inside: InProcess, ways: Ways, of_ada: Harvest, of_grace: Harvest
) -> None:
    """A replay of the whole log and what happens meanwhile, with and without Grace's ids in the arguments."""
    graces = of_grace.all - of_ada.all
    for step in event_fields(ways):
        for place in [place for place in places(ways, "Subscription") if place.step == step]:
            for identity in (of_grace.ids["Business"][0], await _pending(inside, GRACE)):
                given = {**place.given(ways, of_ada, identity), "after": inside.cursor(of_ada.who, BEGINNING)}
                assert await _heard(inside, ways, of_ada, step, given, to_the_end=False) == [], (str(place), identity)
        given = {"after": inside.cursor(of_ada.who, BEGINNING)}
        heard = await _heard(inside, ways, of_ada, step, given, to_the_end=True)
        assert [event for event in heard if any(identity in event for identity in graces)] == []
        refused = inside.stream(
            f"subscription ($after: String) {{ {step.field}(after: $after) {{ __typename }} }}",
            {"after": await _newest_cursor(inside, of_grace)},
            as_=of_ada.who,
        )
        async with aclosing(refused) as answers:
            (error,) = (await anext(answers))["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"


async def _heard(
    inside: InProcess, ways: Ways, of_ada: Harvest, step: Step, given: dict[str, object], *, to_the_end: bool
) -> list[str]:
    """What Ada hears while it happens to Grace, and then to her; ``to_the_end``: until she hears of her own."""
    operation = Operation(ways, of_ada.samples, given={step: given})
    targets = ways.targets(step)
    subjects = [f"... on {kind} {{ {field} {{ id }} }}" for kind, field in SUBJECTS.items() if kind in targets]
    assert len(subjects) == len(targets), "say in SUBJECTS what such an event happened to"
    below = " ".join([*(f"... on {target} {operation.selection(target, 0)}" for target in targets), *subjects])
    text = operation.text(f"{{ {operation.called(step)} {{ {below} }} }}", "subscription")
    heard: list[str] = []

    async def listen() -> None:
        async with aclosing(inside.stream(text, operation.variables, as_=of_ada.who)) as events:
            async for event in events:
                assert "errors" not in event, event
                heard.append(json.dumps(event))

    happen = _cancel if step.field == "orderChanged" else _be_noted
    listening = asyncio.create_task(listen())
    async with aclosing(
        inside.stream(f"subscription {{ {step.field} {{ {' '.join(subjects)} }} }}", as_=of_ada.who)
    ) as hers:
        first = asyncio.ensure_future(anext(hers))
        while inside.engine.live < 2:  # noqa: ASYNC110 -- the engine does not tell of followers
            await asyncio.sleep(0)
        theirs = await happen(inside, GRACE)
        mine = await happen(inside, ADA)
        assert mine in json.dumps(await first)
    # The reader of the log handed out both events in one turn; a listener takes them within a few.
    turns = 0
    while not any(mine in event for event in heard) if to_the_end else turns < 50:
        turns += 1
        await asyncio.sleep(0.001)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert not any(theirs in event for event in heard)
    return heard


SUBJECTS = {"OrderChanged": "order", "SecurityEvent": "entry"}
"""The field of each event that says what it happened to."""


async def _be_noted(inside: InProcess, email: str) -> str:
    """Leaves an entry about access in somebody's audit trail."""
    who = await inside.person(email)
    async with inside.database.scoped(who.organization_id).transaction() as transaction:
        return await append_audit(transaction, NewAuditEntry(who.actor, "session.opened", None))


async def _pending(inside: InProcess, email: str) -> str:
    query = '{ orders(first: 1, filter: {platforms: ["messaging"], status: [PENDING]}) { nodes { id } } }'
    data = await inside.data(query, as_=await inside.person(email))
    return str(data["orders"]["nodes"][0]["id"])


async def _cancel(inside: InProcess, email: str) -> str:
    """Moves one of somebody's orders."""
    identity = await _pending(inside, email)
    mutation = "mutation ($id: ID!) { cancelOrder(input: {orderId: $id}) { userErrors { message } } }"
    data = await inside.data(mutation, {"id": identity}, as_=await inside.person(email))
    assert data["cancelOrder"] == {"userErrors": []}
    return identity


async def _newest_cursor(inside: InProcess, of_grace: Harvest) -> str:
    query = "query ($id: ID!) { node(id: $id) { ... on OrderChanged { cursor } } }"
    data = await inside.data(query, {"id": of_grace.ids["OrderChanged"][-1]}, as_=of_grace.who)
    return str(data["node"]["cursor"])


def _conditions_without_tenant(made: Any) -> Any:
    """``listing._conditions`` as it would be if somebody forgot the tenant."""

    def conditions(chosen: Any, table: FromClause, filters: frozenset[str], *, tenant: bool) -> list[Any]:
        return [
            each
            for each in made(chosen, table, filters, tenant=tenant)
            if not (isinstance(each, BinaryExpression) and each.compare(table.c.get(ORGANIZATION, true()) == TENANT))
        ]

    return conditions


@pytest.fixture
def forgotten_tenant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lists of service orders are read without their tenant."""
    caches = (listing.page_statement, listing._by_ids, listing._count)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(listing, "_conditions", _conditions_without_tenant(listing._conditions))
    yield
    for cache in caches:
        cache.cache_clear()


async def test_a_list_that_forgets_the_tenant_is_refused_before_it_runs(
    inside: InProcess, of_grace: Harvest, of_ada: Harvest, forgotten_tenant: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The database handle does not run such a statement; the client is told of a fault, and of no row."""
    scope = inside.database.scoped(of_ada.who.organization_id)
    with pytest.raises(UnscopedStatement, match="service_orders is read or written without organization_id"):
        await SERVICE_ORDERS.by_ids(scope, of_grace.ids["ServiceOrder"][:1])
    query = "query ($id: ID!) { node(id: $id) { id } }"
    answer = await inside.ask(query, {"id": of_grace.ids["ServiceOrder"][0]}, as_=of_ada.who)
    assert answer["data"] == {"node": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
    assert "UnscopedStatement" in caplog.text


async def test_these_tests_would_find_the_leak_if_the_handle_let_it_through(
    inside: InProcess,
    ways: Ways,
    of_ada: Harvest,
    of_grace: Harvest,
    forgotten_tenant: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the condition and without the check, Grace's orders are found in Ada's hands."""

    def bind(scope: Scope, statement: Any, parameters: Any) -> dict[str, object]:
        return {**(parameters or {}), TENANT_PARAMETER: scope.organization_id}

    monkeypatch.setattr(Scope, "bind", bind)
    found = await leaks(
        inside, ways, of_ada, of_grace, [place for place in places(ways, "Query") if place.step == NODE]
    )
    for kind in ("ServiceOrder", "Business", "Customer", "Campaign"):
        assert any(f"with {of_grace.ids[kind][-1]}" in leak for leak in found), kind
