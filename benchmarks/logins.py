"""Whether sign-ins starve queries: the latency of a small query alone, and beside 50 sign-ins a second.

The load is open: a request is due at its time whether or not the one before was answered, and its latency counts from
then, so that waiting in a queue is not left out. Both parts run against one gateway, in turns.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import uvloop

from auth.passwords import Passwords
from benchmarks.data import ORGANIZATION, global_id
from benchmarks.load import WrongAnswer, post
from benchmarks.servers import Server, serving
from datasources.database.engine import Database
from datasources.database.tables.gateway import memberships, users
from tests.keys import make_keys

QUERIES_A_SECOND = 200
LOGINS_A_SECOND = 50
SECONDS = 10.0
ACCOUNTS = 100
PASSWORD = "correct horse battery staple"  # noqa: S105 -- of made-up accounts
QUERY = "{ platforms { key name } }"
LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { session { id } userErrors { code } } }"
_CONNECTIONS = 32


@dataclass(frozen=True)
class Latencies:
    """How long requests took, in milliseconds."""

    seen: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median."""
        return median(self.seen)

    @property
    def p99(self) -> float:
        """What one request in a hundred was slower than."""
        return quantiles(self.seen, n=100)[98] if len(self.seen) > 1 else self.seen[0]


@dataclass(frozen=True)
class Outcome:
    """One database's figures: the query alone, the query beside sign-ins, and the sign-ins."""

    alone: Latencies = field(default_factory=Latencies)
    beside: Latencies = field(default_factory=Latencies)
    logins: Latencies = field(default_factory=Latencies)

    def lines(self, database: str) -> list[str]:
        """The figures, a line each."""
        rows = [
            (f"query, {QUERIES_A_SECOND}/s, alone", self.alone),
            (f"query beside {LOGINS_A_SECOND} sign-ins/s", self.beside),
            (f"sign-in, {LOGINS_A_SECOND}/s", self.logins),
        ]
        told = [f"{'':4} {name:32} {database:12} p50 {of.p50:8.2f} ms   p99 {of.p99:8.2f} ms" for name, of in rows]
        ratio = self.beside.p99 / self.alone.p99
        return [*told, f"{'':4} {'p99 beside sign-ins, by alone':32} {database:12} {ratio:.2f}"]


class _Pool:
    """Kept-alive connections for one part of a round; a request waits for a free one, which its latency includes."""

    def __init__(self, port: int, fits: Callable[[bytes], bool]) -> None:
        self._port = port
        self._fits = fits
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def open(self) -> None:
        for _ in range(_CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def close(self) -> None:
        while not self._free.empty():
            _, writer = self._free.get_nowait()
            writer.close()
            await writer.wait_closed()

    async def ask(self, request: bytes) -> None:
        """Raises ``WrongAnswer``."""
        reader, writer = await self._free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        body = await reader.readexactly(length)
        self._free.put_nowait((reader, writer))
        if not head.startswith(b"HTTP/1.1 200 ") or not self._fits(body):
            raise WrongAnswer(f"{head[:40]!r} {body[:400]!r}")


async def _send(pool: _Pool, requests: Sequence[bytes], rate: int, seconds: float, into: Latencies) -> None:
    """Sends at ``rate`` a second, and adds the latency of each to ``into``."""
    await pool.open()
    started = time.perf_counter()

    async def one(number: int) -> None:
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await pool.ask(requests[number % len(requests)])
        into.seen.append((time.perf_counter() - due) * 1_000)

    try:
        await asyncio.gather(*(one(number) for number in range(max(1, int(rate * seconds)))))
    finally:
        await pool.close()


async def _measure(server: Server, *, rounds: int, seconds: float) -> Outcome:
    outcome, warm_up = Outcome(), Latencies()
    queries = [post("/graphql", {"query": QUERY})]
    logins = [post("/graphql", {"query": LOGIN, "variables": {"input": each}}) for each in _credentials()]
    asking = _Pool(server.port, lambda body: body.startswith(b'{"data":'))
    signing_in = _Pool(server.port, lambda body: b'"session":{"id":' in body)
    await _send(asking, queries, QUERIES_A_SECOND, 0.5, warm_up)
    await _send(signing_in, logins, LOGINS_A_SECOND, 0.2, warm_up)
    for _ in range(rounds):
        await _send(asking, queries, QUERIES_A_SECOND, seconds, outcome.alone)
        await asyncio.gather(
            _send(asking, queries, QUERIES_A_SECOND, seconds, outcome.beside),
            _send(signing_in, logins, LOGINS_A_SECOND, seconds, outcome.logins),
        )
    return outcome


def _credentials() -> Iterator[Mapping[str, str]]:
    return ({"email": f"person{number}@example.com", "password": PASSWORD} for number in range(ACCOUNTS))


async def _people(database_url: str) -> None:
    """Accounts to sign in to, in a database that has the organization."""
    database = Database(database_url)
    password_hash, now = Passwords().hash_now(PASSWORD), datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "id": global_id("usr", 1_000 + number),
            "email": each["email"],
            "email_key": each["email"],
            "password_hash": password_hash,
            "skills": [],
            "interests": [],
            "preferences": {},
            "created_at": now,
        }
        for number, each in enumerate(_credentials())
    ]
    try:
        async with database.scoped(ORGANIZATION).transaction() as transaction:
            await transaction.insert(users, rows)
            places = [{"user_id": row["id"], "role": "MEMBER", "joined_at": now} for row in rows]
            await transaction.insert(memberships, places)
    finally:
        await database.close()


@contextmanager
def opened(database_url: str, folder: Path) -> Iterator[Callable[[int, float], Outcome]]:
    """Starts a gateway over a database with the data; yields what measures ``rounds`` of so many seconds each.

    Raises ``ServerNotStartedError``; measuring raises ``WrongAnswer``, and ``OSError`` when the server goes away.
    """
    make_keys(folder)
    asyncio.run(_people(database_url))
    environment = {"DATABASE_URL": database_url, "DATA_DIR": str(folder), "ANONYMOUS_PER_MINUTE": "1000000"}
    with serving("benchmarks.contenders.gateway", environment, folder) as server:

        def measure(rounds: int, seconds: float) -> Outcome:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_measure(server, rounds=rounds, seconds=seconds))

        yield measure
