"""What a run of Q6 prints: a table of the paces, the memory of a socket, and which aims are met."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks.live.contenders import FLOOR
from benchmarks.live.contest import RATES, Sizes, Standing
from benchmarks.live.pace import Pace

MICROSECONDS_AIM = 15.0
P99_AIM = 0.050
"""Seconds, at the higher rate, which must be sustained."""
BYTES_AIM = 30 * 1_024.0

_BUSY, _STARVED = 0.9, 0.1
"""From these shares on it is said that something else than the server may be what was measured."""
_COLUMNS: Mapping[str, int] = {
    "events/s": 9,
    "server": 20,
    "µs/message": 10,
    "by floor": 8,
    "messages/s": 10,
    "a CPU second": 12,
    "p50 ms": 8,
    "p99 ms": 8,
    "sustained": 9,
    "CPU": 5,
    "waited": 6,
    "load": 5,
}
"""The columns and how wide they are."""

_EXPLAINED = """
Each event is a transaction in the gateway's database; the other servers publish it in memory. µs/message: CPU time
without the making of events ("most": with it). A CPU second: messages for one, the making of events included. p50, p99:
from the event's moment (in its transaction, before the commit) to the client. Sustained: everybody got everything, the
last no later than 0.25 s after the last event was due. The server has one CPU; the load and PostgreSQL have the rest.
CPU: how much of it the server had; waited: how long it could not work because something else had it; load: how busy
the process was that plays the subscribers. PostgreSQL, where the run starts it, does not wait for its disk.
"""


def lines(standings: Sequence[Standing], sizes: Sizes, without: str | None) -> Iterator[str]:
    """The lines; ``without`` is why the servers on Node are not there, if they are not."""
    rounds = len(standings[0].most)
    yield f"\nQ6: one event to {sizes.subscribers} subscribers; medians of {rounds} round{'s' * (rounds > 1)}."
    yield _EXPLAINED.strip("\n")
    if without is not None:
        yield f"Without graphql-ws and graphql-yoga: {without}."
    yield "\n" + _line(tuple(_COLUMNS))
    for rate in RATES:
        yield from _rows(str(rate), standings, lambda standing, rate=rate: standing.rates[rate])  # type: ignore[misc]
    yield from _rows("most", standings, lambda standing: standing.most)
    if sizes.sockets:
        yield f"\nMemory that a server grows by with each of {sizes.sockets:,} subscribed sockets, in kB (1,024 bytes):"
    for standing in standings:
        if standing.bytes_per_socket is not None:
            yield f"  {standing.contender.name.ljust(20)} {standing.bytes_per_socket / 1_024:.1f}"
    yield ""
    for standing in standings:
        if standing.contender.ours:
            yield from aims(standing)
    yield from remarks(standings)


def aims(standing: Standing) -> Iterator[str]:
    """Which aims a standing meets."""
    name, (slow, fast) = standing.contender.name, RATES
    for rate in (slow, fast):
        cost = median(each.microseconds for each in standing.rates[rate])
        yield f"{name}, ≤ {MICROSECONDS_AIM:g} µs a message at {rate}/s: {_met(cost <= MICROSECONDS_AIM)} ({cost:.1f})"
    paces = standing.rates[fast]
    p99, times = median(each.percentile(0.99) for each in paces), sum(each.sustained for each in paces)
    said = f"in {times} of {len(paces)} rounds, p99 {p99 * 1_000:.0f} ms"
    good = times == len(paces) and p99 <= P99_AIM
    yield f"{name}, {fast}/s sustained with a p99 ≤ {P99_AIM * 1_000:g} ms: {_met(good)} ({said})"
    needed = standing.bytes_per_socket
    if needed is not None:
        yield f"{name}, ≤ {BYTES_AIM / 1_024:g} kB a socket: {_met(needed <= BYTES_AIM)} ({needed / 1_024:.1f})"


def _met(good: bool) -> str:  # noqa: FBT001 -- the answer to a question
    return "met" if good else "not met"


def _rows(name: str, standings: Sequence[Standing], paces_of: Callable[[Standing], Sequence[Pace]]) -> Iterator[str]:
    floor = next((paces_of(standing) for standing in standings if standing.contender.name == FLOOR), ())
    for standing in standings:
        paces = paces_of(standing)
        ratios = [one.microseconds / other.microseconds for one, other in zip(paces, floor, strict=True)]
        times = sum(each.sustained for each in paces)
        yield _line(
            (
                name,
                standing.contender.name,
                f"{median(each.microseconds for each in paces):.1f}",
                f"{median(ratios):.2f}",
                f"{median(each.per_second for each in paces):,.0f}",
                f"{median(each.per_cpu_second for each in paces):,.0f}",
                f"{median(each.percentile(0.5) for each in paces) * 1_000:,.1f}",
                f"{median(each.percentile(0.99) for each in paces) * 1_000:,.1f}",
                "" if paces is standing.most else f"{times} of {len(paces)}",
                f"{median(each.server_share for each in paces):.0%}",
                f"{median(each.waited_share for each in paces):.0%}",
                f"{median(each.client_share for each in paces):.0%}",
            )
        )


def remarks(standings: Sequence[Standing]) -> Iterator[str]:
    """What must be known to read the figures of a round."""
    for standing in standings:
        rounds = [(f"{rate}/s", each) for rate in RATES for each in standing.rates[rate]]
        for name, each in [*rounds, *(("most", each) for each in standing.most)]:
            about = f"{standing.contender.name}, {name}"
            if each.delivered < each.expected:
                yield f"{about}: {each.delivered:,} of {each.expected:,} messages came in time{each.lost}"
            if each.client_share > _BUSY:
                yield f"{about}: the load was busy {each.client_share:.0%} of the time; the server may be faster"
    starved = max(each.waited_share for standing in standings for each in standing.most)
    if starved > _STARVED:
        yield (
            f"The machine did other work: servers waited up to {starved:.0%} of the time for their CPU. Latencies, "
            "messages/s and what was sustained are of that machine, not of the servers. CPU times hold less well where "
            "several events go out together, as the gateway's do at the higher paces: how many depends on the waiting."
        )


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _COLUMNS.values(), strict=True)).rstrip()
