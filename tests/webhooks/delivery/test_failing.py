"""What an endpoint does not take is tried again, ever more rarely, for 72 hours; who takes nothing is let alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from datasources.database.webhook_deliveries import (
    GIVE_UP,
    KEEP,
    LEASE,
    ClaimedDelivery,
    Delivered,
    Full,
    TriedElsewhere,
    Undelivered,
    claim,
    next_due,
    settle,
    tidy,
)
from datasources.database.webhook_reader import read_on
from datasources.database.webhooks import resume_endpoint
from datasources.webhooks.post import Answer
from subscriptions import webhooks as sending
from subscriptions.webhooks import AT_ONCE, AT_ONCE_OF_ONE, PAUSES, NoBody, asked_to_wait, pause_after
from tests.webhooks.delivery.world import OTHERS, OURS, World, opened, until

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)


async def resume(world: World, endpoint_id: str, organization: str = OURS) -> bool:
    """Goes on with an endpoint, as its organization asks for."""
    async with world.database.scoped(organization).transaction() as transaction:
        done = await resume_endpoint(transaction, endpoint_id, now=world.clock())
    if world.webhooks is not None:
        world.webhooks.wake()
    return done


async def test_what_fails_is_tried_again_as_the_same_delivery_until_it_is_given_up(world: World) -> None:
    made = await world.endpoint(path="/hook")
    world.receiver.always["/hook"] = "500 Sorry"
    attempt = 0
    async with world.running():
        await world.happen()
        while True:
            attempt += 1
            row = await world.until_tried(attempt)
            assert (row["response_status"], row["error"]) == (500, "it answered 500")
            if row["status"] != "PENDING":
                break
            pause = row["next_attempt_at"] - world.clock()
            steady = PAUSES[min(attempt, len(PAUSES)) - 1]
            if row["next_attempt_at"] != row["give_up_at"]:
                assert steady * 0.8 <= pause <= steady * 1.2
            world.pass_(pause - SECOND)
            await asyncio.sleep(0)
            world.pass_(SECOND)
        assert (row["status"], row["next_attempt_at"]) == ("FAILED", None)
        # The last attempt is made when the time is over, neither before nor after.
        assert row["settled_at"] - world.clock.start == GIVE_UP
        assert len(PAUSES) < attempt < 30
        stored = await world.stored(made.id)
        assert (stored["status"], stored["failing_since"]) == ("PAUSED_AFTER_FAILURES", world.clock.start)
        # What happens from now on waits, untried.
        (later,) = await world.happen()
        found = await world.until_deliveries(lambda found: len(found) == 2)
        assert [(row["status"], row["next_attempt_at"]) for row in found] == [("FAILED", None), ("PENDING", None)]
        arrived = world.receiver.at("/hook")
        assert len(arrived) == attempt
        assert not await resume(world, made.id, OTHERS)
        world.receiver.always.clear()
        assert await resume(world, made.id)
        await world.until_settled(1)
    assert {each.id for each in arrived} == {row["id"]}
    assert len({each.headers["webhook-signature"] for each in arrived}) == attempt
    assert [each.event for each in world.receiver.at("/hook")[attempt:]] == [later]
    stored = await world.stored(made.id)
    assert (stored["status"], stored["failing_since"]) == ("ACTIVE", None)
    (entry,) = await world.audited()
    assert (entry["organization_id"], entry["actor"], entry["action"], entry["target_id"]) == (
        OURS,
        "system",
        "webhook.paused",
        made.id,
    )


async def test_one_that_is_never_taken_pauses_nobody_who_takes_the_others(world: World) -> None:
    made = await world.endpoint(path="/hook")
    world.receiver.answers["/hook"] = ["422 No"]
    async with world.running():
        await world.happen()
        await world.until_tried(1)
        await world.happen()
        await world.until_settled(1)
        world.receiver.answers["/hook"] = ["422 No"]
        world.pass_(GIVE_UP)
        found = await world.until_settled(1, "FAILED")
    assert [row["status"] for row in found] == ["FAILED", "DELIVERED"]
    assert (await world.stored(made.id))["status"] == "ACTIVE"
    assert await world.audited() == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_receiver_that_asks_for_time_gets_it(world: World) -> None:
    await world.endpoint(path="/hook")
    world.receiver.answers["/hook"] = [
        "429 Slow\r\nretry-after: 3600",
        f"503 Away\r\nretry-after: {format_datetime(world.clock.start + timedelta(hours=3), usegmt=True)}",
        "429 Slow\r\nretry-after: 99999999999",
        "503 Away\r\nretry-after: soon",
        "500 Sorry\r\nretry-after: 3600",
    ]
    waits = []
    async with world.running():
        await world.happen()
        for attempt in range(1, 6):
            row = await world.until_tried(attempt)
            waits.append(row["next_attempt_at"] - world.clock())
            world.pass_(waits[-1])
        await world.until_settled(1)
    assert waits[0] == timedelta(hours=1)
    assert timedelta(hours=2) - SECOND <= waits[1] <= timedelta(hours=2)
    assert waits[2] == timedelta(hours=6)
    assert [PAUSES[number] * 0.8 <= waits[number] <= PAUSES[number] * 1.2 for number in (3, 4)] == [True, True]


def test_pauses_are_as_promised_and_differ() -> None:
    assert [pause_after(attempt, chance=lambda: 0.5) for attempt in (1, 2, 3, 9, 10, 99)] == [
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(hours=6),
        timedelta(hours=6),
        timedelta(hours=6),
    ]
    assert len({pause_after(1) for _ in range(20)}) > 1
    endless = f"Fri, 31 Dec {'9' * 20} 23:59:59 GMT"
    for text in ("", "-1", "1.5", "Fri, 99 Foo", "٣", "Mon, 01 Jan 2001 00:00:00 GMT", endless):
        assert asked_to_wait(Answer(503, text), datetime.now(UTC)) == timedelta()


async def test_who_is_gone_is_asked_no_more_until_it_is_resumed(world: World) -> None:
    made = await world.endpoint(path="/hook")
    theirs = await world.endpoint(OTHERS, path="/theirs")
    world.receiver.answers["/hook"] = ["500 Sorry", "410 Gone"]
    async with world.running():
        await world.happen()
        await world.until_deliveries(lambda found: any(row["error"] for row in found))
        await world.happen()  # waits, because its endpoint fails
        await world.until_deliveries(lambda found: len(found) == 2)
        world.pass_(timedelta(minutes=1))
        await world.until_settled(1, "FAILED")
        assert (await world.stored(made.id))["status"] == "DISABLED"
        await world.happen()  # nobody wants it
        await world.happen(OTHERS)
        await world.until_settled(1)
        world.pass_(GIVE_UP / 2)
        await asyncio.sleep(0.02)
        assert len(world.receiver.at("/hook")) == 2
        assert await resume(world, made.id)
        assert not await resume(world, made.id)
        found = await world.until_settled(2)
    assert [(row["status"], row["sequence"]) for row in found if row["endpoint_id"] == made.id] in (
        [("FAILED", 1), ("DELIVERED", 2)],
        [("DELIVERED", 1), ("FAILED", 2)],
    )
    assert [entry["action"] for entry in await world.audited()] == ["webhook.disabled"]
    assert (await world.stored(theirs.id))["status"] == "ACTIVE"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_slow_receiver_holds_up_no_other_and_a_failing_one_is_asked_once_at_a_time(world: World) -> None:
    await world.endpoint(path="/slow")
    await world.endpoint(path="/fails")
    await world.endpoint(path="/quick")
    world.receiver.slow["/slow"] = asyncio.Event()
    world.receiver.always["/fails"] = "500 Sorry"
    async with world.running() as webhooks:
        await world.happen()
        await until(lambda: len(world.receiver.arrived) == 3 and not webhooks._busy.keys() - {slow_id(webhooks)})
        world.receiver.slow["/fails"] = asyncio.Event()
        await world.happen(count=2 * AT_ONCE)
        await until(lambda: len(world.receiver.at("/quick")) == 2 * AT_ONCE + 1)
        await until(lambda: world.receiver.waiting.count("/slow") == AT_ONCE_OF_ONE)
        await until(lambda: world.receiver.waiting.count("/fails") == 1)
        world.receiver.slow["/slow"].set()
        await until(lambda: len(world.receiver.at("/slow")) == 2 * AT_ONCE + 1)
        assert world.receiver.waiting == ["/fails"]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_the_slow_receivers_of_one_organization_hold_up_no_other_organization(world: World) -> None:
    """However many they are, and though what they have still to take is older."""
    world.receiver.slow["/slow"] = asyncio.Event()
    for _ in range(AT_ONCE // AT_ONCE_OF_ONE + 2):
        await world.endpoint(path="/slow")
    await world.endpoint(OTHERS, path="/theirs")
    async with world.running():
        await world.happen(count=AT_ONCE)
        await until(lambda: len(world.receiver.waiting) == sending.AT_ONCE_OF_ORGANIZATION)
        theirs = await world.happen(OTHERS, count=2)
        await until(lambda: len(world.receiver.at("/theirs")) == 2)
        assert {each.event for each in world.receiver.at("/theirs")} == set(theirs)
        assert len(world.receiver.waiting) == sending.AT_ONCE_OF_ORGANIZATION
        world.receiver.slow["/slow"].set()
        await world.until_settled(AT_ONCE * (AT_ONCE // AT_ONCE_OF_ONE + 2) + 2)


def slow_id(webhooks: sending.Webhooks) -> str:
    """The one endpoint that is busy."""
    return next(iter(webhooks._busy), "")


async def test_of_one_that_fails_all_processes_together_try_one_delivery_at_a_time(
    world: World, database_again: World
) -> None:
    made = await world.endpoint(path="/hook")
    one, other = world.database, database_again.database
    world.receiver.answers["/hook"] = ["500 Sorry"]
    async with world.running():
        await world.happen()
        await world.until_tried(1)
    await world.happen(count=8)
    await read_on(one, world.clock())
    now = world.clock() + timedelta(minutes=1)
    everybody = (one, other) * 4

    async def tried(moment: datetime) -> list[ClaimedDelivery]:
        found = await asyncio.gather(*(claim(each, Full(), moment) for each in everybody), return_exceptions=True)
        assert all(each is None or isinstance(each, ClaimedDelivery | TriedElsewhere) for each in found), found
        return [each for each in found if isinstance(each, ClaimedDelivery)]

    (first,) = await tried(now)
    assert (first.attempts, await next_due(other, Full(), now)) == (2 if first.sequence == 1 else 1, None)
    assert len([row for row in await world.deliveries() if row["next_attempt_at"] == now + LEASE]) == 1
    await settle(one, first, Undelivered("it answered 500", now + timedelta(hours=1), 500), now)
    (second,) = await tried(now)
    assert second.id != first.id
    # Whoever dies with one in hand keeps the others from it for as long as a lease, no longer.
    assert await tried(now + LEASE - SECOND) == []
    (third,) = await tried(now + LEASE)
    await settle(other, third, Delivered(204), now + LEASE)
    # All is well again, and costs no statement more.
    stored = await world.stored(made.id)
    assert (stored["failing_since"], stored["tried_until"]) == (None, None)
    statements: list[str] = []
    one.observers.append(statements.append)
    assert await claim(one, Full(), now + LEASE) is not None
    one.observers.clear()
    assert [sql.split()[0] for sql in statements if not sql.startswith("BEGIN")] == ["UPDATE", "SELECT"]
    assert len(await tried(now + LEASE)) >= 5


async def test_when_somebody_is_back_what_waits_is_posted_at_once(world: World) -> None:
    made = await world.endpoint(path="/hook")
    world.receiver.always["/hook"] = "503 Away"
    async with world.running() as webhooks:
        await world.happen(count=3)
        for _ in range(4):  # until none of them is due within the hour
            await world.until_deliveries(lambda found: all(row["attempts"] for row in found))
            await until(lambda: not webhooks._posting)
            for _ in range(20):
                world.pass_(timedelta(minutes=10))
                await asyncio.sleep(0.01)
                await until(lambda: not webhooks._posting)
        assert all(row["next_attempt_at"] > world.clock() + LEASE for row in await world.deliveries())
        world.receiver.always.clear()
        await world.happen()
        await world.until_settled(4)
    assert (await world.stored(made.id))["failing_since"] is None


async def test_a_body_that_cannot_be_made_is_no_fault_of_the_endpoint(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    made = await world.endpoint(path="/hook")
    faults: list[Exception] = [NoBody("a platform is away"), ZeroDivisionError("a secret of ours")]
    body_of = world.render

    async def render(delivery: object) -> bytes | None:
        if faults:
            raise faults.pop(0)
        return await body_of(delivery)  # type: ignore[arg-type]

    world.render = render
    async with world.running():
        await world.happen()
        first = await world.until_tried(1)
        world.pass_(timedelta(minutes=1))
        second = await world.until_tried(2)
        world.pass_(timedelta(minutes=1))
        await world.until_settled(1)
    assert first["error"] == "its body could not be made"
    assert second["error"] == "a fault of the gateway (ZeroDivisionError)"
    assert (await world.stored(made.id))["failing_since"] is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_process_that_stops_leaves_what_it_posts_to_others(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "GRACE_SECONDS", 0.02)
    await world.endpoint(path="/hook")
    world.receiver.slow["/hook"] = asyncio.Event()
    async with world.running():
        await world.happen()
        await until(lambda: world.receiver.waiting == ["/hook"])
    (row,) = await world.deliveries()
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("PENDING", 1, world.clock() + LEASE)
    world.receiver.slow.pop("/hook").set()
    other = World(opened(url), world.keyring, world.receiver, world.clock)
    async with other.running() as webhooks:
        await asyncio.sleep(0.05)
        assert len(world.receiver.arrived) == 1
        world.clock.now += LEASE
        webhooks.wake()
        (row,) = await other.until_settled(1)
    await other.database.close()
    assert row["attempts"] == 2
    assert len({each.id for each in world.receiver.arrived}) == 1


async def test_what_was_settled_is_forgotten_and_what_waited_too_long_given_up(world: World) -> None:
    made = await world.endpoint(path="/hook")
    await world.endpoint(OTHERS, path="/theirs")
    world.receiver.always["/hook"] = "410 Gone"
    world.receiver.answers["/hook"] = ["500 Sorry"]
    async with world.running():
        await world.happen()
        await world.until_tried(1)
        await world.happen()
        await world.happen(OTHERS)
        await world.until_settled(1)
        world.pass_(timedelta(seconds=7))
        await world.until_settled(1, "FAILED")
        waiting = [row for row in await world.deliveries(made.id) if row["status"] == "PENDING"]
        assert len(waiting) == 1
    await tidy(world.database, world.clock.start + GIVE_UP - SECOND)
    assert len([row for row in await world.deliveries(made.id) if row["status"] == "PENDING"]) == 1
    await tidy(world.database, world.clock.start + GIVE_UP + 8 * SECOND)
    found = await world.deliveries()
    assert sorted(row["status"] for row in found) == ["DELIVERED", "FAILED", "FAILED"]
    assert next(row["error"] for row in found if row["id"] == waiting[0]["id"])
    await tidy(world.database, world.clock.start + KEEP + 8 * SECOND)
    assert [row["id"] for row in await world.deliveries()] == [waiting[0]["id"]]
