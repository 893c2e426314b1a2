"""Passwords: Argon2id, hashed off the event loop and only so many at once."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

R = TypeVar("R")


class Passwords:
    """Hashes and checks passwords.

    ``memory_kib``, ``time_cost`` and ``parallelism`` are Argon2id's (RFC 9106; the defaults are OWASP's first choice of
    19 MiB, 2 passes, 1 lane). ``at_once`` bounds how many run at the same time, so that sign-ins cannot take the
    processors from queries.
    """

    def __init__(self, *, memory_kib: int = 19_456, time_cost: int = 2, parallelism: int = 1, at_once: int = 2) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._at_once = asyncio.Semaphore(at_once)
        self._nobody = self._hasher.hash("the password of nobody")

    def hash_now(self, password: str) -> str:
        """The hash of a password, on the calling thread: for the command line."""
        return self._hasher.hash(password)

    async def hash(self, password: str) -> str:
        """The hash of a password."""
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def verify(self, password: str, known_hash: str | None) -> bool:
        """Whether the password fits; with no hash to fit it takes as long and says no."""

        def check() -> bool:
            try:
                self._hasher.verify(known_hash or self._nobody, password)
            except InvalidHashError:
                return self._of_nobody(password)
            except VerificationError:
                return False
            return known_hash is not None

        return await self._off_the_loop(check)

    def _of_nobody(self, password: str) -> bool:
        """Does the work and says no: what is kept for the account is no hash of a password."""
        with contextlib.suppress(VerificationError):
            self._hasher.verify(self._nobody, password)
        return False

    async def _off_the_loop(self, work: Callable[[], R]) -> R:
        async with self._at_once:
            return await asyncio.to_thread(work)
