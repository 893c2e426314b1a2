"""Hashing passwords: so many at once, the rest in a queue with an end, and never in the way of queries."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from auth import passwords as module
from auth.passwords import MAX_WAITING, Passwords, TooBusy
from gateway.demo import PASSWORD
from tests.auth.visitor import Visitor
from tests.serving import ADA, GRACE, Running

pytestmark = pytest.mark.anyio


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """Hashes one at a time."""
    found = Passwords(memory_kib=64, time_cost=1, at_once=1)
    yield found
    found.close()


async def test_a_password_fits_its_hash_and_no_other(passwords: Passwords) -> None:
    kept = await passwords.hash("one password")
    assert kept.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await passwords.hash("one password") != kept
    assert await passwords.verify("one password", kept)
    assert not await passwords.verify("another password", kept)
    assert not await passwords.verify("one password", None)
    assert not await passwords.verify("one password", "!")


async def test_with_no_hash_no_password_fits_not_even_that_of_the_stand_in(passwords: Passwords) -> None:
    assert not await passwords.verify("the password of nobody", None)


def test_a_hash_is_dated_when_the_parameters_are_others(passwords: Passwords) -> None:
    stronger = Passwords(memory_kib=128, time_cost=1)
    kept = passwords.hash_now("x")
    assert not passwords.is_dated(kept)
    assert stronger.is_dated(kept)


async def test_who_finds_the_queue_full_is_told_to_come_back(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)

    running = [asyncio.create_task(passwords._off_the_loop(work)) for _ in range(3)]
    try:
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(TooBusy) as busy:
                await passwords.verify("x", None)
            assert busy.value.seconds > 0
        # Who gives up waiting has not made room: the work has begun, and is still to be done.
        assert await asyncio.to_thread(begun.wait, 60)
        running[0].cancel()
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await passwords.hash("x")
    finally:
        go_on.set()
    await asyncio.gather(*running, return_exceptions=True)
    assert await passwords.hash("x")


async def test_no_more_are_computed_at_once_than_is_said() -> None:
    found = Passwords(memory_kib=64, time_cost=1, at_once=2)
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1

    try:
        await asyncio.gather(*(found._off_the_loop(work) for _ in range(20)))
    finally:
        found.close()
    assert most == 2


async def test_the_threads_yield_to_all_others(passwords: Passwords) -> None:
    """Where a priority is a thread's own, which is on Linux."""
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    there = await passwords._off_the_loop(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert (there > own) is (sys.platform == "linux")
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def test_a_full_queue_is_a_user_error_and_others_are_served(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    token = gateway.token(GRACE)
    behind = gateway.app.state.gateway.services.accounts.passwords
    monkeypatch.setattr(behind, "_unfinished", MAX_WAITING + behind._at_once)
    (error,) = Visitor(gateway).run("login", email=ADA, password=PASSWORD)["userErrors"]
    assert error["code"] == "RATE_LIMITED"
    assert Visitor(gateway, token=token).whoami() == GRACE
