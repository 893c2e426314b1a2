"""Who lacks a right gets an error in that field's place, on every path, and the rest of the answer all the same."""

import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from graphql import is_non_null_type

from auth.principal import ANONYMOUS, MemberRole, Principal
from auth.scopes import ROLE_SCOPES
from tests.schema.guards import Guards
from tests.schema.harvest import Harvest
from tests.schema.in_process import Answer, InProcess
from tests.schema.operations import Operation, ends
from tests.schema.ways import NODE, NODES, Probe, Step, Ways
from tests.serving import ADA

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database_url(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """SQLite alone: who may read what is settled before any database is asked."""
    path = tmp_path_factory.mktemp("database") / "demo.db"
    shutil.copy(seeded_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def guards(ways: Ways, sdl: str) -> Guards:
    """What the SDL says."""
    return Guards(ways, sdl)


def guarded(guards: Guards, root: str) -> list[Step]:
    """The fields behind a root that need a right."""
    return sorted(step for step in guards.ways.fields(root) if guards.of_field(step))


def test_the_owner_of_an_organization_has_every_right_that_the_schema_knows(guards: Guards) -> None:
    """A scope that nobody can have would lock a field for good."""
    assert guards.scopes() <= ROLE_SCOPES[MemberRole.OWNER]


def test_a_field_that_can_be_refused_is_nullable(guards: Guards) -> None:
    """Otherwise the refusal would take the object around it along.

    A field may be non-null where whoever reaches its parent has the right already.
    """
    fields = {step for root in ("Query", "Mutation", "Subscription") for step in guards.ways.fields(root)}
    unsafe = [
        step for step in sorted(fields) if guards.beyond_parent(step) and is_non_null_type(guards.ways.field(step).type)
    ]
    assert unsafe == []


def test_there_is_something_to_refuse(guards: Guards) -> None:
    """The text of the schema is read as it is meant."""
    found = {f"{step.on}.{step.field}" for step in guarded(guards, "Query")}
    assert found >= {"Query.viewer", "Query.orders", "Customer.lifetimeValue", "PlatformHealth.lastError"}
    assert len(guarded(guards, "Mutation")) > 4


async def _judged(
    inside: InProcess, guards: Guards, of_ada: Harvest, probe: Probe, who: Principal
) -> tuple[str | None, bool]:
    """What is wrong with the answer to a probe, and whether something was refused."""
    ids = of_ada.ids.get(probe.way[1].on if len(probe.way) > 1 else probe.on, [""])[:2]
    given: dict[Step, dict[str, object]] = {NODES: {"ids": ids}, NODE: {"id": ids[0]}}
    operation = Operation(guards.ways, of_ada.samples, first=2, given=given)
    answer = await inside.ask(operation.probe(probe, beside=["alive: __typename"]), operation.variables, as_=who)
    if answer["data"]["alive"] != "Query":
        return f"{probe}: the rest of the answer is missing: {answer}", False
    told = {tuple(error["path"]) for error in answer.get("errors", ())}
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    refused = _refused(guards, probe, who, answer)
    if told != refused:
        return f"{probe}: refused at {sorted(told, key=str)} instead of {sorted(refused, key=str)}", False
    if codes - {"FORBIDDEN" if who.signed_in else "UNAUTHENTICATED"}:
        return f"{probe}: refused with {codes}", False
    return None, bool(refused)


def _refused(guards: Guards, probe: Probe, who: Principal, answer: Answer) -> set[tuple[str | int, ...]]:
    """The paths at which a probe must be refused, by what of it was answered."""
    denied = guards.denied(probe, who)
    if denied is None:
        return set()
    taken, leaves = denied
    places = [
        (path, value)
        for path, value in ends(answer["data"], probe.way[:taken])
        if sum(isinstance(part, str) for part in path) == taken
    ]
    if leaves:
        return {
            (*path, leaf)
            for path, value in places
            if value is not None and value["__typename"] == probe.on
            for leaf in leaves
        }
    assert all(value is None for _, value in places), (str(probe), places)
    return {tuple(path) for path, _ in places}


async def test_every_field_on_every_path_is_refused_to_who_lacks_the_right(
    inside: InProcess, guards: Guards, of_ada: Harvest
) -> None:
    """Nobody, a person without any right, and for each right a person with all but that one."""
    owner = of_ada.who
    people = [ANONYMOUS, replace(owner, scopes=frozenset())]
    people += [replace(owner, scopes=owner.scopes - {scope}) for scope in sorted(guards.scopes())]
    wrong: list[str] = []
    refused: set[Step] = set()
    for who in people:
        for probe in guards.ways.probes():
            denied = guards.denied(probe, who)
            if denied is None:
                continue
            mistake, was_refused = await _judged(inside, guards, of_ada, probe, who)
            wrong += [mistake] if mistake else []
            taken, leaves = denied
            if was_refused:
                refused |= {Step(probe.on, leaf) for leaf in leaves} if leaves else {probe.way[taken - 1]}
    assert wrong == []
    assert {step for step in guarded(guards, "Query") if guards.beyond_parent(step)} - refused == set()


async def test_who_has_the_right_is_refused_nothing(inside: InProcess, guards: Guards, of_ada: Harvest) -> None:
    """The same ways, as an owner."""
    for probe in guards.ways.probes():
        assert guards.denied(probe, of_ada.who) is None
    wrong = [
        mistake
        for step in guarded(guards, "Query")
        for target in guards.ways.targets(step)[:1]
        if step.on == "Query"
        for mistake in [(await _judged(inside, guards, of_ada, Probe((step,), target), of_ada.who))[0]]
        if mistake
    ]
    assert wrong == []


async def test_a_refused_mutation_changes_nothing(inside: InProcess, guards: Guards, of_ada: Harvest) -> None:
    """Every guarded mutation with a real id: as nobody, without the right, and over HTTP with a viewer's token."""
    before = await inside.rows()
    viewer = inside.gateway.authenticate._tokens.issue(
        user_id=str(of_ada.who.user_id),
        organization_id=str(of_ada.who.organization_id),
        role=MemberRole.VIEWER,
        session_id="ses_of_a_viewer",
    )
    steps = [step for step in guarded(guards, "Mutation") if step.on == "Mutation"]
    for step in steps:
        (target,) = guards.ways.targets(step)
        operation = Operation(guards.ways, of_ada.samples)
        text = operation.probe(Probe((step,), target), "mutation", beside=["alive: __typename"])
        answers = [
            await inside.ask(text, operation.variables, as_=who)
            for who in (ANONYMOUS, replace(of_ada.who, scopes=of_ada.who.scopes - guards.scopes()))
        ]
        if "SubmitPaymentProof" not in text:
            answers.append(await inside.post(text, operation.variables, token=viewer.text))
        for answer, code in zip(answers, ("UNAUTHENTICATED", "FORBIDDEN", "FORBIDDEN"), strict=False):
            assert answer["data"] == {"alive": "Mutation", step.field: None}
            assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
                ([step.field], code)
            ]
    assert await inside.rows() == before


async def test_a_refused_subscription_does_not_begin(inside: InProcess, guards: Guards, of_ada: Harvest) -> None:
    """Every guarded subscription ends with the error of its field."""
    for step in [step for step in guarded(guards, "Subscription") if step.on == "Subscription"]:
        targets = guards.ways.targets(step)
        operation = Operation(guards.ways, of_ada.samples)
        text = operation.probe(Probe((step,), targets[0]), "subscription")
        people = {"UNAUTHENTICATED": ANONYMOUS}
        if any(group for need in guards.of_field(step) for group in need):
            people["FORBIDDEN"] = replace(of_ada.who, scopes=frozenset())
        for code, who in people.items():
            async with aclosing(inside.stream(text, operation.variables, as_=who)) as events:
                answers = [event async for event in events]
            assert [error["extensions"]["code"] for answer in answers for error in answer["errors"]] == [code]
            assert [error["path"] for answer in answers for error in answer["errors"]] == [[step.field]]


async def test_what_a_mutation_changed_is_shown_only_to_who_may_read_it(inside: InProcess, of_ada: Harvest) -> None:
    """Somebody who may move orders but not read them is told that it worked, and nothing of the order."""
    find = '{ orders(first: 1, filter: {platforms: ["messaging"], status: [PENDING]}) { nodes { id } } }'
    pending = (await inside.data(find, as_=of_ada.who))["orders"]["nodes"][0]["id"]
    mutation = """mutation ($id: ID!) {
      cancelOrder(input: {orderId: $id}) { order { number } userErrors { message } }
    }"""
    writer = replace(of_ada.who, scopes=frozenset({"orders:write"}))
    answer = await inside.ask(mutation, {"id": pending}, as_=writer)
    assert answer["data"] == {"cancelOrder": {"order": None, "userErrors": []}}
    assert [error["path"] for error in answer["errors"]] == [["cancelOrder", "order"]]
    status = "query ($id: ID!) { node(id: $id) { ... on Order { status } } }"
    assert (await inside.data(status, {"id": pending}, as_=of_ada.who))["node"] == {"status": "CANCELLED"}


async def test_a_viewer_reads_everything_and_an_admin_also_what_went_wrong(inside: InProcess) -> None:
    """The roles over HTTP, with tokens as sign-in makes them."""
    ada = await inside.person(ADA)
    query = "{ orders(first: 1) { nodes { number } } platforms { health { status lastError } } }"
    for role, refused in ((MemberRole.VIEWER, True), (MemberRole.MEMBER, True), (MemberRole.ADMIN, False)):
        token = inside.gateway.authenticate._tokens.issue(
            user_id=str(ada.user_id),
            organization_id=str(ada.organization_id),
            role=role,
            session_id=f"ses_{role.value}",
        )
        answer = await inside.post(query, token=token.text)
        assert len(answer["data"]["orders"]["nodes"]) == 1
        assert {error["path"][-1] for error in answer.get("errors", ())} == ({"lastError"} if refused else set())
