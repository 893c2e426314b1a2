"""What happens in an organization arrives at its endpoints, signed, in the order of the log, and nowhere else."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from standardwebhooks import WebhookVerificationError

from datasources.database.sealed import reseal, sealed_columns
from datasources.database.tables.metadata import metadata
from datasources.database.tables.webhooks import webhook_endpoints, webhook_reader
from datasources.database.webhooks import (
    MOST_ENDPOINTS,
    TooManyEndpoints,
    delete_endpoint,
    endpoints_by_id,
    endpoints_of,
    rotate_secret,
    update_endpoint,
)
from tests.webhooks.delivery.world import OTHERS, OURS, World, rows, until

pytestmark = pytest.mark.anyio


async def test_each_event_arrives_signed_at_the_endpoints_of_its_organization(world: World) -> None:
    theirs = await world.endpoint(OTHERS, path="/theirs")
    before = await world.happen()
    mine = await world.endpoint(path="/mine")
    broad = await world.endpoint(OURS, "OrderChanged", "SecurityEvent", path="/broad")
    async with world.running():
        first = await world.happen(count=3)
        others = await world.happen(OTHERS)
        security = await world.happen(kind="SecurityEvent")
        await world.happen(kind="UsageChanged")
        found = await world.until_settled(3 + 4 + 1)
    assert before[0] not in {row["event_id"] for row in found}
    for path, endpoint, events in (
        ("/mine", mine, first),
        ("/broad", broad, [*first, *security]),
        ("/theirs", theirs, others),
    ):
        arrived = world.receiver.at(path)
        assert {each.verified(endpoint.secret)["event"] for each in arrived} == set(events)
        stored = [row for row in found if row["endpoint_id"] == endpoint.id]
        assert [(row["event_id"], row["sequence"]) for row in stored] == [
            (event, number) for number, event in enumerate(events, 1)
        ]
        assert {row["id"] for row in stored} == {each.id for each in arrived}
        assert {(row["attempts"], row["response_status"], row["error"]) for row in stored} == {(1, 204, None)}
        for other in {mine.secret, broad.secret, theirs.secret} - {endpoint.secret}:
            with pytest.raises(WebhookVerificationError):
                arrived[0].verified(other)
    request = world.receiver.at("/mine")[0]
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Tributary-Webhooks"
    assert request.headers["host"] == f"127.0.0.1:{world.receiver.port}"
    # A receiver that sets a cookie is not given it back.
    assert not any("cookie" in each.headers for each in world.receiver.arrived)


async def test_without_an_endpoint_an_event_costs_no_write(world: World) -> None:
    statements: list[str] = []
    async with world.running(poll_seconds=0.02):
        await world.happen()
        world.database.observers.append(lambda sql: statements.append(sql.split()[0]))
        await until(lambda: len(statements) > 20)
        world.database.observers.clear()
    assert set(statements) == {"SELECT"}
    assert await rows(world.database, webhook_reader) == []


async def test_the_events_of_others_wake_nobody(world: World) -> None:
    await world.endpoint(OTHERS)
    async with world.running(poll_seconds=3_600) as webhooks:
        await until(lambda: bool(webhooks._reader._organizations))
        await asyncio.sleep(0.2)  # its first look is over
        statements: list[str] = []
        await world.happen(OURS)
        world.database.observers.append(statements.append)
        events = webhooks._events
        place = (await rows(world.database, webhook_reader))[0]
        await until(lambda: events.position > (place["tx"], place["position"]))
        await asyncio.sleep(0)
        world.database.observers.clear()
    assert not any("webhook" in sql and "UPDATE" in sql for sql in statements)
    assert await world.deliveries() == []


async def test_what_an_endpoint_gets_can_change(world: World) -> None:
    made = await world.endpoint(path="/old")
    async with world.running():
        await world.happen()
        await world.until_settled(1)
        async with world.database.scoped(OURS).transaction() as transaction:
            url = f"{world.receiver.url}/new"
            assert await update_endpoint(transaction, made.id, url, ["SecurityEvent"], ["audit:read", "events:read"])
        await world.happen()
        (wanted,) = await world.happen(kind="SecurityEvent")
        found = await world.until_settled(2)
    assert [(row["event_type"], row["sequence"]) for row in found] == [("OrderChanged", 1), ("SecurityEvent", 2)]
    assert [each.event for each in world.receiver.at("/new")] == [wanted]
    async with world.database.scoped(OTHERS).transaction() as transaction:
        assert not await update_endpoint(transaction, made.id, "https://evil.example.com/", ["OrderChanged"], [])
    assert (await world.stored(made.id))["url"] == url


async def test_an_endpoint_that_is_made_later_gets_what_happens_from_then_on(world: World) -> None:
    """Also when it is the only one, or the first after a time without any."""
    first = await world.endpoint(path="/first")
    async with world.running():
        await world.happen()
        await world.until_settled(1)
        async with world.database.scoped(OURS).transaction() as transaction:
            assert await delete_endpoint(transaction, first.id)
        assert await world.deliveries() == []
        await world.happen(count=700)
        await world.endpoint(path="/second")
        (wanted,) = await world.happen()
        found = await world.until_settled(1)
    assert [(row["event_id"], row["sequence"]) for row in found] == [(wanted, 1)]
    assert [each.event for each in world.receiver.at("/second")] == [wanted]


async def test_a_new_secret_signs_beside_the_old_one_for_a_while(world: World) -> None:
    made = await world.endpoint(path="/hook")

    async def rotated(overlap: timedelta) -> str:
        async with world.database.scoped(OURS).transaction() as transaction:
            secret = await rotate_secret(transaction, world.keyring, made.id, overlap)
        assert secret is not None
        return secret

    async def arrived(number: int) -> None:
        await world.happen()
        await world.until_settled(number)

    async with world.running():
        second = await rotated(timedelta(hours=1))
        await arrived(1)
        world.pass_(timedelta(hours=2))
        await arrived(2)
        world.clock.now -= timedelta(hours=2)
        third = await rotated(timedelta(hours=1))
        # Sealed anew under a new key, as `secrets rotate` does, both still sign.
        world.keyring.add_encryption_key()
        done = await reseal(world.database, world.keyring, list(sealed_columns([metadata])), progress=lambda _: None)
        assert (done.count, done.unreadable) == (2, [])
        await arrived(3)
        fourth = await rotated(timedelta())
        await arrived(4)
    both, new_only, newer, newest = world.receiver.at("/hook")
    assert both.verified(made.secret) == both.verified(second)
    assert len(both.headers["webhook-signature"].split()) == 2
    assert len(new_only.headers["webhook-signature"].split()) == 1
    assert newer.verified(second) == newer.verified(third)
    newest.verified(fourth)
    for arrived_, old in ((newer, made.secret), (newest, second), (newest, third)):
        with pytest.raises(WebhookVerificationError):
            arrived_.verified(old)
    stored = await world.stored(made.id)
    assert not any(secret in str(stored) for secret in (made.secret, second, third, fourth))
    async with world.database.scoped(OTHERS).transaction() as transaction:
        assert await rotate_secret(transaction, world.keyring, made.id, timedelta()) is None


async def test_endpoints_are_of_one_organization_and_not_without_number(world: World) -> None:
    made = [await world.endpoint() for _ in range(MOST_ENDPOINTS)]
    with pytest.raises(TooManyEndpoints):
        await world.endpoint()
    theirs = await world.endpoint(OTHERS)
    ours, others = world.database.scoped(OURS), world.database.scoped(OTHERS)
    listed = await endpoints_of(ours, [OURS, OTHERS])
    assert listed[OTHERS] is None
    assert [row.id for row in listed[OURS] or ()] == [each.id for each in reversed(made)]
    assert set(await endpoints_by_id(ours, [made[0].id, theirs.id])) == {made[0].id}
    async with others.transaction() as transaction:
        assert not await delete_endpoint(transaction, made[0].id)
    assert len(await rows(world.database, webhook_endpoints)) == MOST_ENDPOINTS + 1


async def test_what_is_deleted_while_it_is_posted_leaves_nothing(world: World) -> None:
    made = await world.endpoint(path="/slow")
    beside = await world.endpoint(path="/beside")
    world.receiver.slow["/slow"] = asyncio.Event()
    world.receiver.always["/slow"] = "500 Sorry"
    async with world.running() as webhooks:
        await world.happen()
        await until(lambda: world.receiver.waiting == ["/slow"])
        async with world.database.scoped(OURS).transaction() as transaction:
            assert await delete_endpoint(transaction, made.id)
        world.receiver.slow["/slow"].set()
        await until(lambda: not webhooks._posting)
    assert {row["endpoint_id"] for row in await world.deliveries()} == {beside.id}


async def test_an_event_that_is_not_kept_any_more_is_given_up(world: World) -> None:
    gone = await world.endpoint(path="/gone")

    async def nothing(_: object) -> None:
        return None

    world.render = nothing
    async with world.running():
        await world.happen()
        (found,) = await world.until_settled(1, "FAILED")
    assert "not kept any more" in found["error"]
    assert world.receiver.arrived == []
    # That is no fault of the endpoint.
    stored = await world.stored(gone.id)
    assert (stored["status"], stored["failing_since"]) == ("ACTIVE", None)


async def test_two_processes_make_one_delivery_of_each_event(world: World, database_again: World) -> None:
    endpoints = [await world.endpoint(path=f"/{number}") for number in range(2)]
    theirs = await world.endpoint(OTHERS, path="/theirs")
    async with world.running(poll_seconds=0.05), database_again.running(poll_seconds=0.05):
        writers = (
            writer.happen(organization, 3)
            for _ in range(10)
            for writer in (world, database_again)
            for organization in (OURS, OTHERS)
        )
        await asyncio.gather(*writers)
        found = await world.until_settled(60 * 3)
    assert len(found) == 60 * 3
    for endpoint in (*endpoints, theirs):
        stored = [row for row in found if row["endpoint_id"] == endpoint.id]
        assert [row["sequence"] for row in stored] == list(range(1, 61))
        assert len({row["event_id"] for row in stored}) == 60
    times = Counter((each.path, each.event) for each in world.receiver.arrived)
    assert set(times.values()) == {1}
    assert len(times) == 60 * 3
