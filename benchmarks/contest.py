"""Runs the contenders side by side over one database, in turns, so that a busy machine is busy for both."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import orjson
import uvloop

from auth.signing_keys import SigningKeys
from auth.tokens import Tokens
from benchmarks.data import ORGANIZATION, USER
from benchmarks.load import post, send
from benchmarks.servers import ROOT, Server, serving
from benchmarks.workloads import Workload
from tests.keys import make_keys

R = TypeVar("R")
ISSUER = "http://tributary.test"
"""The public address of both contenders, so that one token is good for both."""
PAGE_LIMIT = 1_000
SHOP, SHOP_PACKAGE = ROOT / "examples" / "shop" / "src", "tributary_shop"
"""Where the outside platform of Q5 is, and what it is called."""
WARM_UP = 32
"""Requests before the first round: caches fill, statements are prepared."""


class AnswersDiffer(Exception):
    """The contenders do not answer the same, so there is nothing to compare."""


@dataclass(frozen=True)
class Result:
    """What one workload came to: CPU time of a request of each round, in microseconds."""

    key: str
    title: str
    aim: float
    ours: Sequence[float]
    floor: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Ours by the floor's, round by round."""
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]

    @property
    def meets_aim(self) -> bool:
        """Whether the median is as low as we wish."""
        return median(self.ratios) <= self.aim


@dataclass(frozen=True)
class Contest:
    """The contenders, running; ``token`` is good for all. ``shop`` is the gateway with the outside platform of Q5."""

    ours: Server
    shop: Server
    floor: Server
    token: str

    def check(self, workload: Workload) -> None:
        """Asks both the same once; raises ``AnswersDiffer``."""
        ours, floor = (
            orjson.loads(_run(send(server.port, requests[:1], 1))) for server, requests in self._contenders(workload)
        )
        if ours != floor:
            raise AnswersDiffer(f"{workload.key}: {difference(ours, floor)}")

    def measure(self, workload: Workload, *, requests: int, rounds: int) -> Result:
        """Checks the answers, then sends ``requests`` to one and to the other, ``rounds`` times.

        Raises ``AnswersDiffer``, and ``WrongAnswer`` when one of them stops answering with data.
        """
        self.check(workload)
        contenders = self._contenders(workload)
        for server, asked in contenders:
            _run(send(server.port, asked, min(WARM_UP, requests)))
        spent: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for (server, asked), microseconds in zip(contenders, spent, strict=True):
                before = server.cpu_seconds()
                _run(send(server.port, asked, requests))
                microseconds.append((server.cpu_seconds() - before) / requests * 1e6)
        return Result(workload.key, workload.title, workload.aim, *spent)

    def _contenders(self, workload: Workload) -> list[tuple[Server, list[bytes]]]:
        """The gateway and the floor, each with its requests."""
        ours = [
            post("/graphql", {"query": workload.query, "variables": each}, token=self.token)
            for each in workload.variables
        ]
        floor = [post(workload.path, each, token=self.token) for each in workload.variables]
        return [(self.shop if workload.needs_shop else self.ours, ours), (self.floor, floor)]


def environment_of(folder: Path) -> Mapping[str, str]:
    """What every contender is told, whatever it reads from: where its files are, and who signs tokens. Makes a key."""
    key_file = make_keys(folder)
    return {"DATA_DIR": str(folder), "SIGNING_KEY_FILE": str(key_file), "PUBLIC_URL": ISSUER}


def token_for(environment: Mapping[str, str]) -> str:
    """A token of the owner that all contenders with this environment accept."""
    keys = SigningKeys(Path(environment["SIGNING_KEY_FILE"]))
    tokens = Tokens(keys, issuer=ISSUER, lifetime=timedelta(days=1))
    return tokens.issue(user_id=USER, organization_id=ORGANIZATION, session_id="ses_of_the_benchmark").text


@contextmanager
def opened(database_url: str, folder: Path) -> Iterator[Contest]:
    """Starts both contenders and the upstream of Q5 over a database with the data; their files go to ``folder``.

    Raises ``ServerNotStartedError`` when one of them does not start.
    """
    own = environment_of(folder)
    with serving("benchmarks.upstream", {}, folder) as upstream:
        upstream_url = f"http://127.0.0.1:{upstream.port}"
        environment = {
            **own,
            "DATABASE_URL": database_url,
            "PAGE_LIMIT": str(PAGE_LIMIT),
            "UPSTREAM_URL": upstream_url,
        }
        shop_environment = {**environment, "PYTHONPATH": str(SHOP), "SHOP_UPSTREAM_URL": upstream_url}
        with (
            serving("benchmarks.contenders.gateway", environment, folder) as ours,
            serving("benchmarks.contenders.gateway", shop_environment, folder, SHOP_PACKAGE) as shop,
            serving("benchmarks.contenders.floor", environment, folder) as floor,
        ):
            yield Contest(ours, shop, floor, token_for(own))


def _run(work: Coroutine[Any, Any, R]) -> R:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def difference(one: Any, other: Any, path: str = "", names: tuple[str, str] = ("the gateway", "the floor")) -> str:
    """Where two answers that are not equal part first, for people."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip(one, other, strict=True))]
    else:
        return f"at {path or 'the top'} {names[0]} has {str(one)[:200]}, {names[1]} {str(other)[:200]}"
    return next(difference(left, right, where, names) for where, left, right in parts if left != right)
