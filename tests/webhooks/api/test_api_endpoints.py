"""Endpoints of webhooks: made by who may, told as much as they may, and nothing to anybody else."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from auth.principal import MemberRole, Principal
from auth.refusal import Refusal
from datasources.database.engine import Database
from datasources.database.tables.access import audit_entries
from datasources.database.tables.gateway import memberships
from datasources.database.tables.webhooks import webhook_endpoints
from datasources.keyring import Keyring
from schema.webhook_endpoints import WantedEndpoint
from tests.organizations.company import Company, Member, rows
from tests.serving import Running
from tests.webhooks.api.hooks import (
    LISTED,
    NOWHERE,
    URL,
    answer,
    delivered,
    deliveries,
    denied,
    do,
    endpoint,
    refused,
    stored,
)

pytestmark = pytest.mark.anyio
NOT_THERE = "whe_" + "0" * 26
SECRETS = ("secret", "previous_secret")


async def test_an_endpoint_is_made_and_its_secret_shown_once(
    acme: Company, gateway: Running, database: Database
) -> None:
    owner = await acme.member("OWNER")
    made = do(owner, "createWebhookEndpoint", url=NOWHERE, events=["SecurityEvent", "OrderChanged", "OrderChanged"])
    shown, secret = made["webhookEndpoint"], made["signingSecret"]
    assert (shown["url"], shown["events"], shown["status"]) == (NOWHERE, ["OrderChanged", "SecurityEvent"], "ACTIVE")
    assert shown["scopes"] == ["audit:read", "businesses:read", "events:read", "orders:read"]
    assert shown["createdBy"] == {"id": owner.id}
    assert (shown["firstFailureAt"], shown["previousSecretExpiresAt"]) == (None, None)
    assert secret.startswith("whsec_")
    (row,) = await stored(database, acme)
    keyring = Keyring(gateway.app.state.gateway.settings.keyring_file)
    assert keyring.unseal(row["secret"], f"webhook_endpoints.secret.{shown['id']}") == secret
    listed = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    assert listed == [shown]
    assert secret not in str(row)
    (entry,) = await acme.audited("webhook.created")
    assert (entry["actor"], entry["target_id"], entry["risk"]) == (owner.id, shown["id"], "MEDIUM")
    assert entry["details"] == {"host": "127.255.255.254", "events": shown["events"], "scopes": shown["scopes"]}


async def test_only_who_administers_webhooks_sees_and_changes_them(
    acme: Company, other: Company, database: Database
) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    mine, _ = endpoint(owner)
    theirs, _ = endpoint(stranger)
    before = (await stored(database, acme), await stored(database, other))
    calls: dict[str, dict[str, Any]] = {
        "createWebhookEndpoint": {"url": URL, "events": ["OrderChanged"]},
        "updateWebhookEndpoint": {"id": mine, "events": ["OrderChanged"]},
        "deleteWebhookEndpoint": {"id": mine},
        "rotateWebhookSecret": {"id": mine},
        "resumeWebhookEndpoint": {"id": mine},
        "replayWebhookDeliveries": {"endpointId": mine, "deliveryIds": []},
    }
    for nosy in (await acme.member("MEMBER"), await acme.member("VIEWER"), acme.program(owner, "orders:read")):
        assert nosy.sees(LISTED)["data"] == {"organization": {"webhookEndpoints": None}}
        assert nosy.sees(f'{{ node(id: "{mine}") {{ id }} }}')["data"] == {"node": None}
        for mutation, values in calls.items():
            assert denied(nosy, mutation, **values) == "FORBIDDEN"
    for mutation, values in calls.items():
        assert denied(Member(acme.gateway), mutation, **values) == "UNAUTHENTICATED"
        if mutation != "createWebhookEndpoint":
            anothers = refused(stranger, mutation, **values)
            argument = "endpointId" if "endpointId" in values else "id"
            assert anothers == refused(stranger, mutation, **{**values, argument: NOT_THERE})
            assert anothers[:2] == ("NOT_FOUND", [argument])
    listed = stranger.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    assert [each["id"] for each in listed] == [theirs]
    assert stranger.sees(f'{{ node(id: "{mine}") {{ id }} }}')["data"] == {"node": None}
    assert (await stored(database, acme), await stored(database, other)) == before
    entries = await rows(database, audit_entries, audit_entries.c.organization_id == other.id)
    assert [entry["action"] for entry in entries if entry["action"].startswith("webhook.")] == ["webhook.created"]


async def test_no_endpoint_is_told_more_than_who_makes_it(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    program = acme.program(owner, "webhooks:admin", "events:read", "orders:read")
    code, place, message = refused(program, "createWebhookEndpoint", url=URL, events=["OrderChanged", "SecurityEvent"])
    assert (code, place) == ("INVALID", ["events"])
    assert message.startswith("You lack audit:read yourself, which SecurityEvent needs.")
    blind = acme.program(owner, "webhooks:admin", "orders:read")
    message = refused(blind, "createWebhookEndpoint", url=URL, events=["OrderChanged"])[2]
    assert message.startswith("You lack events:read yourself")
    assert await stored(database, acme) == []
    made = do(program, "createWebhookEndpoint", url=URL, events=["OrderChanged"])["webhookEndpoint"]
    assert (made["scopes"], made["createdBy"]) == (["events:read", "orders:read"], None)


async def test_a_narrowed_token_makes_no_wider_endpoint(acme: Company, gateway: Running, database: Database) -> None:
    """A token of an outside issuer can have less than its person's role."""
    owner, running = await acme.member("OWNER"), gateway.app.state.gateway
    narrow = Principal(
        user_id=owner.id, organization_id=acme.id, role=MemberRole.OWNER, scopes=frozenset({"webhooks:admin"})
    )
    wanted = WantedEndpoint(URL, ["OrderChanged"])
    with pytest.raises(Refusal, match="You lack events:read yourself"):
        await running.services.webhooks.create(database.scoped(acme.id), narrow, running.composition.graphql, wanted)
    assert await stored(database, acme) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_cannot_be_is_refused_in_words(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    code, place, message = refused(
        owner, "createWebhookEndpoint", url=URL, events=["OrderChanged", "Everything", "\0é" * 99]
    )
    assert (code, place) == ("INVALID", ["events"])
    assert message.startswith("There is no type of event ")
    assert "Everything" in message
    assert message.endswith("There are: OrderChanged, SecurityEvent.")
    assert refused(owner, "createWebhookEndpoint", url=URL, events=[])[:2] == ("REQUIRED", ["events"])
    for url in (
        "http://8.8.8.8/hooks",
        "https://hooks.example.com:22/",
        "https://10.0.0.1/hooks",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://ada:secret@hooks.example.com/",
    ):
        assert refused(owner, "createWebhookEndpoint", url=url, events=["OrderChanged"])[:2] == ("INVALID", ["url"]), (
            url
        )
    mine, _ = endpoint(owner)
    for seconds in (-1, 604_801):
        wrong = refused(owner, "rotateWebhookSecret", id=mine, overlapSeconds=seconds)
        assert wrong[:2] == ("INVALID", ["overlapSeconds"])
    assert refused(owner, "updateWebhookEndpoint", id=mine, url="https://10.0.0.1/")[:2] == ("INVALID", ["url"])
    assert refused(owner, "updateWebhookEndpoint", id=mine, events=["Nothing"])[:2] == ("INVALID", ["events"])
    assert len(await stored(database, acme)) == 1
    assert await acme.audited("webhook.updated") == await acme.audited("webhook.secret_rotated") == []


async def test_an_organization_has_room_for_so_many(acme: Company, other: Company, database: Database) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    for _ in range(18):
        endpoint(owner)
    answers = await asyncio.gather(
        *(asyncio.to_thread(answer, owner, "createWebhookEndpoint", url=URL, events=["OrderChanged"]) for _ in range(5))
    )
    errors = [error["code"] for each in answers for error in each["data"]["createWebhookEndpoint"]["userErrors"]]
    assert errors == ["QUOTA_EXCEEDED"] * 3
    assert len(await stored(database, acme)) == len(await acme.audited("webhook.created")) == 20
    endpoint(stranger)
    do(owner, "deleteWebhookEndpoint", id=(await stored(database, acme))[0]["id"])
    endpoint(owner)


async def test_who_changes_an_endpoint_answers_for_what_it_is_told(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    mine, _ = endpoint(owner, "OrderChanged", "SecurityEvent", url=NOWHERE)
    (before,) = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    program = acme.program(owner, "webhooks:admin", "events:read", "orders:read")
    elsewhere = "https://elsewhere.example.com/"
    # Who may not read what it gets can't lead it elsewhere.
    assert refused(program, "updateWebhookEndpoint", id=mine, url=elsewhere)[:2] == ("INVALID", ["events"])
    (same,) = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    assert {**same, "firstFailureAt": None} == {**before, "firstFailureAt": None}
    changed = do(program, "updateWebhookEndpoint", id=mine, url=elsewhere, events=["OrderChanged"])
    assert changed["signingSecret"] is None
    shown = changed["webhookEndpoint"]
    assert (shown["url"], shown["events"]) == (elsewhere, ["OrderChanged"])
    assert shown["scopes"] == ["events:read", "orders:read"]
    assert shown["createdBy"] == {"id": owner.id}
    changed_by_now = {name for name in shown if shown[name] != before[name]}
    assert changed_by_now - {"firstFailureAt"} == {"url", "events", "scopes"}
    (entry,) = await acme.audited("webhook.updated")
    assert (entry["actor"], entry["target_id"], entry["risk"]) == (program.id, mine, "MEDIUM")
    assert entry["details"]["host"] == "elsewhere.example.com"
    # With nothing to change nothing is changed, and nothing written down.
    assert do(owner, "updateWebhookEndpoint", id=mine)["webhookEndpoint"]["url"] == elsewhere
    assert len(await acme.audited("webhook.updated")) == 1


async def test_a_new_secret_and_for_a_while_the_old_one(acme: Company, gateway: Running, database: Database) -> None:
    owner = await acme.member("OWNER")
    mine, first = endpoint(owner)
    rotated = do(owner, "rotateWebhookSecret", id=mine, overlapSeconds=3_600)
    second = rotated["signingSecret"]
    assert second.startswith("whsec_")
    assert second != first
    ends = datetime.fromisoformat(rotated["webhookEndpoint"]["previousSecretExpiresAt"])
    (row,) = await stored(database, acme)
    assert row["previous_until"] == ends
    assert timedelta(minutes=59) < ends - row["created_at"] < timedelta(minutes=70)
    keyring = Keyring(gateway.app.state.gateway.settings.keyring_file)
    assert [keyring.unseal(row[name], f"webhook_endpoints.{name}.{mine}") for name in SECRETS] == [second, first]
    (entry,) = await acme.audited("webhook.secret_rotated")
    assert (entry["actor"], entry["target_id"], entry["details"]) == (owner.id, mine, {"overlap_seconds": 3_600})
    assert second not in str(owner.sees(LISTED))


async def test_what_is_deleted_is_gone_with_its_deliveries(acme: Company, other: Company, database: Database) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    mine, _ = endpoint(owner)
    beside, _ = endpoint(owner)
    theirs, _ = endpoint(stranger)
    for company, each in ((acme, mine), (acme, beside), (other, theirs)):
        await delivered(database, company, each, ["DELIVERED", "FAILED"])
    gone = do(owner, "deleteWebhookEndpoint", id=mine)
    assert gone["webhookEndpoint"]["id"] == mine
    assert [row["id"] for row in await stored(database, acme)] == [beside]
    assert {row["endpoint_id"] for row in await deliveries(database, acme)} == {beside}
    assert len(await deliveries(database, other)) == 2
    assert refused(owner, "deleteWebhookEndpoint", id=mine)[:2] == ("NOT_FOUND", ["id"])
    assert len(await acme.audited("webhook.deleted")) == 1


async def test_an_endpoint_goes_on_when_its_maker_leaves(acme: Company, database: Database) -> None:
    maker, owner = await acme.member("ADMIN"), await acme.member("OWNER")
    mine, _ = endpoint(maker)
    assert owner.do("removeMember", userId=maker.id)["organization"]["id"] == acme.id
    assert maker.id not in {row["user_id"] for row in await rows(database, memberships)}
    (shown,) = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    assert (shown["id"], shown["status"], shown["createdBy"]) == (mine, "ACTIVE", None)


async def test_what_is_paused_is_resumed_by_hand(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    mine, _ = endpoint(owner)
    (before,) = await stored(database, acme)
    assert do(owner, "resumeWebhookEndpoint", id=mine)["webhookEndpoint"]["status"] == "ACTIVE"
    assert await acme.audited("webhook.resumed") == []
    for status in ("PAUSED_AFTER_FAILURES", "DISABLED"):
        async with database.writer.connect() as connection, connection.begin():
            changes = {"status": status, "failing_since": before["created_at"]}
            await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == mine).values(changes))
        (shown,) = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
        assert (shown["status"], shown["firstFailureAt"] is None) == (status, False)
        assert refused(owner, "replayWebhookDeliveries", endpointId=mine, deliveryIds=[])[:2] == (
            "NOT_ALLOWED_IN_STATE",
            ["endpointId"],
        )
        resumed = do(owner, "resumeWebhookEndpoint", id=mine)["webhookEndpoint"]
        assert resumed["status"] == "ACTIVE"
        (entry,) = [each for each in await acme.audited("webhook.resumed") if each["details"] == {"was": status}]
        assert (entry["actor"], entry["target_id"]) == (owner.id, mine)
