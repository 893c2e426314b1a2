"""Slowing down whoever tries too often, so that an attacker cannot turn it against the one who is attacked.

Attempts are counted, before they are made, in the database that all processes share; what is counted is known to it by
keyed digests only. Nothing is locked for good: after some free attempts each further one brings a wait, twice as long
as the one before up to a longest, and an attempt during a wait is refused without being counted.

===============================  ====  ==========  ============  ===================  ===================
what                             free  first wait  longest wait  forgotten after      what takes it back
===============================  ====  ==========  ============  ===================  ===================
sign-in, account + place            5        30 s           1 h                 24 h  success: all of it
sign-in, account + familiar        10        30 s        15 min                 24 h  success: all of it
sign-in, account, other places     20        30 s           1 h                 24 h  success: one
sign-in, place                    150        10 s        15 min                  1 h  success: one
registration, place                10       1 min           1 h                 24 h  nothing
registration, password + link       5        30 s           1 h                 24 h  success: all of it
mail asked for, address             3       5 min           6 h                 24 h  nothing
mail asked for, place              20       1 min           1 h                 24 h  nothing
password asked for again, person   10        30 s        15 min                 24 h  success: all of it
===============================  ====  ==========  ============  ===================  ===================

A *place* is an IPv4 address or the /64 of an IPv6 one. A place is *familiar* to an account that was signed in to from
there before; it is held neither by what others try on the account from elsewhere nor by what is tried on other accounts
from the same place. So whoever hammers an account slows its person down only where that person has never been, and
there a new password, asked for by mail, makes the place familiar. SP 800-63B-4, 3.2.2, asks for a limit of 100 attempts
in a row and names familiar places as a means. Addresses without an account are counted like all others.

Limits on mails hold in silence: the answer is that of a mail that was sent.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import NamedTuple

from auth.refusal import TryLater
from datasources.database.attempts import (
    Counter,
    MustWait,
    clear_attempts,
    count_attempt,
    uncount_attempt,
)
from datasources.database.engine import Database, Transaction
from datasources.database.people import note_place


@dataclass(frozen=True)
class Limit:
    """How often something may be tried; ``name`` keeps the counts of different limits apart."""

    name: str
    free: int
    first_wait: timedelta
    longest_wait: timedelta
    forgotten_after: timedelta = timedelta(days=1)


SIGN_IN = Limit("account and place", 5, timedelta(seconds=30), timedelta(hours=1))
SIGN_IN_FAMILIAR = Limit("account and familiar place", 10, timedelta(seconds=30), timedelta(minutes=15))
SIGN_IN_ELSEWHERE = Limit("account from other places", 20, timedelta(seconds=30), timedelta(hours=1))
SIGN_IN_PLACE = Limit("place", 150, timedelta(seconds=10), timedelta(minutes=15), timedelta(hours=1))
REGISTRATION = Limit("registration", 10, timedelta(minutes=1), timedelta(hours=1))
MAIL_TO_ADDRESS = Limit("mail to address", 3, timedelta(minutes=5), timedelta(hours=6))
MAIL_FROM_PLACE = Limit("mail from place", 20, timedelta(minutes=1), timedelta(hours=1))
PASSWORD_AGAIN = Limit("password of who is signed in", 10, timedelta(seconds=30), timedelta(minutes=15))

LONGEST_MEMORY = timedelta(days=2)
"""After how long without an attempt no count matters any more, whatever the limit."""


class TooManyAttempts(TryLater):
    """It was tried too often; whether it would have succeeded now is not said, nor known."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many attempts. Try again in {seconds} s.", seconds)


class Counted(NamedTuple):
    """An attempt that is counted as a failure until it is forgiven.

    A success clears the first ``clears`` counters, and takes one attempt back of the others. ``waits`` has for each
    counter the wait that the attempt has brought on.
    """

    names: Sequence[str]
    counters: Sequence[Counter]
    waits: Sequence[timedelta | None]
    clears: int

    @property
    def longest(self) -> tuple[str, timedelta] | None:
        """The longest wait that it has brought on, with the name of the limit."""
        found = [(name, wait) for name, wait in zip(self.names, self.waits, strict=True) if wait is not None]
        return max(found, key=lambda each: each[1], default=None)


class Throttle:
    """Counts attempts. ``key``: 32 bytes for the digests."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    async def sign_in(self, email_key: str, place: str, *, familiar: bool) -> Counted:
        """Counts a sign-in to an account, known or not; raises ``TooManyAttempts``."""
        here = f"{email_key}\0{place}"
        if familiar:
            # What others do from elsewhere, or here on other accounts, is not asked. The same is counted thrice so that
            # nobody can tell by the time that somebody is at home here.
            limits = [(SIGN_IN_FAMILIAR, f"{here}\0{number}") for number in range(3)]
            return await self._count(limits, clears=3)
        return await self._count([(SIGN_IN, here), (SIGN_IN_ELSEWHERE, email_key), (SIGN_IN_PLACE, place)], clears=1)

    async def admit(self, *limits: tuple[Limit, str]) -> Counted:
        """Counts one attempt of each; the texts say of whom. Raises ``TooManyAttempts``, with nothing counted."""
        return await self._count(limits, clears=len(limits))

    async def forgive(self, transaction: Transaction, counted: Counted) -> None:
        """Takes back what an attempt has counted that was none at guessing."""
        for number, (counter, wait) in enumerate(zip(counted.counters, counted.waits, strict=True)):
            if number < counted.clears:
                await clear_attempts(transaction, counter)
            else:
                await uncount_attempt(transaction, counter, unblock=wait is not None)

    async def withdraw(self, counted: Counted) -> None:
        """Takes back an attempt that was not made after all."""
        scope = self._database.unscoped("an attempt that was not made is not counted, whoever's it was")
        async with scope.transaction() as transaction:
            for counter, wait in zip(counted.counters, counted.waits, strict=True):
                await uncount_attempt(transaction, counter, unblock=wait is not None)

    def place_of(self, email_key: str, place: str) -> bytes:
        """How a place is kept among the familiar ones of an account."""
        return self._digest("familiar", f"{email_key}\0{place}")

    async def make_familiar(self, transaction: Transaction, user_id: str, email_key: str, place: str) -> None:
        """Notes that a person has shown at this place who they are."""
        await note_place(transaction, user_id, self.place_of(email_key, place), datetime.now(UTC))

    async def _count(self, limits: Sequence[tuple[Limit, str]], *, clears: int) -> Counted:
        counters = [
            Counter(
                self._digest(limit.name, subject),
                limit.free,
                limit.first_wait,
                limit.longest_wait,
                limit.forgotten_after,
            )
            for limit, subject in limits
        ]
        now = datetime.now(UTC)
        try:
            waits = await count_attempt(self._database, counters, now)
        except MustWait as refused:
            raise TooManyAttempts(max(1, ceil((refused.until - now).total_seconds()))) from None
        return Counted([limit.name for limit, _ in limits], counters, waits, clears)

    def _digest(self, kind: str, subject: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{subject}".encode(), sha256).digest()
