"""Every server of the benchmark of live events runs and tells the same; nothing here is timed."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks.contest import AnswersDiffer, environment_of, token_for
from benchmarks.data import fill
from benchmarks.live import contenders, node, report
from benchmarks.live.audience import Audience, FellShort
from benchmarks.live.contest import RATES, SUBSCRIPTION, LiveContest, Sizes, Standing, agree, live_contest
from benchmarks.live.pace import Pace
from benchmarks.live.subscriber import Subscriber, Tally
from benchmarks.load import WrongAnswer
from tests.servers.postgres import PostgresServer

SMALL = Sizes(subscribers=3, seconds=0.1, events=3, sockets=0, quiet_seconds=0.05)


@pytest.fixture(scope="module")
def contest(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveContest]:
    folder = tmp_path_factory.mktemp("live")
    environment = environment_of(folder)
    with ExitStack() as stack:
        urls = {"sqlite": f"sqlite:///{folder / 'live.db'}", "postgresql": stack.enter_context(postgres.database())}
        for url in urls.values():
            asyncio.run(fill(url, count=1))
        ours = [contenders.gateway(kind, {**environment, "DATABASE_URL": url}) for kind, url in urls.items()]
        everybody = [*ours, contenders.floor(ours[0].environment), *contenders.peers()]
        yield stack.enter_context(live_contest(everybody, token_for(environment), folder))


def _pace(**given: Any) -> Pace:
    figures = {
        "events": 1_000,
        "expected": 500_000,
        "delivered": 500_000,
        "cpu_seconds": 6.0,
        "making_seconds": 1.0,
        "elapsed": 5.0,
        "late": 0.02,
        "server_share": 0.9,
        "waited_share": 0.01,
        "client_share": 0.3,
        "latencies": [0.001] * 98 + [0.02, 0.04],
    }
    return Pace(**{**figures, **given})


def _standing(
    name: str = "gateway, sqlite", *, ours: bool = True, memory: float | None = 25_000.0, **given: Any
) -> Standing:
    rates = {rate: [_pace(**given)] for rate in RATES}
    return Standing(contenders.Contender(name, (), ours=ours), rates, [_pace(**given)], memory)


def test_every_server_tells_everybody_the_same_of_every_event(contest: LiveContest) -> None:
    standings = contest.measure(SMALL, rounds=1)
    assert [standing.contender.name for standing in standings] == [
        "gateway, sqlite",
        "gateway, postgresql",
        "floor",
        "Strawberry",
        "graphql-ws on ws",
        "graphql-yoga",
    ]
    for standing in standings:
        paces = [*(pace for rate in RATES for pace in standing.rates[rate]), *standing.most]
        assert [(pace.events, pace.delivered, pace.lost) for pace in paces] == [(3, 9, "")] * 3, standing
        assert all(pace.cpu_seconds > 0 and len(pace.latencies) == 9 for pace in paces), standing
    told = "\n".join(report.lines(standings, SMALL, None))
    for standing in standings:
        rows = re.findall(rf"^(\S+) +{re.escape(standing.contender.name)}  ", told, re.MULTILINE)
        assert rows == ["20", "200", "most"], told
    assert "socket: met" not in told, "nobody measured it"


def test_memory_is_measured_in_a_server_of_its_own(contest: LiveContest) -> None:
    floor = next(each for each in contest.contenders if each.name == contenders.FLOOR)
    alone = LiveContest([floor], contest.token, contest.folder, contest.cpu)
    [standing] = alone.measure(Sizes(subscribers=1, events=1, sockets=64, quiet_seconds=0.05), rounds=1)
    assert standing.bytes_per_socket is not None
    assert 0 < standing.bytes_per_socket < 1_000_000


def test_a_server_that_tells_something_else_ends_the_run() -> None:
    told = {"id": "1", "type": "next", "payload": {"data": {"orderChanged": {"id": "a", "at": "b", "to": "PAID"}}}}
    event = {"id": "c", "at": "d", "to": "PAID"}
    found = {"id": "1", "type": "next", "payload": {"data": {"orderChanged": event}}}
    agree(contenders.Contender("gateway, sqlite", (), ours=True), found, told)
    with pytest.raises(AnswersDiffer, match=r"q6: at \.payload\.data\.orderChanged\.id floor has c, .* a$"):
        agree(contenders.Contender("floor", ()), found, told)
    event["to"] = "REJECTED"
    with pytest.raises(AnswersDiffer, match=r"orderChanged\.to gateway, sqlite has REJECTED, the one before PAID"):
        agree(contenders.Contender("gateway, sqlite", (), ours=True), found, told)


async def _subscribed(tally: Tally) -> tuple[Subscriber, Mock]:
    subscriber, transport = Subscriber(SUBSCRIPTION, "token", tally), Mock()
    subscriber.connection_made(transport)
    ack = b'{"type": "connection_ack"}'
    subscriber.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r")
    subscriber.data_received(b"\n\x81%c%b" % (len(ack), ack))
    await subscriber.subscribed
    transport.write.reset_mock()
    return subscriber, transport


@pytest.mark.anyio
async def test_frames_are_counted_wherever_the_network_cuts_them() -> None:
    short, middle, long = b"s" * 125, b"m" * 126, b"l" * 70_000
    frames = b"\x81\x7d%b\x89\x02hi\x81\x7e%b%b\x81\x7f%b%b" % (
        short,
        len(middle).to_bytes(2),
        middle,
        len(long).to_bytes(8),
        long,
    )
    for size in (1, 2, 3, 7, 129, 4_096, len(frames)):
        tally = Tally()
        subscriber, transport = await _subscribed(tally)
        subscriber.samples = []
        for start in range(0, len(frames), size):
            subscriber.data_received(frames[start : start + size])
        assert [text for _, text in subscriber.samples] == [short, middle, long]
        assert tally.messages == subscriber.messages == 3
        transport.write.assert_called_once_with(b"\x8a\x82\0\0\0\0hi")


@pytest.mark.anyio
async def test_a_subscriber_that_is_sent_away_says_why() -> None:
    subscriber, transport = await _subscribed(Tally())
    subscriber.data_received(b"\x88\x06\x03\xf5slow")
    assert subscriber.lost is not None
    assert "slow" in subscriber.lost
    transport.abort.assert_called_once()
    refused = Subscriber(SUBSCRIPTION, "token", Tally())
    refused.connection_made(Mock())
    refused.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with pytest.raises(WrongAnswer, match="403"):
        await refused.subscribed


@pytest.mark.anyio
async def test_what_is_no_event_or_comes_twice_is_no_figure() -> None:
    subscriber, _ = await _subscribed(tally := Tally())
    audience = Audience(0, SUBSCRIPTION, "token")
    audience.tally = tally
    audience._subscribers.append(subscriber)
    event = b'{"payload":{"data":{"orderChanged":{"id":"a","at":"2026-01-01T00:00:00Z"}}}}'
    subscriber.samples = [(1_767_225_600.5, event)]
    assert audience.latencies() == [0.5]
    subscriber.samples *= 2
    with pytest.raises(FellShort, match="twice"):
        audience.latencies()
    subscriber.samples = [(0.0, b'{"type":"error","payload":[{"message":"too slow"}]}')]
    with pytest.raises(FellShort, match="too slow"):
        audience.latencies()


def test_a_rate_is_sustained_when_everything_came_and_nothing_piled_up() -> None:
    assert _pace().sustained
    assert not _pace(delivered=499_999).sustained
    assert not _pace(late=0.3).sustained


def test_the_aims_are_marked() -> None:
    assert list(report.aims(_standing())) == [
        "gateway, sqlite, ≤ 15 µs a message at 20/s: met (10.0)",
        "gateway, sqlite, ≤ 15 µs a message at 200/s: met (10.0)",
        "gateway, sqlite, 200/s sustained with a p99 ≤ 50 ms: met (in 1 of 1 rounds, p99 40 ms)",
        "gateway, sqlite, ≤ 30 kB a socket: met (24.4)",
    ]
    for given in ({"late": 0.4}, {"latencies": [0.06]}):
        assert "not met" in list(report.aims(_standing(**given)))[2]
    late = _standing(cpu_seconds=9.0, late=0.4, latencies=[0.06], memory=40_000.0)
    assert [line.partition(": ")[2].partition(" (")[0] for line in report.aims(late)] == ["not met"] * 4


def test_what_disturbed_a_run_is_said_beside_its_figures() -> None:
    floor = _standing(contenders.FLOOR, ours=False, cpu_seconds=11.0)
    disturbed = _standing(waited_share=0.4, client_share=0.95, delivered=400_000, lost="; 1 socket was lost")
    text = "\n".join(report.lines([disturbed, floor], Sizes(), "there is no Node"))
    assert "Without graphql-ws and graphql-yoga: there is no Node." in text
    assert "gateway, sqlite, 200/s: 400,000 of 500,000 messages came in time; 1 socket was lost" in text
    assert "gateway, sqlite, most: the load was busy 95% of the time" in text
    assert "servers waited up to 40% of the time" in text
    assert "waited up to" not in "\n".join(report.lines([_standing(), floor], Sizes(), None))


def test_without_node_its_servers_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.missing() == "there is no Node 20.19 or newer, with npm"
    assert [each.name for each in contenders.peers()] == ["Strawberry"]
