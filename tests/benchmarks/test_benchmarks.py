"""Each workload runs, and the gateway answers as the hand-written floor does; nothing here is timed."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks import report
from benchmarks.__main__ import DATABASES, main
from benchmarks.contest import AnswersDiffer, Contest, Result, opened
from benchmarks.data import fill
from benchmarks.workloads import Workload, queries
from tests.servers.postgres import PostgresServer

BUSINESSES = 50
WORKLOADS = {workload.key: workload for workload in queries(BUSINESSES)}


@pytest.fixture(scope="module", params=DATABASES)
def contest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    folder = tmp_path_factory.mktemp("benchmark")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'benchmark.db'}"
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = stack.enter_context(server.database())
        asyncio.run(fill(url, count=BUSINESSES))
        yield stack.enter_context(opened(url, folder))


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=list(WORKLOADS))
def test_the_gateway_answers_a_workload_as_the_floor_does(contest: Contest, workload: Workload) -> None:
    result = contest.measure(workload, requests=4, rounds=2)
    assert len(result.ours) == len(result.floor) == 2


def test_answers_that_differ_are_not_compared(contest: Contest) -> None:
    """The floor is asked for the campaigns of nobody."""
    nested, tiny = WORKLOADS["q2"], WORKLOADS["q1"]
    apart = Workload("q2", "apart", nested.query, tiny.path, [{**nested.variables[0], "id": "nobody"}], 1, 1)
    with pytest.raises(AnswersDiffer, match=r"at \.data the gateway has .*businesses.*, the floor .*business.*None"):
        contest.measure(apart, requests=1, rounds=1)


def test_the_table_has_the_median_the_range_and_whether_the_aim_is_met() -> None:
    line = report.row("sqlite", Result("q1", "tiny", 1.5, ours=[300.0, 200.0, 420.0], floor=[200.0, 200.0, 200.0]))
    assert " ".join(line.split()) == "Q1 tiny sqlite 0.30 ms 0.20 ms 1.50 1.00 to 2.10 ≤ 1.5: met"


def test_a_workload_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["q7"])
    assert "there is no workload q7; there are q1, q2, q3, q4, q5, q6" in capsys.readouterr().err
