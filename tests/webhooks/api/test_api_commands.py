"""``tributary webhooks`` beside a gateway that runs: what an operator sees of webhooks, and mends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess

import pytest
from sqlalchemy import update

from datasources.database import webhook_replays
from datasources.database.engine import Database
from datasources.database.events import BEGINNING, EventPosition, NewEvent, append_event
from datasources.database.tables.webhooks import webhook_endpoints
from datasources.database.tables.webhooks import webhook_replays as webhook_replays_table
from tests.gateway.inline import run_inline
from tests.organizations.company import Company, rows
from tests.serving import Running
from tests.webhooks.api.hooks import LISTED, NOWHERE, delivered, deliveries, do, endpoint, stored

pytestmark = pytest.mark.anyio
Command = Callable[..., Awaitable[CompletedProcess[str]]]


@pytest.fixture
def command(gateway: Running) -> Command:
    """Runs a command on the database and the keys of the gateway."""
    folder = str(gateway.app.state.gateway.settings.data_dir)
    settings = {"DATABASE_URL": gateway.database_url, "DATA_DIR": folder}

    async def call(*arguments: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(run_inline, "webhooks", *arguments, settings=settings)

    return call


async def pause(database: Database, endpoint_id: str) -> None:
    """Has an endpoint have failed for days."""
    async with database.writer.connect() as connection, connection.begin():
        changes = {"status": "PAUSED_AFTER_FAILURES", "failing_since": datetime(2026, 11, 1, 9, 30, tzinfo=UTC)}
        await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(changes))


async def test_an_operator_sees_how_endpoints_are_doing(
    acme: Company, other: Company, database: Database, command: Command
) -> None:
    mine, secret = endpoint(await acme.member("OWNER"), "OrderChanged", "SecurityEvent", url=NOWHERE)
    theirs, _ = endpoint(await other.member("OWNER"))
    await delivered(database, acme, mine, ["DELIVERED", "FAILED", "FAILED", "PENDING"])
    await delivered(database, other, theirs, ["FAILED"])
    await pause(database, mine)
    listed = await command("list")
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert lines.keys() >= {mine, theirs}
    assert lines[mine] == (
        f"{mine}  {acme.id}  {NOWHERE}  (OrderChanged SecurityEvent)  "
        "PAUSED_AFTER_FAILURES, failing since 2026-11-01 09:30 UTC, 1 waiting, 2 failed"
    )
    assert lines[theirs].endswith("  (OrderChanged)  ACTIVE, 0 waiting, 1 failed")
    assert secret not in listed.stdout
    assert (await command("list", "--organization", acme.id)).stdout == f"{lines[mine]}\n"
    assert (await command("list", "--organization", "org_x")).stderr == "tributary: there is no organization org_x\n"


async def test_an_operator_resumes_and_replays(
    acme: Company, other: Company, gateway: Running, database: Database, command: Command
) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    mine, _ = endpoint(owner, url=NOWHERE)
    theirs, _ = endpoint(stranger, url=NOWHERE)
    ids = await delivered(database, acme, mine, ["FAILED"] * 4)
    await delivered(database, other, theirs, ["FAILED"] * 4)
    await pause(database, mine)
    await pause(database, theirs)
    refused = await command("replay", mine, "--delivery", ids[0])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "tributary: Nothing is sent to this endpoint. Resume it first, and replay then.\n"
    resumed = await command("resume", mine)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert resumed.stdout == f"{mine} is active. What waits for it is delivered now.\n"
    (shown,) = owner.sees(LISTED)["data"]["organization"]["webhookEndpoints"]
    assert (shown["status"], shown["firstFailureAt"]) == ("ACTIVE", "2026-11-01T09:30:00Z")
    some = await command("replay", mine, "--delivery", ids[0], "--delivery", ids[1])
    assert (some.stdout, some.stderr) == ("Deliveries on their way: 2.\n", "")
    cursors = gateway.app.state.gateway.services.events.cursors
    rest = await command("replay", mine, "--after", cursors.encode(acme.id, EventPosition(0, 3)))
    assert (rest.stdout, rest.stderr) == ("Deliveries on their way: 1.\n", "")
    assert [row["status"] for row in await deliveries(database, acme) if row["id"] == ids[2]] == ["FAILED"]
    entries = [entry for action in ("resumed", "replayed") for entry in await acme.audited(f"webhook.{action}")]
    assert [entry["actor"] for entry in entries] == ["operator"] * 3
    assert [entry["details"].get("deliveries") for entry in entries] == [None, 2, 1]
    # All this was nothing to the others.
    assert [row["status"] for row in await stored(database, other)] == ["PAUSED_AFTER_FAILURES"]
    assert {row["status"] for row in await deliveries(database, other)} == {"FAILED"}


async def test_how_far_a_long_replay_is_can_be_seen(
    acme: Company,
    other: Company,
    gateway: Running,
    database: Database,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its receiver takes nothing, so it stays where it is: at the end of its first step."""
    monkeypatch.setattr(webhook_replays, "STEP", 2)
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    async with database.scoped(acme.id).transaction() as transaction:
        for number in range(5):
            await append_event(transaction, NewEvent("messaging", "OrderChanged", f"sor_{number}", None, {}))
    mine, _ = endpoint(owner, url=NOWHERE)
    theirs, _ = endpoint(stranger, url=NOWHERE)
    query = (
        "query ($id: ID!) { node(id: $id) { ... on WebhookEndpoint { replay { scheduled totalCount requestedAt } } } }"
    )
    assert owner.sees(query, {"id": mine})["data"]["node"] == {"replay": None}
    cursor = gateway.app.state.gateway.services.events.cursors.encode(acme.id, BEGINNING)
    asked = await command("replay", mine, "--after", cursor)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == (
        "Deliveries on their way: 5.\n"
        "2 of 5 are due now. A gateway that runs goes on as they are taken; see: tributary webhooks list\n"
    )
    assert do(owner, "replayWebhookDeliveries", endpointId=mine, after=cursor)["scheduled"] == 5
    replay = owner.sees(query, {"id": mine})["data"]["node"]["replay"]
    assert (replay["scheduled"], replay["totalCount"]) == (2, 5)
    assert datetime.now(UTC) - datetime.fromisoformat(replay["requestedAt"]) < timedelta(minutes=5)
    lines = {line.split()[0]: line for line in (await command("list")).stdout.splitlines()}
    assert lines[mine].endswith(", 2 waiting, 0 failed, replay at 2 of 5")
    assert lines[theirs].endswith(", 0 waiting, 0 failed")
    assert stranger.sees(query, {"id": mine})["data"]["node"] is None
    assert [entry["details"] for entry in await acme.audited("webhook.replayed")] == [{"deliveries": 5}] * 2
    assert await rows(database, webhook_replays_table, webhook_replays_table.c.organization_id == other.id) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_mistakes_are_told_and_change_nothing(
    acme: Company, other: Company, gateway: Running, database: Database, command: Command
) -> None:
    mine, _ = endpoint(await acme.member("OWNER"), url=NOWHERE)
    await delivered(database, acme, mine, ["FAILED"])
    foreign = gateway.app.state.gateway.services.events.cursors.encode(other.id, EventPosition(0, 0))
    before = (await stored(database, acme), await deliveries(database, acme))
    for arguments, words in (
        (["replay", "whe_x", "--after", "x"], "there is no webhook endpoint whe_x. See: tributary webhooks list"),
        (["resume", "whe_x"], "there is no webhook endpoint whe_x."),
        (["replay", mine, "--after", "x"], "That is not the cursor of an event of yours."),
        (["replay", mine, "--after", foreign], "That is not the cursor of an event of yours."),
    ):
        refused = await command(*arguments)
        assert refused.returncode == 1, arguments
        assert refused.stderr.startswith(f"tributary: {words}"), refused.stderr
        assert "Traceback" not in refused.stderr
    for wrong in (["replay", mine], ["replay", mine, "--after", "x", "--delivery", "whd_x"]):
        refused = await command(*wrong)
        assert refused.returncode == 2
        assert "--after" in refused.stderr
    assert (await stored(database, acme), await deliveries(database, acme)) == before
