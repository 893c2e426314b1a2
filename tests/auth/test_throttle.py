"""Whoever guesses is slowed down, and nobody else is."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from auth import throttle
from auth.passwords import Passwords, TooBusy
from datasources.database.audit import GATEWAY_CHAIN
from datasources.database.engine import Database
from datasources.database.tables.access import attempts, familiar_places
from gateway.demo import PASSWORD
from tests.auth.visitor import NO, Visitor, share_keys, trail
from tests.serving import ADA, GRACE, Running, running

pytestmark = pytest.mark.anyio

NOBODY = "nobody@example.com"
HOME, CAFE, OFFICE = "203.0.113.1", "203.0.113.2", "203.0.113.3"
WRONG = "not the password of anybody"


@pytest.fixture(autouse=True)
def nothing_counted_yet(gateway: Running) -> None:
    """Each story begins with nobody at home anywhere and nothing tried."""

    async def forget() -> None:
        database = Database(gateway.database_url, pool_size=1)
        try:
            async with database.writer.connect() as connection, connection.begin():
                await connection.execute(delete(attempts))
                await connection.execute(delete(familiar_places))
        finally:
            await database.close()

    # A thread of its own: the story may be told within a running loop.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, forget()).result()


@pytest.fixture(scope="module")
def beside(gateway: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Another process on the same database."""
    with running(gateway.database_url, share_keys(gateway, tmp_path_factory.mktemp("beside"))) as server:
        yield server


def login(gateway: Running, place: str, password: str = PASSWORD, email: str = ADA) -> dict[str, Any]:
    """What a sign-in from a place is answered."""
    return Visitor(gateway, place).run("login", email=email, password=password)


def outcome(payload: dict[str, Any]) -> str:
    """``in``, ``no`` or ``wait``."""
    if payload["session"] is not None:
        return "in"
    if payload == NO:
        return "no"
    (error,) = payload["userErrors"]
    assert error["code"] == "RATE_LIMITED"
    assert re.fullmatch(r"Too many attempts\. Try again in [1-9]\d* s\.", error["message"])
    return "wait"


def hammer(gateway: Running, place: str, times: int, email: str = ADA) -> list[str]:
    """The outcomes of guessing from one place."""
    return [outcome(login(gateway, place, WRONG, email)) for _ in range(times)]


def seconds(payload: dict[str, Any]) -> int:
    """How long the answer says to wait."""
    found = re.search(r"in (\d+) s", payload["userErrors"][0]["message"])
    assert found is not None
    return int(found[1])


async def let_waits_pass(database: Database) -> None:
    """As if every wait were over."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(attempts).values(blocked_until=datetime.now(UTC) - timedelta(seconds=1)))


async def test_who_guesses_waits_longer_each_time_and_never_for_good(gateway: Running, database: Database) -> None:
    assert hammer(gateway, CAFE, 7) == ["no"] * 5 + ["wait"] * 2
    waits = []
    for _ in range(9):
        waits.append(seconds(login(gateway, CAFE, WRONG)))
        await let_waits_pass(database)
        assert hammer(gateway, CAFE, 2) == ["no", "wait"]
    assert [round(wait, -1) for wait in waits] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    await let_waits_pass(database)
    assert outcome(login(gateway, CAFE)) == "in"
    # Having shown who they are they begin anew, with all the attempts of somebody who is at home there.
    assert hammer(gateway, CAFE, 11) == ["no"] * 10 + ["wait"]


def test_hammering_does_not_make_a_wait_longer(gateway: Running) -> None:
    hammer(gateway, CAFE, 5)
    first = seconds(login(gateway, CAFE, WRONG))
    hammer(gateway, CAFE, 30)
    assert seconds(login(gateway, CAFE, WRONG)) <= first


def test_during_a_wait_the_right_password_is_answered_as_a_wrong_one(gateway: Running) -> None:
    hammer(gateway, CAFE, 5)
    assert outcome(login(gateway, CAFE, PASSWORD)) == outcome(login(gateway, CAFE, WRONG)) == "wait"


def test_an_attacker_elsewhere_does_not_keep_ada_out_of_her_account(gateway: Running) -> None:
    """From one place, then from many; and Ada, at home, even mistypes her password now and then."""
    assert outcome(login(gateway, HOME)) == "in"
    assert hammer(gateway, CAFE, 6) == ["no"] * 5 + ["wait"]
    spread = [outcome(login(gateway, f"198.51.100.{number}", WRONG)) for number in range(40)]
    assert spread == ["no"] * 15 + ["wait"] * 25  # twenty from wherever she has never been
    assert hammer(gateway, HOME, 3) == ["no"] * 3
    assert outcome(login(gateway, HOME)) == "in"
    # Where she has never been she is one of them.
    assert outcome(login(gateway, OFFICE)) == "wait"
    # And nobody else is concerned.
    assert outcome(login(gateway, OFFICE, email=GRACE)) == "in"


def test_at_home_too_an_account_cannot_be_guessed_at(gateway: Running) -> None:
    assert outcome(login(gateway, HOME)) == "in"
    assert hammer(gateway, HOME, 12) == ["no"] * 10 + ["wait"] * 2


def test_an_address_that_has_no_account_is_counted_just_so(gateway: Running) -> None:
    for place in (HOME, CAFE):
        assert hammer(gateway, place, 7, NOBODY) == hammer(gateway, place, 7, ADA)
    spread = [f"198.51.100.{number}" for number in range(20)]
    known = [outcome(login(gateway, place, WRONG)) for place in spread]
    assert known == [outcome(login(gateway, place, WRONG, NOBODY)) for place in spread]
    assert set(known) == {"no", "wait"}


def test_an_address_is_one_however_it_is_written(gateway: Running) -> None:
    written = [ADA, "ADA@example.com", "Ada@Example.Com", "aDA@example.com", "adA@EXAMPLE.com", "ada@example.COM"]
    assert [outcome(login(gateway, CAFE, WRONG, each)) for each in written] == ["no"] * 5 + ["wait"]


def test_a_site_of_ipv6_is_one_place(gateway: Running) -> None:
    outcomes = [outcome(login(gateway, f"2001:db8:0:7::{number:x}", WRONG)) for number in range(1, 8)]
    assert outcomes == ["no"] * 5 + ["wait"] * 2


def test_of_twenty_who_guess_at_once_five_get_an_answer(gateway: Running, beside: Running) -> None:
    with ThreadPoolExecutor(20) as threads:
        servers = [gateway, beside] * 10
        outcomes = list(threads.map(lambda each: outcome(login(each, CAFE, WRONG)), servers))
    assert sorted(outcomes) == ["no"] * 5 + ["wait"] * 15


def test_a_place_that_tries_account_after_account_waits(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "SIGN_IN_PLACE", replace(throttle.SIGN_IN_PLACE, free=8))
    assert outcome(login(gateway, OFFICE, email=GRACE)) == "in"
    outcomes = [outcome(login(gateway, OFFICE, WRONG, f"somebody{number}@example.com")) for number in range(10)]
    assert outcomes == ["no"] * 8 + ["wait"] * 2
    # Who has signed in there before is not held up by it; who has not, is.
    assert outcome(login(gateway, OFFICE, email=GRACE)) == "in"
    assert outcome(login(gateway, OFFICE)) == "wait"
    assert outcome(login(gateway, HOME)) == "in"


def test_an_office_full_of_people_who_know_their_passwords_does_not_wait(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "SIGN_IN_PLACE", replace(throttle.SIGN_IN_PLACE, free=3))
    people = [ADA, GRACE, "kenji@example.com", "noor@example.com", "marisol@example.com", "joao@example.com"]
    assert [outcome(login(gateway, OFFICE, email=email)) for email in people] == ["in"] * 6


def test_signing_in_to_an_own_account_in_between_buys_no_guesses(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "SIGN_IN_PLACE", replace(throttle.SIGN_IN_PLACE, free=6))
    outcomes = []
    for number in range(8):
        outcomes.append(outcome(login(gateway, CAFE, WRONG, f"victim{number}@example.com")))
        login(gateway, CAFE, email=GRACE)
    assert outcomes == ["no"] * 6 + ["wait"] * 2


async def test_what_is_refused_is_in_the_trail_of_whom_it_concerns(gateway: Running, database: Database) -> None:
    before = len(await trail(database, "session.refused")), len(await trail(database, "session.locked"))
    hammer(gateway, CAFE, 8)
    hammer(gateway, OFFICE, 8, NOBODY)
    refused = (await trail(database, "session.refused"))[before[0] :]
    locked = (await trail(database, "session.locked"))[before[1] :]
    assert len(refused) == 10  # no more than were tried, however often somebody is told to wait
    assert len(locked) == 2
    ada, nobody = refused[0], refused[5]
    assert (ada["risk"], ada["address"], ada["email"], ada["actor"]) == ("MEDIUM", CAFE, ADA, "nobody")
    assert ada["organization_id"].startswith("org_")
    assert ada["target_id"].startswith("usr_")
    assert (nobody["organization_id"], nobody["target_id"]) == (GATEWAY_CHAIN, None)
    assert (nobody["address"], nobody["email"]) == (OFFICE, NOBODY)
    assert {each["risk"] for each in locked} == {"HIGH"}
    assert locked[0]["details"] == {"limit": "account and place", "seconds": 30}
    assert locked[0]["organization_id"] == ada["organization_id"]


async def test_the_counters_name_nobody(gateway: Running, database: Database) -> None:
    login(gateway, HOME)
    hammer(gateway, CAFE, 2)
    async with database.writer.connect() as connection:
        rows = [*(await connection.execute(select(attempts))), *(await connection.execute(select(familiar_places)))]
    keys = {value for row in rows for value in row if isinstance(value, bytes)}
    assert len(keys) >= 4
    assert all(len(key) == 32 for key in keys)
    for told in (ADA, HOME, CAFE):
        assert told not in repr(rows)


def test_who_cannot_be_served_has_not_tried(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise TooBusy

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "verify", busy)
        for _ in range(8):
            (error,) = login(gateway, CAFE)["userErrors"]
            assert error["code"] == "RATE_LIMITED"
            assert "Very many people" in error["message"]
    assert outcome(login(gateway, CAFE)) == "in"
