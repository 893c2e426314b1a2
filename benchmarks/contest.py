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
from benchmarks.data import ORGANIZATION, USER, global_id
from benchmarks.fanout import Audience
from benchmarks.load import post, send
from benchmarks.servers import ROOT, Server, serving
from benchmarks.workloads import FAN_OUT, FAN_OUT_AIM, FAN_OUT_RATES, Workload
from tests.keys import make_keys

R = TypeVar("R")
ISSUER = "http://tributary.test"
"""The public address of both contenders, so that one token is good for both."""
PAGE_LIMIT = 1_000
SHOP, SHOP_PACKAGE = ROOT / "examples" / "shop" / "src", "tributary_shop"
"""Where the outside platform of Q5 is, and what it is called."""
WARM_UP = 32
"""Requests before the first round: caches fill, statements are prepared."""
_FEWEST_EVENTS = 40
_SUBJECT = global_id("sor", 0)


class AnswersDiffer(Exception):
    """The contenders do not answer the same, so there is nothing to compare."""


@dataclass(frozen=True)
class Result:
    """What one workload came to: CPU time of a request (or of a delivered message) of each round, in microseconds."""

    key: str
    title: str
    aim: float
    ours: Sequence[float]
    floor: Sequence[float]
    absolute: bool = False
    """Whether the aim is for our microseconds, not for the ratio."""

    @property
    def ratios(self) -> list[float]:
        """Ours by the floor's, round by round."""
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]

    @property
    def meets_aim(self) -> bool:
        """Whether the median is as low as we wish."""
        return median(self.ours if self.absolute else self.ratios) <= self.aim


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
            raise AnswersDiffer(f"{workload.key}: {_difference(ours, floor)}")

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

    def fan_out(self, *, subscribers: int, events: int | None, rounds: int) -> list[Result]:
        """Q6 at each rate: what a delivered message costs, beyond what it costs to make its event.

        ``events``: how many a round has; those of one second, but at least 40, when absent. Raises ``AnswersDiffer``,
        and ``FellShort`` when messages are missing.
        """
        return [
            _run(self._fan_out(subscribers, events or max(rate, _FEWEST_EVENTS), rate, rounds))
            for rate in FAN_OUT_RATES
        ]

    async def _fan_out(self, subscribers: int, events: int, rate: int, rounds: int) -> Result:
        spent: tuple[list[float], list[float]] = ([], [])
        event: Mapping[str, Any] = {"orderId": _SUBJECT, "from": "PENDING", "to": "CANCELLED"}
        for _ in range(rounds):
            message, cost = await self._deliver(self.ours, event, subscribers, events, rate)
            spent[0].append(cost)
            same, cost = await self._deliver(
                self.floor, message["payload"]["data"]["orderChanged"], subscribers, events, rate
            )
            spent[1].append(cost)
            if message != same:
                raise AnswersDiffer(f"q6: {_difference(message, same)}")
        title = f"fan-out, {rate}/s to {subscribers}"
        return Result("q6", title, FAN_OUT_AIM, *spent, absolute=True)

    async def _deliver(
        self, server: Server, event: Mapping[str, Any], subscribers: int, events: int, rate: int
    ) -> tuple[Any, float]:
        """One of the messages, and the microseconds of each."""
        audience = Audience(server, FAN_OUT, self.token)
        before = server.cpu_seconds()
        await audience.publish(event, events, rate=rate)
        making = server.cpu_seconds() - before
        try:
            await audience.gather(subscribers, event)
            before = server.cpu_seconds()
            await audience.publish(event, events, rate=rate)
            await audience.delivered(subscribers * events)
            spent = server.cpu_seconds() - before
            return audience.last, (spent - making) / (subscribers * events) * 1e6
        finally:
            audience.leave()


@contextmanager
def opened(database_url: str, folder: Path) -> Iterator[Contest]:
    """Starts both contenders and the upstream of Q5 over a database with the data; their files go to ``folder``.

    Raises ``ServerNotStartedError`` when one of them does not start.
    """
    key_file = make_keys(folder)
    tokens = Tokens(SigningKeys(key_file), issuer=ISSUER, lifetime=timedelta(days=1))
    token = tokens.issue(user_id=USER, organization_id=ORGANIZATION, session_id="ses_of_the_benchmark").text
    with serving("benchmarks.upstream", {}, folder) as upstream:
        upstream_url = f"http://127.0.0.1:{upstream.port}"
        environment = {
            "DATABASE_URL": database_url,
            "DATA_DIR": str(folder),
            "SIGNING_KEY_FILE": str(key_file),
            "PUBLIC_URL": ISSUER,
            "PAGE_LIMIT": str(PAGE_LIMIT),
            "UPSTREAM_URL": upstream_url,
        }
        shop_environment = {**environment, "PYTHONPATH": str(SHOP), "SHOP_UPSTREAM_URL": upstream_url}
        with (
            serving("benchmarks.contenders.gateway", environment, folder) as ours,
            serving("benchmarks.contenders.gateway", shop_environment, folder, SHOP_PACKAGE) as shop,
            serving("benchmarks.contenders.floor", environment, folder) as floor,
        ):
            yield Contest(ours, shop, floor, token)


def _run(work: Coroutine[Any, Any, R]) -> R:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _difference(ours: Any, floor: Any, path: str = "") -> str:
    """Where two answers part first."""
    if isinstance(ours, dict) and isinstance(floor, dict) and ours.keys() == floor.keys():
        parts = [(f"{path}.{key}", ours[key], floor[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(floor, list) and len(ours) == len(floor):
        parts = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip(ours, floor, strict=True))]
    else:
        return f"at {path or 'the top'} the gateway has {str(ours)[:200]}, the floor {str(floor)[:200]}"
    return next(_difference(one, other, where) for where, one, other in parts if one != other)
