"""``python -m benchmarks [q1 … q6, logins] [--database sqlite|postgresql] [--requests N] [--rounds N]``."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import logins, report
from benchmarks.contest import AnswersDiffer, opened
from benchmarks.data import BUSINESSES, fill
from benchmarks.fanout import FellShort
from benchmarks.load import WrongAnswer
from benchmarks.workloads import queries
from tests.servers.postgres import postgres_server
from tests.servers.process import ServerNotStartedError

DATABASES = ("sqlite", "postgresql")
SUBSCRIBERS = 500
FAN_OUT = "q6"
LOGINS = "logins"


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database for the length of the block."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'benchmark.db'}"
    else:
        with postgres_server() as server, server.database() as url:
            yield url


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for and prints it line by line; 1 when a contender fails or their answers differ."""
    options = _options(arguments)
    # Whoever ends the run ends the servers with it: both signals unwind the blocks that hold them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(report.heading(), flush=True)
    try:
        for kind in options.database or DATABASES:
            with tempfile.TemporaryDirectory(prefix="tributary-") as name, database(kind, Path(name)) as url:
                _measure(options, kind, url, Path(name))
    except (AnswersDiffer, WrongAnswer, FellShort, ServerNotStartedError, OSError) as error:
        print(f"benchmarks: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(options: argparse.Namespace, kind: str, url: str, folder: Path) -> None:
    asyncio.run(fill(url))
    if options.workloads != [LOGINS]:
        _compare(options, kind, url, folder)
    if not options.workloads or LOGINS in options.workloads:
        with logins.opened(url, folder) as measure:
            print(*measure(options.rounds, logins.SECONDS).lines(kind), sep="\n", flush=True)


def _compare(options: argparse.Namespace, kind: str, url: str, folder: Path) -> None:
    with opened(url, folder) as contest:
        for workload in queries(BUSINESSES):
            if not options.workloads or workload.key in options.workloads:
                count = options.requests or workload.requests
                print(report.row(kind, contest.measure(workload, requests=count, rounds=options.rounds)), flush=True)
        if not options.workloads or FAN_OUT in options.workloads:
            for result in contest.fan_out(subscribers=SUBSCRIBERS, events=options.requests, rounds=options.rounds):
                print(report.row(kind, result), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    keys = [*(workload.key for workload in queries(BUSINESSES)), FAN_OUT, LOGINS]
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"of {', '.join(keys)}; all unless named")
    parser.add_argument("--database", action="append", choices=DATABASES, help="one of them; both unless named")
    parser.add_argument("--requests", type=int, help="how many requests (Q6: events) a round has")
    parser.add_argument("--rounds", type=int, default=5, help="how often the contenders take turns")
    options = parser.parse_args(arguments)
    for name in options.workloads:
        if name not in keys:
            parser.error(f"there is no workload {name}; there are {', '.join(keys)}")
    for name in ("requests", "rounds"):
        given = getattr(options, name)
        if given is not None and given < 1:
            parser.error(f"--{name} is a number from 1 on")
    return options


if __name__ == "__main__":
    sys.exit(main())
