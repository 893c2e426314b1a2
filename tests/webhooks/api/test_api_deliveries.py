"""Deliveries of webhooks: listed for who administers them, and delivered again on demand."""

from datetime import datetime

import pytest

from datasources.database.engine import Database
from datasources.database.events import EventPosition
from datasources.database.tables.webhooks import event_horizons
from tests.organizations.company import Company, Member
from tests.serving import Running
from tests.webhooks.api.hooks import DELIVERY, NOWHERE, delivered, deliveries, do, endpoint, refused

pytestmark = pytest.mark.anyio
PAGE = f"""query ($id: ID!, $filter: WebhookDeliveryFilter, $first: Int, $after: String) {{
  node(id: $id) {{ ... on WebhookEndpoint {{
    deliveries(filter: $filter, first: $first, after: $after) {{
      totalCount nodes {DELIVERY} pageInfo {{ hasNextPage endCursor }}
    }}
  }} }}
}}"""


def page(who: Member, endpoint_id: str, **variables: object) -> dict[str, object]:
    """A page of the deliveries of an endpoint."""
    answer = who.sees(PAGE, {"id": endpoint_id, **variables})
    assert "errors" not in answer, answer
    found: dict[str, object] = answer["data"]["node"]["deliveries"]
    return found


def cursor_of(gateway: Running, company: Company, position: int) -> str:
    """The cursor of a place in the log of a company."""
    text: str = gateway.app.state.gateway.services.events.cursors.encode(company.id, EventPosition(0, position))
    return text


async def test_deliveries_are_listed_the_newest_first(
    acme: Company, other: Company, gateway: Running, database: Database
) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    mine, _ = endpoint(owner)
    beside, _ = endpoint(owner)
    theirs, _ = endpoint(stranger)
    ids = await delivered(database, acme, mine, ["DELIVERED", "FAILED", "DELIVERED", "FAILED", "DELIVERED"])
    await delivered(database, acme, beside, ["DELIVERED"])
    await delivered(database, other, theirs, ["DELIVERED"])
    first = owner.sees(PAGE, {"id": mine, "first": 3})["data"]["node"]["deliveries"]
    assert [each["id"] for each in first["nodes"]] == ids[:1:-1]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (5, True)
    second = owner.sees(PAGE, {"id": mine, "first": 3, "after": first["pageInfo"]["endCursor"]})
    assert [each["id"] for each in second["data"]["node"]["deliveries"]["nodes"]] == ids[1::-1]
    newest, failed = first["nodes"][:2]
    assert {name: newest[name] for name in ("eventType", "sequence", "status", "attempts", "responseStatus")} == {
        "eventType": "OrderChanged",
        "sequence": "5",
        "status": "DELIVERED",
        "attempts": 1,
        "responseStatus": 204,
    }
    assert datetime.fromisoformat(newest["deliveredAt"]) == datetime.fromisoformat(newest["createdAt"])
    assert (newest["error"], newest["nextAttemptAt"], newest["event"]) == (None, None, None)
    assert newest["cursor"] == cursor_of(gateway, acme, 5)
    assert (failed["deliveredAt"], failed["error"]) == (None, "it answered 503")
    only = page(owner, mine, filter={"status": ["FAILED"]})
    assert only["totalCount"] == 2
    assert page(owner, mine, filter={"types": ["SecurityEvent"]})["totalCount"] == 0
    # One delivery by its id: for its organization alone.
    query = f'{{ node(id: "{ids[0]}") {{ ... on WebhookDelivery {{ id }} }} }}'
    assert owner.sees(query)["data"] == {"node": {"id": ids[0]}}
    assert stranger.sees(query)["data"] == {"node": None}
    assert (await acme.member("MEMBER")).sees(query)["data"] == {"node": None}


async def test_deliveries_are_replayed_by_id(acme: Company, other: Company, database: Database) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    mine, _ = endpoint(owner, url=NOWHERE)
    theirs, _ = endpoint(stranger, url=NOWHERE)
    ids = await delivered(database, acme, mine, ["DELIVERED", "FAILED", "FAILED"])
    foreign = await delivered(database, other, theirs, ["FAILED"])
    wanted = [ids[0], ids[1], ids[1], foreign[0], "whd_" + "0" * 26]
    assert do(owner, "replayWebhookDeliveries", endpointId=mine, deliveryIds=wanted)["scheduled"] == 2
    (untouched,) = [row for row in await deliveries(database, acme) if row["id"] == ids[2]]
    assert untouched["status"] == "FAILED"
    assert {row["id"] for row in await deliveries(database, acme)} == set(ids)
    assert [row["status"] for row in await deliveries(database, other)] == ["FAILED"]
    (entry,) = await acme.audited("webhook.replayed")
    assert (entry["actor"], entry["target_id"], entry["details"]) == (owner.id, mine, {"deliveries": 2})
    # Nothing was asked of what is not theirs, so nothing is written down.
    assert do(stranger, "replayWebhookDeliveries", endpointId=theirs, deliveryIds=ids)["scheduled"] == 0
    assert await other.audited("webhook.replayed") == []
    assert [row["status"] for row in await deliveries(database, other)] == ["FAILED"]


async def test_what_cannot_be_replayed_is_told(
    acme: Company, other: Company, gateway: Running, database: Database
) -> None:
    owner = await acme.member("OWNER")
    mine, _ = endpoint(owner, url=NOWHERE)
    ids = await delivered(database, acme, mine, ["FAILED"] * 3)
    mutation = "replayWebhookDeliveries"
    both = {"after": cursor_of(gateway, acme, 1), "deliveryIds": ids}
    for values in ({}, both):
        assert refused(owner, mutation, endpointId=mine, **values)[:2] == ("REQUIRED", ["after"])
    for cursor in ("", "no cursor", cursor_of(gateway, other, 1), cursor_of(gateway, acme, 1)[:-1]):
        assert refused(owner, mutation, endpointId=mine, after=cursor)[:2] == ("INVALID", ["after"])
    assert refused(owner, mutation, endpointId=mine, deliveryIds=[f"whd_{number}" for number in range(251)])[:2] == (
        "INVALID",
        ["deliveryIds"],
    )
    async with database.scoped(acme.id).transaction() as transaction:
        await transaction.insert(event_horizons, [{"tx": 0, "position": 2}])
    query = f'mutation {{ {mutation}(input: {{endpointId: "{mine}", after: "%s"}}) {{ scheduled }} }}'
    (error,) = owner.sees(query % cursor_of(gateway, acme, 1))["errors"]
    assert error["extensions"]["oldestCursor"] == cursor_of(gateway, acme, 2)
    assert [row["status"] for row in await deliveries(database, acme)] == ["FAILED"] * 3
    assert await acme.audited("webhook.replayed") == []
    assert do(owner, mutation, endpointId=mine, after=error["extensions"]["oldestCursor"])["scheduled"] == 1
