"""Refusals: the first is in the trail at once, and a million of them are a few entries."""

import asyncio
from typing import Any

import pytest

from auth import denials as module
from auth.denials import KINDS_OF_ONE, MANY, MINUTE, WAITING, Denials
from datasources.database.audit import append_audit
from datasources.database.engine import Origin, Scope
from datasources.database.tables.access import audit_entries, audit_personal
from tests.audit.log import events_of
from tests.audit.trail import HOME, Trail

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the test."""
    return Clock()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for few kinds."""
    monkeypatch.setattr(module, "KINDS", 50)
    monkeypatch.setattr(module, "ADDRESSES", 5)


async def told(trail: Trail, organization: str | None) -> list[tuple[str, str, str, str, int]]:
    """Actor, action, risk, what and count of each entry of a chain."""
    return [
        (row["actor"], row["action"], row["risk"], row["details"]["what"], row["details"]["count"])
        for row in await trail.rows(audit_entries, organization)
    ]


async def test_the_first_is_written_at_once_and_the_others_as_one_when_the_minute_is_over(
    trail: Trail, clock: Clock
) -> None:
    organization, other, *_ = trail.organizations
    scope = trail.database.scoped(organization, HOME)
    first = ("usr_a", "access.denied", "MEDIUM", "Query.auditLog", 1)
    async with Denials(trail.database, clock=clock) as denials:
        denials.denied(scope, "usr_a", "Query.auditLog", "Sneak")
        await denials.settle()
        assert await told(trail, organization) == [first]
        for _ in range(5):
            denials.denied(scope, "usr_a", "Query.auditLog")
        denials.denied(scope, "usr_b", "Query.auditLog")
        denials.denied(trail.database.scoped(other), "usr_a", "Query.auditLog")
        await denials.settle()
        by_b = ("usr_b", "access.denied", "MEDIUM", "Query.auditLog", 1)
        assert await told(trail, organization) == [first, by_b]
        assert await told(trail, other) == [first]
        clock.now += MINUTE
        denials.denied(scope, "usr_a", "Query.auditLog")
        await denials.settle()
        summed = ("usr_a", "access.denied", "MEDIUM", "Query.auditLog", 5)
        assert await told(trail, organization) == [first, by_b, summed, first]
    assert (await trail.rows(audit_entries, organization))[0]["details"]["operation"] == "Sneak"
    assert {row["address"] for row in await trail.rows(audit_personal, organization)} == {HOME.address}
    assert await trail.all_hold()


async def test_when_the_minute_is_over_it_writes_by_itself(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MINUTE", 0.05)
    organization = trail.organizations[0]
    async with Denials(trail.database) as denials, asyncio.timeout(60):
        for _ in range(3):
            denials.denied(trail.database.scoped(organization), "usr_a", "Query.auditLog")
        while sum(entry[-1] for entry in await told(trail, organization)) < 3:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.005)
        assert not denials._counted


async def test_many_within_a_minute_are_of_high_risk_and_told_while_they_happen(trail: Trail, clock: Clock) -> None:
    organization = trail.organizations[0]
    scope = trail.database.scoped(organization)
    seen = len(await events_of(scope))
    async with Denials(trail.database, clock=clock) as denials:
        for _ in range(MANY + 1_000):
            denials.denied(scope, "key_a", "Query.orders")
        await denials.settle()
        written = [entry[2::2] for entry in await told(trail, organization)]
        assert written == [("MEDIUM", 1), ("HIGH", MANY - 1)]
    written = [entry[2::2] for entry in await told(trail, organization)]
    assert written == [("MEDIUM", 1), ("HIGH", MANY - 1), ("HIGH", 1_000)]
    events = (await events_of(scope))[seen:]
    assert [event.data for event in events] == [{"risk": "MEDIUM"}, {"risk": "HIGH"}, {"risk": "HIGH"}]


async def test_who_tries_everything_fills_no_more_of_the_trail(trail: Trail, clock: Clock) -> None:
    organization = trail.organizations[0]
    scope = trail.database.scoped(organization)
    async with Denials(trail.database, clock=clock) as denials:
        for number in range(500):
            denials.denied(scope, "usr_a", f"Query.field{number}")
        denials.denied(scope, "usr_b", "Query.field499")
    entries = await told(trail, organization)
    assert sum(entry[-1] for entry in entries) == 501
    assert len(entries) == KINDS_OF_ONE + 3 + 1
    assert ("usr_b", "access.denied", "MEDIUM", "Query.field499", 1) in entries
    assert ("usr_a", "access.denied", "HIGH", "others", 500 - KINDS_OF_ONE - MANY) in entries


async def test_credentials_that_do_not_hold_are_in_the_chain_of_the_gateway_with_their_address_aside(
    trail: Trail, clock: Clock, few: None
) -> None:
    def at(address: str) -> Scope:
        return trail.database.scoped(None, Origin(address, "a script"))

    async with Denials(trail.database, clock=clock) as denials:
        for _ in range(3):
            denials.refused(at("203.0.113.9"), "203.0.113.9", "token")
        denials.refused(at("203.0.113.9"), "203.0.113.9", "API key")
        for number in range(100):
            denials.refused(at(f"2001:db8::{number}"), f"2001:db8:0:{number}::", "token")
    entries = await told(trail, None)
    assert {entry[:2] for entry in entries} == {("nobody", "credential.refused")}
    assert sum(entry[-1] for entry in entries) == 104
    aside = [row["address"] for row in await trail.rows(audit_personal, None)]
    assert aside.count("203.0.113.9") == 3
    assert len(aside) == 3 + 3  # of the many addresses those of the first; who is counted with others has none
    assert len(entries) == len(aside) + 3
    for organization in trail.organizations:
        assert await told(trail, organization) == []


async def test_it_remembers_no_more_than_it_has_room_for(trail: Trail, clock: Clock, few: None) -> None:
    """However many people and organizations are refused, and it forgets them when their minute is over."""
    scopes = [trail.database.scoped(organization) for organization in trail.organizations]
    async with Denials(trail.database, clock=clock) as denials:
        for number in range(2_000):
            denials.denied(scopes[number % len(scopes)], f"usr_{number}", "Query.orders")
        assert len(denials._counted) <= 50 + 1
        await denials.settle()
        clock.now += MINUTE
        denials.denied(scopes[0], "usr_a", "Query.orders")
        assert (len(denials._counted), len(denials._of_one)) == (1, 1)
    written = [entry for each in (*trail.organizations, None) for entry in await told(trail, each)]
    assert sum(entry[-1] for entry in written) == 2_001
    assert len(written) == 50 + 3 + 1


async def test_a_database_that_takes_nothing_holds_nobody_up_and_gets_what_waited(
    trail: Trail, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = trail.organizations[0]
    scope = trail.database.scoped(organization)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    down = True

    async def failing(*arguments: Any) -> str:
        if down:
            raise ConnectionError
        return await append_audit(*arguments)

    monkeypatch.setattr(module, "append_audit", failing)
    denials = Denials(trail.database, clock=clock)
    denials.denied(scope, "usr_first", "Query.orders")
    with pytest.raises(ConnectionError):
        await denials.settle()
    for number in range(WAITING + 5):
        denials.denied(scope, f"usr_{number}", "Query.orders")
    assert len(denials._waiting) == WAITING
    assert "dropped" in caplog.text
    for _ in range(WAITING - 3):
        denials._waiting.popleft()
    down = False
    async with denials:
        pass
    assert [entry[0] for entry in await told(trail, organization)] == [
        f"usr_{n}" for n in range(WAITING + 2, WAITING + 5)
    ]


async def test_one_that_can_never_be_written_is_given_up_and_holds_up_no_other(trail: Trail, clock: Clock) -> None:
    gone = trail.database.scoped("org_that_is_gone")
    organization = trail.organizations[0]
    denials = Denials(trail.database, clock=clock)
    denials.denied(gone, "usr_a", "Query.orders")
    denials.denied(trail.database.scoped(organization), "usr_a", "Query.orders")
    failures = 0
    while denials._waiting:
        try:
            await denials.settle()
        except Exception:  # noqa: BLE001 -- whatever the driver raises
            failures += 1
    assert failures == module.TRIES
    assert len(await told(trail, organization)) == 1
