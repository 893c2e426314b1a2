"""Who lacks a right gets an error in that field's place, on every path, and the rest of the answer all the same."""

import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from graphql import is_non_null_type
from sqlalchemy import Text, bindparam, update

from auth.principal import ANONYMOUS, MemberRole, Principal
from auth.scopes import ROLE_SCOPES
from datasources.database.access import announce_access_change
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.columns import Id
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import memberships
from tests.schema.guards import Guards
from tests.schema.harvest import Harvest
from tests.schema.in_process import Answer, InProcess
from tests.schema.operations import Operation, ends
from tests.schema.ways import NODE, NODES, Probe, Step, Ways

pytestmark = pytest.mark.anyio
KENJI = "kenji@example.com"
AUDIT_TARGET = Step("AuditEntry", "target")
_SET_ROLE = (
    update(memberships)
    .where(memberships.c.organization_id == TENANT, memberships.c.user_id == bindparam("person", type_=Id))
    .values(role=bindparam("new_role", type_=Text()))
)


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
    # The entries that are asked may also be about something that is refused and that the probe is not after.
    told = {path for path in told if path[-1] != AUDIT_TARGET.field or path in refused}
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
    # Behind an interface there may be something else than the probe is after, and that may be allowed.
    expected = probe.way[taken].on if taken < len(probe.way) else probe.on
    assert all(value is None or value["__typename"] != expected for _, value in places), (str(probe), places)
    refused = {tuple(path) for path, value in places if value is None}
    if probe.way[taken - 1] == AUDIT_TARGET:
        # What an entry is about may also be gone, or never have been a thing with an id of the schema.
        refused &= {tuple(error["path"]) for error in answer.get("errors", ())}
    return refused


TARGET = Step("AuditEntry", "target")
"""Leads to anything; what stands there in a row decides, so it has a test of its own."""


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
            if denied is None or TARGET in probe.way[: denied[0]]:
                continue
            mistake, was_refused = await _judged(inside, guards, of_ada, probe, who)
            wrong += [mistake] if mistake else []
            taken, leaves = denied
            if was_refused:
                refused |= {Step(probe.on, leaf) for leaf in leaves} if leaves else {probe.way[taken - 1]}
    assert wrong == []
    assert {step for step in guarded(guards, "Query") if guards.beyond_parent(step)} - refused == set()


async def test_what_an_entry_of_the_audit_trail_leads_to_is_refused_as_by_its_id(
    inside: InProcess, guards: Guards, of_ada: Harvest
) -> None:
    """A row of each type as a target; for each scope somebody who may read the trail, and has all but that."""
    kinds = sorted(guards.ways.targets(NODE))
    owner = of_ada.who
    async with inside.database.scoped(owner.organization_id).transaction() as transaction:
        for kind in reversed(kinds):
            await append_audit(transaction, NewAuditEntry("usr_a", "test.aimed", of_ada.ids[kind][0]))
    query = """{ auditLog(first: 250, filter: {actions: ["test.aimed"]}) { nodes { id target { __typename } } } }"""
    for scope in sorted(guards.scopes() - {"audit:read"}):
        who = replace(owner, scopes=owner.scopes - {scope})
        answer = await inside.ask(query, as_=who)
        found = [node["target"] and node["target"]["__typename"] for node in answer["data"]["auditLog"]["nodes"]]
        denied = [guards.denied(Probe((NODE,), kind), who) is not None for kind in kinds]
        assert found == [None if each else kind for kind, each in zip(kinds, denied, strict=True)], scope
        refused = [["auditLog", "nodes", index, "target"] for index, each in enumerate(denied) if each]
        assert sorted((error["path"] for error in answer.get("errors", ())), key=str) == sorted(refused, key=str)
        assert {error["extensions"]["code"] for error in answer.get("errors", ())} <= {"FORBIDDEN"}


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
    """Every guarded mutation with a real id.

    As nobody, as a person without the right, over HTTP as a viewer, and what is about a person also as an API key.
    """
    viewer = await token_of(inside, MemberRole.VIEWER)
    before = await _rows_but_traces(inside)
    lacking = replace(of_ada.who, scopes=of_ada.who.scopes - guards.scopes())
    key = replace(of_ada.who, user_id=None, session_id=None, key_id="key_that_no_row_has")
    wrong: list[str] = []
    for step in [step for step in guarded(guards, "Mutation") if step.on == "Mutation"]:
        (target,) = guards.ways.targets(step)
        operation = Operation(guards.ways, of_ada.samples)
        text = operation.probe(Probe((step,), target), "mutation", beside=["alive: __typename"])
        answers = {"UNAUTHENTICATED": [await inside.ask(text, operation.variables, as_=ANONYMOUS)], "FORBIDDEN": []}
        if any(group for need in guards.of_field(step) for group in need):
            answers["FORBIDDEN"].append(await inside.ask(text, operation.variables, as_=lacking))
            if "SubmitPaymentProof" not in text:
                answers["FORBIDDEN"].append(await inside.post(text, operation.variables, token=viewer))
        else:
            answers["FORBIDDEN"].append(await inside.ask(text, operation.variables, as_=key))
        for code, refused in answers.items():
            for answer in refused:
                told = [(error["path"], error["extensions"]["code"]) for error in answer["errors"]]
                if answer["data"] != {"alive": "Mutation", step.field: None} or told != [([step.field], code)]:
                    wrong.append(f"{step.field} is not refused with {code}: {answer}")
    assert wrong == []
    assert await _rows_but_traces(inside) == before


async def _rows_but_traces(inside: InProcess) -> dict[str, list[tuple[object, ...]]]:
    """Every row, but for those that tell that something was refused."""
    rows = await inside.rows()
    for table in ("audit_entries", "audit_personal", "audit_heads"):
        del rows[table]
    rows["events"] = [row for row in rows["events"] if "SecurityEvent" not in row]
    return rows


async def token_of(inside: InProcess, role: MemberRole) -> str:
    """The token of a person of Ada's organization, who is made this."""
    token = await inside.token(KENJI)
    kenji = await inside.person(KENJI)
    async with inside.database.scoped(kenji.organization_id).transaction() as transaction:
        await transaction.execute(_SET_ROLE, {"person": kenji.user_id, "new_role": role.value})
        await announce_access_change(transaction, str(kenji.user_id))
    return token


async def test_a_refused_subscription_does_not_begin(inside: InProcess, guards: Guards, of_ada: Harvest) -> None:
    """Every guarded subscription ends with the error of its field."""
    for step in [step for step in guarded(guards, "Subscription") if step.on == "Subscription"]:
        targets = guards.ways.targets(step)
        operation = Operation(guards.ways, of_ada.samples)
        text = operation.probe(Probe((step,), targets[0]), "subscription")
        people = {"UNAUTHENTICATED": ANONYMOUS}
        if any(group for need in guards.of_field(step) for group in need):
            people["FORBIDDEN"] = replace(of_ada.who, scopes=frozenset(), only_scopes=frozenset())
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
    """The roles over HTTP: one token, whose person is made this and that."""
    query = "{ orders(first: 1) { nodes { number } } platforms { health { status lastError } } }"
    for role, refused in ((MemberRole.VIEWER, True), (MemberRole.MEMBER, True), (MemberRole.ADMIN, False)):
        answer = await inside.post(query, token=await token_of(inside, role))
        assert len(answer["data"]["orders"]["nodes"]) == 1
        assert {error["path"][-1] for error in answer.get("errors", ())} == ({"lastError"} if refused else set())
