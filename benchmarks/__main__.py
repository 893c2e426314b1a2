"""``python -m benchmarks [q1 … q6, logins] [--database sqlite|postgresql] [--requests N] [--rounds N]``."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import logins, report
from benchmarks.contest import AnswersDiffer, environment_of, opened, token_for
from benchmarks.data import BUSINESSES, fill
from benchmarks.live import contenders, node
from benchmarks.live import report as live_report
from benchmarks.live.audience import FellShort
from benchmarks.live.contest import Sizes, live_contest
from benchmarks.load import WrongAnswer
from benchmarks.workloads import queries
from tests.servers.postgres import postgres_server
from tests.servers.process import ServerNotStartedError

DATABASES = ("sqlite", "postgresql")
LIVE = "q6"
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
    if any(_asked(options, workload.key) for workload in queries(BUSINESSES)):
        print(report.columns(), flush=True)
    try:
        for kind in options.database or DATABASES:
            with tempfile.TemporaryDirectory(prefix="tributary-") as name, database(kind, Path(name)) as url:
                _measure(options, kind, url, Path(name))
        if _asked(options, LIVE):
            _live(options)
    except (AnswersDiffer, WrongAnswer, FellShort, ServerNotStartedError, OSError) as error:
        print(f"benchmarks: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(options: argparse.Namespace, kind: str, url: str, folder: Path) -> None:
    compared = [workload.key for workload in queries(BUSINESSES) if _asked(options, workload.key)]
    if compared or _asked(options, LOGINS):
        asyncio.run(fill(url))
    if compared:
        _compare(options, kind, url, folder)
    if _asked(options, LOGINS):
        with logins.opened(url, folder) as measure:
            print(*measure(options.rounds, logins.SECONDS).lines(kind), sep="\n", flush=True)


def _compare(options: argparse.Namespace, kind: str, url: str, folder: Path) -> None:
    with opened(url, folder) as contest:
        for workload in queries(BUSINESSES):
            if _asked(options, workload.key):
                count = options.requests or workload.requests
                print(report.row(kind, contest.measure(workload, requests=count, rounds=options.rounds)), flush=True)


def _live(options: argparse.Namespace) -> None:
    """All contenders in one contest, the gateway once for each kind of database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tributary-")))
        environment = environment_of(folder)
        urls = {kind: stack.enter_context(database(kind, folder)) for kind in options.database or DATABASES}
        for url in urls.values():
            asyncio.run(fill(url, count=1))
        found = [contenders.gateway(kind, {**environment, "DATABASE_URL": url}) for kind, url in urls.items()]
        found += [contenders.floor(found[0].environment), *contenders.peers()]
        sizes = Sizes(events=options.requests)
        contest = stack.enter_context(live_contest(found, token_for(environment), folder))
        print(*live_report.lines(contest.measure(sizes, options.rounds), sizes, node.missing()), sep="\n", flush=True)


def _asked(options: argparse.Namespace, name: str) -> bool:
    return not options.workloads or name in options.workloads


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    keys = [*(workload.key for workload in queries(BUSINESSES)), LIVE, LOGINS]
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
