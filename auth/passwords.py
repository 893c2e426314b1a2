"""Passwords: Argon2id, hashed off the event loop and only so many at once."""

import asyncio
import contextlib
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.refusal import TryLater

R = TypeVar("R")

MAX_PASSWORD_LENGTH = 256
MAX_WAITING = 100
"""How many hashes wait for a thread at the most; with the defaults that is about two seconds."""

_NICENESS = 10
_LATER_SECONDS = 5


class TooBusy(TryLater):
    """More people sign in at this moment than hashes can be computed for."""

    def __init__(self) -> None:
        super().__init__(f"Very many people sign in right now. Try again in {_LATER_SECONDS} s.", _LATER_SECONDS)


def normal(password: str) -> str:
    """A password as it is hashed: NFKC, so that every keyboard writes the same one (SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes and checks passwords.

    ``memory_kib``, ``time_cost`` and ``parallelism`` are Argon2id's (RFC 9106; the defaults are OWASP's first choice of
    19 MiB, 2 passes, 1 lane). ``at_once`` hashes are computed at the same time, by default one less than there are
    processors, on threads that yield to all others, so that sign-ins cannot take the processors from queries.
    """

    def __init__(
        self, *, memory_kib: int = 19_456, time_cost: int = 2, parallelism: int = 1, at_once: int | None = None
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._at_once = at_once or max(1, (os.cpu_count() or 1) - 1)
        self._threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="passwords", initializer=_yield_to_others)
        self._unfinished = 0
        self._lock = threading.Lock()
        self._nobody = self._hasher.hash("the password of nobody")

    def hash_now(self, password: str) -> str:
        """The hash of a password, on the calling thread: for the command line."""
        return self._hasher.hash(normal(password))

    async def hash(self, password: str) -> str:
        """The hash of a password; raises ``TooBusy``."""
        return await self._off_the_loop(lambda: self.hash_now(password))

    async def verify(self, password: str, known_hash: str | None) -> bool:
        """Whether the password fits; with no hash to fit it takes as long and says no. Raises ``TooBusy``.

        A hash that was made with other parameters takes another time, until its person has signed in once.
        """
        # No password is empty, and none is so long.
        given = "" if len(password) > MAX_PASSWORD_LENGTH else normal(password)

        def check() -> bool:
            try:
                self._hasher.verify(known_hash or self._nobody, given)
            except InvalidHashError:
                return self._of_nobody(given)
            except VerificationError:
                return False
            return known_hash is not None

        return await self._off_the_loop(check)

    def is_dated(self, known_hash: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(known_hash)

    def close(self) -> None:
        """Ends the threads; what waits for one is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _of_nobody(self, password: str) -> bool:
        """Does the work and says no: what is kept for the account is no hash of a password."""
        with contextlib.suppress(VerificationError):
            self._hasher.verify(self._nobody, password)
        return False

    async def _off_the_loop(self, work: Callable[[], R]) -> R:
        # Counted until the work is done, not until somebody stops waiting for it.
        with self._lock:
            if self._unfinished >= self._at_once + MAX_WAITING:
                raise TooBusy
            self._unfinished += 1
        future = self._threads.submit(work)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _: object) -> None:
        with self._lock:
            self._unfinished -= 1


def _yield_to_others() -> None:
    """Lowers the priority of the calling thread; only on Linux is that a thread's own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
