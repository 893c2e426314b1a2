"""What the body of a webhook tells: the event in the shape of a GraphQL answer, as far as its endpoint may know it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
import strawberry
from graphql import parse, validate
from sqlalchemy import Text, bindparam, select

from auth.principal import Principal
from auth.scopes import KNOWN_SCOPES
from datasources.database.columns import Id
from datasources.database.events import EventPosition
from datasources.database.ids import new_id
from datasources.database.scope import TENANT
from datasources.database.service_orders import move_service_order
from datasources.database.tables.access import audit_entries
from datasources.database.tables.gateway import events
from datasources.database.webhook_deliveries import ClaimedDelivery
from gateway import webhooks
from gateway.graphql.payload import Payload
from gateway.platforms import BUILT_IN
from gateway.webhooks import Bodies
from schema.composition import compose
from schema.directives import Cost, Public, scopes
from schema.event import Event
from schema.money import Money
from schema.node import Node
from schema.order import Order
from schema.platform import EventType, Platform
from schema.webhook_bodies import Reach, document, event_types, needed_for
from subscriptions.webhooks import NoBody
from tests.schema.in_process import InProcess, in_process
from tests.serving import ADA, GRACE

pytestmark = pytest.mark.anyio
ALL = sorted(KNOWN_SCOPES)


def sent(organization_id: str, event_id: str, place: EventPosition, event_type: str) -> ClaimedDelivery:
    """A delivery of an event to an endpoint that may be told everything."""
    return ClaimedDelivery(
        id="whd_" + "1" * 26,
        organization_id=organization_id,
        endpoint_id="whe_" + "1" * 26,
        event_id=event_id,
        event_type=event_type,
        tx=place.tx,
        position=place.position,
        sequence=17,
        attempts=2,
        give_up_at=datetime.now(UTC),
        url="https://hooks.example.com/",
        scopes=ALL,
        secret="sealed",
        previous_secret=None,
        previous_until=None,
        failing_since=None,
    )


@pytest.fixture(scope="module")
async def inside(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """A gateway over the demo data, once on each database."""
    async with in_process(database_url, tmp_path_factory.mktemp("inside")) as running:
        yield running


@pytest.fixture
def bodies(inside: InProcess) -> Bodies:
    return Bodies(inside.composition.graphql, inside.engine, inside.gateway.services.events.cursors)


async def rendered(bodies: Bodies, delivery: ClaimedDelivery) -> dict[str, Any]:
    """The body of a delivery, which there must be."""
    body = await bodies.render(delivery)
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found


ORDER = """{ orders(first: 1, filter: {platforms: ["messaging"], status: [PENDING]}) { nodes {
  __typename id number placedAt total { amount currency } business { id name currency }
} } }"""
_OF_SUBJECT = (
    select(events.c.id, events.c.tx, events.c.position)
    .where(
        events.c.organization_id == TENANT,
        events.c.subject_id == bindparam("subject", type_=Id),
        events.c.type == bindparam("kind", type_=Text()),
    )
    .order_by(events.c.position)
)


async def happened(inside: InProcess, who: Principal, subject: str, kind: str) -> list[ClaimedDelivery]:
    """The events of a thing, oldest first, as deliveries."""
    scope = inside.database.scoped(who.organization_id)

    def delivery(identity: str, tx: int, position: int) -> ClaimedDelivery:
        return sent(str(who.organization_id), identity, EventPosition(tx, position), kind)

    return await scope.fetch(_OF_SUBJECT, delivery, {"subject": subject, "kind": kind})


async def moved(inside: InProcess, who: Principal, *wanted: str) -> tuple[dict[str, Any], list[ClaimedDelivery]]:
    """An order that waited, moved so often, and the events of that."""
    (order,) = (await inside.data(ORDER, as_=who))["orders"]["nodes"]
    for status in wanted:
        async with inside.database.scoped(who.organization_id).transaction() as transaction:
            await move_service_order(transaction, order["id"], status, actor="a test")
    return order, (await happened(inside, who, order["id"], "OrderChanged"))[-len(wanted) :]


async def test_a_body_is_the_event_as_a_graphql_answer(inside: InProcess, bodies: Bodies) -> None:
    ada = await inside.person(ADA)
    order, (delivery,) = await moved(inside, ada, "CANCELLED")
    body = await rendered(bodies, delivery)
    event, cursor = body["data"]["event"], inside.cursor(ada, delivery.place)
    assert body.keys() == {"data", "extensions"}
    assert body["extensions"] == {
        "delivery": {
            "id": delivery.id,
            "attempt": 2,
            "sequence": 17,
            "cursor": cursor,
            "endpoint": delivery.endpoint_id,
        }
    }
    assert event.keys() == {"__typename", "id", "cursor", "at", "platform", "business", "order", "from", "to"}
    assert (event["__typename"], event["id"], event["cursor"]) == ("OrderChanged", delivery.event_id, cursor)
    assert (event["from"], event["to"], event["platform"]["key"]) == ("PENDING", "CANCELLED", "messaging")
    assert event["platform"].keys() == {"key", "name"}
    known = {name: order[name] for name in ("__typename", "id", "number", "placedAt", "total")}
    assert event["order"] == {**known, "status": "CANCELLED", "updatedAt": event["order"]["updatedAt"]}
    assert event["business"].items() >= order["business"].items()
    # As anybody sees it who asks for it by its id.
    query = "query ($id: ID!) { node(id: $id) { ... on OrderChanged { id cursor at from to } } }"
    (seen,) = (await inside.data(query, {"id": delivery.event_id}, as_=ada)).values()
    assert event.items() >= seen.items()


async def test_the_event_stays_and_what_it_points_to_is_told_as_it_stands(inside: InProcess, bodies: Bodies) -> None:
    ada = await inside.person(ADA)
    _, (first, _, _) = await moved(inside, ada, "PAYMENT_SUBMITTED", "REJECTED", "CANCELLED")
    event = (await rendered(bodies, first))["data"]["event"]
    assert (event["from"], event["to"]) == ("PENDING", "PAYMENT_SUBMITTED")
    assert event["order"]["status"] == "CANCELLED"


async def test_what_the_scopes_do_not_reach_is_left_out_without_a_word(inside: InProcess, bodies: Bodies) -> None:
    ada = await inside.person(ADA)
    _, (delivery,) = await moved(inside, ada, "CANCELLED")

    async def denials() -> int:
        found = await inside.database.unscoped("tests look behind the gateway").fetch(
            select(audit_entries.c.id).where(audit_entries.c.action.like("access.%")), str
        )
        return len(found)

    before = await denials()
    narrow = await rendered(bodies, delivery._replace(scopes=["events:read", "orders:read"]))
    assert narrow.keys() == {"data", "extensions"}
    assert "business" not in narrow["data"]["event"]
    assert narrow["data"]["event"]["order"]["status"] == "CANCELLED"
    for too_few in ([], ["orders:read"], ["events:read"], ["events:read", "businesses:read"]):
        assert await bodies.render(delivery._replace(scopes=too_few)) is None
    assert await denials() == before


async def test_anothers_event_has_no_body(inside: InProcess, bodies: Bodies) -> None:
    """As little as one that does not exist, or is not kept any more, or is of a platform that is off."""
    ada, grace = await inside.person(ADA), await inside.person(GRACE)
    _, (delivery,) = await moved(inside, ada, "CANCELLED")
    assert await bodies.render(delivery._replace(organization_id=str(grace.organization_id))) is None
    assert await bodies.render(delivery._replace(event_id=new_id("evt"))) is None
    assert await bodies.render(delivery._replace(event_type="RoomOpened")) is None
    assert await bodies.render(delivery) is not None


async def test_a_security_event_tells_its_entry(inside: InProcess, bodies: Bodies) -> None:
    ada = await inside.person(ADA)
    key = 'mutation { createApiKey(input: {name: "x", scopes: ["orders:read"]}) { apiKey { id } } }'
    key_id = (await inside.data(key, as_=ada))["createApiKey"]["apiKey"]["id"]
    query = '{ auditLog(first: 1, filter: {actions: ["key.created"]}) { nodes { id hash } } }'
    (entry,) = (await inside.data(query, as_=ada))["auditLog"]["nodes"]
    (delivery,) = await happened(inside, ada, entry["id"], "SecurityEvent")
    told = (await rendered(bodies, delivery))["data"]["event"]["entry"]
    assert (told["id"], told["hash"], told["action"]) == (entry["id"], entry["hash"], "key.created")
    assert told["details"]["scopes"] == ["orders:read"]
    assert "target" not in told
    assert key_id not in str(told)


async def test_what_cannot_be_read_now_is_tried_again(inside: InProcess, bodies: Bodies) -> None:
    """A fault is not taken for an event that is gone; a part that is missing is told as in any answer."""
    ada = await inside.person(ADA)
    _, (delivery,) = await moved(inside, ada, "CANCELLED")

    class Failing:
        def __init__(self) -> None:
            self.answer: dict[str, Any] = {"data": {"event": None}, "errors": [{"message": "Internal error."}]}

        async def execute(self, *_: object) -> Payload:
            return Payload(json.dumps(self.answer).encode())

    failing = Failing()
    bodies._engine = failing  # type: ignore[assignment]
    with pytest.raises(NoBody):
        await bodies.render(delivery)
    errors = [{"message": "Internal error.", "path": ["event", "business"]}]
    failing.answer = {"data": {"event": {"business": None}}, "errors": errors}
    assert (await rendered(bodies, delivery))["errors"] == errors


async def test_a_selection_is_made_once(inside: InProcess, bodies: Bodies, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await inside.person(ADA)
    _, (delivery,) = await moved(inside, ada, "CANCELLED")
    made: list[str] = []

    def counted(*arguments: Any) -> str:
        made.append(document(*arguments))
        return made[-1]

    monkeypatch.setattr(webhooks, "document", counted)
    for scopes_ in (ALL, ["events:read", "orders:read"], ALL, ["orders:read", "events:read"]):
        for attempt in range(3):
            await rendered(bodies, delivery._replace(scopes=scopes_, attempts=attempt))
    assert len(made) == 2


async def test_tight_limits_for_clients_are_not_for_bodies(inside: InProcess, bodies: Bodies) -> None:
    ada = await inside.person(ADA)
    _, (delivery,) = await moved(inside, ada, "CANCELLED")
    limits = inside.engine.limits
    inside.engine._documents._limits = replace(limits, max_tokens=10)
    try:
        assert "errors" in await inside.ask("{ businesses { nodes { id name currency status } } }", as_=ada)
        assert (await rendered(bodies, delivery))["data"]["event"]["id"] == delivery.event_id
    finally:
        inside.engine._documents._limits = limits


_Unit = Annotated[str, strawberry.argument(description="Which.")]


def in_a_unit(unit: _Unit) -> str:
    """Needs an argument."""
    return unit


def in_a_unit_or_ours(unit: _Unit = "EUR") -> str:
    """Needs none."""
    return unit


@strawberry.type(description="Somebody collects points.", directives=[Public(reason="Made up for a test.")])
class Card(Node):
    """A thing that an event points to."""

    owner: str = strawberry.field(description="Whose.")
    value: Money = strawberry.field(description="What it is worth.")
    stamps: list[int] = strawberry.field(description="Any number of them.")
    first: "Card | None" = strawberry.field(description="Another one.")
    secret: str | None = strawberry.field(description="For few.", directives=[scopes("keys:admin")])
    slow: str = strawberry.field(description="It takes long.", directives=[Cost(weight=10)])


@strawberry.type(description="Somebody got points.", directives=[scopes("usage:read", "campaigns:read customers:read")])
class PointsGiven(Event):
    """An event of a platform from outside."""

    points: int = strawberry.field(description="How many.")
    tags: list[str] = strawberry.field(description="What for.")
    old: int = strawberry.field(description="As it was called.", deprecation_reason="Use points.")
    card: Card | None = strawberry.field(description="Where they went.")
    cards: list[Card] = strawberry.field(description="All of them.")
    order: Order | None = strawberry.field(description="What it was for.")
    anything: Node | None = strawberry.field(description="Whatever it was for.")
    hidden: int | None = strawberry.field(description="For few.", directives=[scopes("platforms:admin")])

    worth: str = strawberry.field(resolver=in_a_unit, description="In a unit.")
    worth_now: str = strawberry.field(resolver=in_a_unit_or_ours, description="In a unit or in ours.")


def selected(*held: str) -> tuple[set[str], frozenset[str], set[str]]:
    """The words of the selection for ``PointsGiven``, what is lacking for it, and what it uses."""
    platform = Platform(key="loyalty", name="Loyalty", events=[EventType(PointsGiven)])
    schema = compose([*BUILT_IN, platform]).graphql
    kind, reach = event_types(schema)["PointsGiven"], Reach(frozenset(held))
    lacks, text = reach.lacks(needed_for(kind)), document(schema, kind, reach)
    assert validate(schema, parse(text)) == []
    return {*text.replace("{", " ").replace("}", " ").split(" on PointsGiven ")[1].split()}, lacks, reach.used


def test_a_selection_has_what_is_cheap_and_allowed() -> None:
    words, lacks, used = selected("events:read", "usage:read", "orders:read")
    assert lacks == frozenset()
    assert used == {"events:read", "usage:read", "orders:read"}
    assert words >= {"points", "tags", "worthNow", "card", "cards", "owner", "value", "amount", "currency", "order"}
    assert not words & {"old", "worth", "first", "stamps", "slow", "secret", "hidden", "anything", "business"}


def test_a_selection_uses_of_the_scopes_what_it_needs() -> None:
    words, lacks, used = selected(*KNOWN_SCOPES)
    assert {"hidden", "secret", "business", "anything"} <= words
    assert used >= {"platforms:admin", "keys:admin", "businesses:read"}
    words, lacks, used = selected("events:read", "customers:read", "campaigns:read")
    assert (lacks, used) == (frozenset(), {"events:read", "customers:read", "campaigns:read"})
    assert "order" not in words
    assert selected("events:read", "customers:read")[1] in ({"usage:read"}, {"campaigns:read"})
    assert selected("usage:read")[1] == {"events:read"}


def test_every_type_of_event_has_a_valid_selection() -> None:
    schema = compose(BUILT_IN).graphql
    assert {"OrderChanged", "SecurityEvent"} <= event_types(schema).keys()
    for kind in event_types(schema).values():
        for held in (KNOWN_SCOPES, frozenset[str]()):
            assert validate(schema, parse(document(schema, kind, Reach(held)))) == []
