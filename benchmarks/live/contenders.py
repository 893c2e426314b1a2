"""The servers that are compared, each as a command and the environment that it needs."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.live import node
from benchmarks.servers import Server, running

FLOOR = "floor"


@dataclass(frozen=True)
class Contender:
    """A server that can be started. ``ours``: whether aims are for it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False

    def running(self, folder: Path, cpu: int) -> AbstractContextManager[Server]:
        """Runs it on one CPU until the block ends; raises ``ServerNotStartedError``."""
        return running(self.command, self.environment, folder, cpu=cpu)


def _module(name: str) -> Sequence[str]:
    return sys.executable, "-m", f"benchmarks.contenders.{name}"


def gateway(database: str, environment: Mapping[str, str]) -> Contender:
    """The gateway on a kind of database."""
    return Contender(f"gateway, {database}", _module("gateway"), environment, ours=True)


def floor(environment: Mapping[str, str]) -> Contender:
    """The hand-written server."""
    return Contender(FLOOR, _module("floor"), environment)


def peers() -> Sequence[Contender]:
    """The usual servers, as far as this machine can run them; raises ``ServerNotStartedError``."""
    found = [Contender("Strawberry", _module("stock_strawberry"))]
    if node.missing() is None:
        folder = node.install()
        production = {"NODE_ENV": "production"}
        for name, script in (("graphql-ws on ws", "graphql-ws.mjs"), ("graphql-yoga", "yoga.mjs")):
            found.append(Contender(name, ("node", "--expose-gc", str(folder / script)), production))
    return found
