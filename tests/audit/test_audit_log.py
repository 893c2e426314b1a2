"""``auditLog`` and ``securityEvent`` as administrators see them, each of their own organization only."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from datasources.database.audit import NewAuditEntry, append_audit, erase_personal
from datasources.database.engine import Database, Origin
from datasources.database.tables.gateway import businesses, users
from tests.audit.log import events_of
from tests.orders.desk import VICTOR, add_viewer, organization_of
from tests.serving import ADA, GRACE, Running
from tests.subscriptions.streams import SocketStream, over_socket

pytestmark = pytest.mark.anyio

LOG = """query ($filter: AuditFilter, $first: Int, $after: String, $last: Int, $before: String) {
  auditLog(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount pageInfo { hasNextPage hasPreviousPage }
    edges { cursor }
    nodes { __typename id at actor action risk details hash ip userAgent target { __typename id } }
  }
}"""
EVENTS = """subscription ($minRisk: RiskLevel! = LOW, $after: String) {
  securityEvent(minRisk: $minRisk, after: $after) {
    __typename id cursor at platform { key name areas health { status } } business { id }
    entry { id action risk ip }
  }
}"""
HERS = Origin("203.0.113.7", "a browser", "usr_of_nobody")


@dataclass
class Desk:
    """A gateway, and its audit trail as its parts write to it."""

    gateway: Running
    database: Database
    of: Mapping[str, str] = field(default_factory=dict)

    async def write(self, email: str, action: str, **more: Any) -> str:
        """An entry in the organization of a person; ``origin`` is where it came from."""
        scope = self.database.scoped(self.of[email], more.pop("origin", None))
        async with scope.transaction() as transaction:
            return await append_audit(
                transaction, NewAuditEntry(more.pop("actor", "usr_a"), action, **{"target_id": None, **more})
            )

    def log(self, email: str, **variables: object) -> dict[str, Any]:
        """A page of the audit trail as a person sees it."""
        found: dict[str, Any] = self.gateway.data(LOG, variables, as_=email)["auditLog"]
        return found

    def actions(self, email: str, **variables: object) -> list[str]:
        """The actions of a page."""
        return [node["action"] for node in self.log(email, **variables)["nodes"]]


@pytest.fixture
async def desk(gateway: Running) -> AsyncIterator[Desk]:
    """The gateway's database, opened with its key."""
    key = gateway.app.state.gateway.services.database.audit_key
    database = Database(gateway.database_url, pool_size=2, audit_key=key)
    for email in (ADA, GRACE):
        gateway.token(email)  # which leaves an entry of its own
    of = {email: await organization_of(database, email) for email in (ADA, GRACE)}
    yield Desk(gateway, database, of)
    await database.close()


async def test_an_administrator_reads_what_happened_in_their_organization_the_newest_first(desk: Desk) -> None:
    business = await _first(desk, businesses, ADA)
    details = {"from": "PENDING", "to": ["PAID"]}
    hers = await desk.write(
        ADA, "test.done", target_id=business, details=details, risk="HIGH", origin=HERS, actor="key_x"
    )
    other = await desk.write(GRACE, "test.done", origin=HERS)
    (node, *_) = desk.log(ADA, first=1)["nodes"]
    assert node.pop("at").startswith("20")
    assert len(node.pop("hash")) == 64
    assert node == {
        "__typename": "AuditEntry",
        "id": hers,
        "actor": "key_x",
        "action": "test.done",
        "risk": "HIGH",
        "details": details,
        "ip": HERS.address,
        "userAgent": HERS.user_agent,
        "target": {"__typename": "Business", "id": business},
    }
    assert other not in [node["id"] for node in desk.log(ADA, first=100)["nodes"]]
    assert other in [node["id"] for node in desk.log(GRACE, first=100)["nodes"]]
    one = "query ($id: ID!) { node(id: $id) { id ... on AuditEntry { action ip } } }"
    assert desk.gateway.data(one, {"id": hers}, as_=ADA)["node"] == {
        "id": hers,
        "action": "test.done",
        "ip": HERS.address,
    }
    assert desk.gateway.data(one, {"id": other}, as_=ADA)["node"] is None


async def test_a_target_that_is_gone_or_another_organizations_or_has_no_type_is_null(desk: Desk) -> None:
    theirs = await _first(desk, businesses, GRACE)
    for target in (theirs, "bus_" + "0" * 26, "ses_" + "0" * 26, "no id", None):
        await desk.write(ADA, "test.aimed", target_id=target)
    nodes = desk.log(ADA, filter={"actions": ["test.aimed"]})["nodes"]
    assert [node["target"] for node in nodes] == [None] * 5
    await desk.write(ADA, "test.aimed", target_id=await _person(desk, ADA))
    await desk.write(ADA, "test.aimed", target_id=await _person(desk, GRACE))
    grace, ada = desk.log(ADA, filter={"actions": ["test.aimed"]}, first=2)["nodes"]
    assert (grace["target"], ada["target"]["__typename"]) == (None, "User")


async def test_filters_hold_together_and_pages_go_both_ways(desk: Desk) -> None:
    for number, risk in enumerate(["LOW", "MEDIUM", "HIGH"] * 3):
        await desk.write(ADA, f"page.{number}", risk=risk, actor=f"usr_{number % 2}")
        await desk.write(GRACE, f"page.{number}", risk=risk, actor=f"usr_{number % 2}")
    mine = {"actions": [f"page.{number}" for number in range(9)]}
    assert desk.actions(ADA, filter=mine) == [f"page.{number}" for number in range(8, -1, -1)]
    assert desk.actions(ADA, filter={**mine, "minRisk": "HIGH"}) == ["page.8", "page.5", "page.2"]
    assert len(desk.actions(ADA, filter={**mine, "minRisk": "MEDIUM"})) == 6
    assert desk.actions(ADA, filter={**mine, "actor": "usr_1", "minRisk": "HIGH"}) == ["page.5"]
    moments = [node["at"] for node in desk.log(ADA, filter=mine)["nodes"]]
    span = {"from": moments[6], "to": moments[3]}
    assert desk.actions(ADA, filter={**mine, "range": span}) == ["page.4", "page.3", "page.2"]

    seen, after, page = [], None, desk.log(ADA, filter=mine, first=4)
    while True:
        seen += [node["action"] for node in page["nodes"]]
        assert page["totalCount"] == 9
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["edges"][-1]["cursor"]
        page = desk.log(ADA, filter=mine, first=4, after=after)
    assert seen == [f"page.{number}" for number in range(8, -1, -1)]
    assert desk.actions(ADA, filter=mine, last=2) == ["page.1", "page.0"]
    assert desk.actions(ADA, filter=mine, last=2, before=after) == ["page.3", "page.2"]


async def test_who_is_no_administrator_reads_none_of_it(desk: Desk) -> None:
    await add_viewer(desk.database)
    identity = await desk.write(ADA, "session.opened")
    (event_id,) = [node async for node in _event_ids(desk, identity)]
    for email, code in ((VICTOR, "FORBIDDEN"), (None, "UNAUTHENTICATED")):
        answer = desk.gateway.query(LOG, as_=email)
        assert (answer["data"], [error["extensions"]["code"] for error in answer["errors"]]) == (
            {"auditLog": None},
            [code],
        )
        for node in (identity, event_id):
            answer = desk.gateway.query("query ($id: ID!) { node(id: $id) { id } }", {"id": node}, as_=email)
            assert answer["data"] == {"node": None}
    async with over_socket(desk.gateway, VICTOR, query=EVENTS) as stream:
        (error,) = (await stream.next())["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"


async def test_signing_in_is_told_as_a_security_event_to_this_organization_only(desk: Desk) -> None:
    gateway = Running(desk.gateway.url, desk.gateway.database_url, desk.gateway.app)  # where nobody has signed in yet
    async with over_socket(desk.gateway, ADA, query=EVENTS) as stream:
        gateway.token(GRACE)
        gateway.token(ADA)
        (entry, *_) = desk.log(ADA, first=1)["nodes"]
        event = await _hear(stream, entry["id"])
    assert (entry["action"], entry["risk"]) == ("session.opened", "LOW")
    assert event["__typename"] == "SecurityEvent"
    assert event["business"] is None
    assert event["platform"] == {"key": "tributary", "name": "Tributary", "areas": [], "health": {"status": "UP"}}
    platforms = desk.gateway.data("{ platforms { key } }", as_=ADA)["platforms"]
    assert "tributary" not in [platform["key"] for platform in platforms]
    one = "query ($id: ID!) { node(id: $id) { id ... on SecurityEvent { entry { action } } } }"
    found = desk.gateway.data(one, {"id": event["id"]}, as_=ADA)["node"]
    assert found == {"id": event["id"], "entry": {"action": "session.opened"}}
    assert desk.gateway.data(one, {"id": event["id"]}, as_=GRACE)["node"] is None


async def test_security_events_are_resumed_and_chosen_by_risk(desk: Desk) -> None:
    async with over_socket(desk.gateway, ADA, query=EVENTS) as stream:
        start = (await _hear(stream, await desk.write(ADA, "session.opened")))["cursor"]
    for action, risk in (
        ("key.created", "MEDIUM"),
        ("order.moved", "HIGH"),
        ("member.left", "LOW"),
        ("key.used", "HIGH"),
    ):
        await desk.write(ADA, action, risk=risk)
        await desk.write(GRACE, action, risk=risk)
    expected = {
        "LOW": ["key.created", "member.left", "key.used"],
        "MEDIUM": ["key.created", "key.used"],
        "HIGH": ["key.used"],
    }
    for risk, actions in expected.items():
        async with over_socket(desk.gateway, ADA, {"minRisk": risk, "after": start}, EVENTS) as stream:
            heard = [(await stream.next())["data"]["securityEvent"]["entry"]["action"] for _ in actions]
        assert heard == actions


async def test_what_is_erased_reads_as_null_and_the_rest_stays(desk: Desk) -> None:
    identity = await desk.write(ADA, "session.opened", origin=HERS)
    async with desk.database.scoped(desk.of[ADA]).transaction() as transaction:
        await erase_personal(transaction, HERS.user_id or "")
    nodes = {node["id"]: node for node in desk.log(ADA, first=3)["nodes"]}
    assert (nodes[identity]["ip"], nodes[identity]["userAgent"], nodes[identity]["actor"]) == (None, None, "usr_a")
    assert nodes[identity]["hash"] is not None


async def test_a_page_costs_as_many_statements_whatever_is_on_it(desk: Desk) -> None:
    for _ in range(12):
        await desk.write(ADA, "test.counted", target_id=await _first(desk, businesses, ADA), origin=HERS)
    costs = []
    for first in (1, 12):
        with desk.gateway.statements() as statements:
            desk.log(ADA, filter={"actions": ["test.counted"]}, first=first)
        costs.append(len([each for each in statements if "audit_" in each or "FROM businesses" in each]))
    assert costs == [4, 4]  # the page, its count, the personal parts, the targets


async def _hear(stream: SocketStream, entry_id: str) -> dict[str, Any]:
    """The event of an entry; before it there may be what other tests did, of which the gateway hears a moment later."""
    while True:
        event: dict[str, Any] = (await stream.next())["data"]["securityEvent"]
        if event["entry"]["id"] == entry_id:
            return event


async def _first(desk: Desk, table: Any, email: str) -> str:
    scope = desk.database.unscoped("tests look behind the gateway")
    statement = select(table.c.id).where(table.c.organization_id == desk.of[email]).order_by(table.c.id).limit(1)
    (found,) = await scope.fetch(statement, str)
    return found


async def _person(desk: Desk, email: str) -> str:
    scope = desk.database.unscoped("tests look behind the gateway")
    (found,) = await scope.fetch(select(users.c.id).where(users.c.email_key == email), str)
    return found


async def _event_ids(desk: Desk, entry_id: str) -> AsyncIterator[str]:
    for event in await events_of(desk.database.scoped(desk.of[ADA])):
        if event.subject_id == entry_id:
            yield event.id
