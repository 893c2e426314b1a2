"""The benchmark of queries beside sign-ins does what it says; how long anything takes is not looked at here."""

import asyncio
from pathlib import Path

from benchmarks.data import fill
from benchmarks.logins import LOGINS_A_SECOND, QUERIES_A_SECOND, Latencies, Outcome, opened


def test_every_query_and_every_sign_in_is_answered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'benchmark.db'}"
    asyncio.run(fill(url, count=1))
    with opened(url, tmp_path) as measure:
        outcome = measure(2, 0.1)
    queries, logins = 2 * QUERIES_A_SECOND // 10, 2 * LOGINS_A_SECOND // 10
    assert (len(outcome.alone.seen), len(outcome.beside.seen), len(outcome.logins.seen)) == (queries, queries, logins)


def test_the_lines_have_the_figures_and_the_ratio() -> None:
    slow, quick = Latencies([float(number) for number in range(1, 200)]), Latencies([1.0, 1.0, 1.0])
    *_, logins, ratio = Outcome(alone=quick, beside=slow, logins=quick).lines("sqlite")
    assert logins.split()[-5:] == ["1.00", "ms", "p99", "1.00", "ms"]
    assert ratio.endswith("sqlite       198.00")
