"""The loader behind relations: one call for a level, each value read once, and a failure only for whom it concerns."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.batching import BatchLoader

pytestmark = pytest.mark.anyio


class Broken(Exception):
    """What a batch raises."""


@dataclass
class Reads:
    """Reads numbers as their doubles and writes down what was asked; 13 fails alone, 99 fails with all beside it."""

    batches: list[list[int]] = field(default_factory=list)
    pause: float | None = None

    async def read(self, keys: list[int]) -> list[Any]:
        """The batch function."""
        self.batches.append(list(keys))
        if self.pause is not None:
            await asyncio.sleep(self.pause)
        if 99 in keys:
            raise Broken
        return [Broken() if key == 13 else None if key == 0 else key * 2 for key in keys]


def made(pause: float | None = None, limit: int | None = None) -> tuple[Reads, BatchLoader[int, int]]:
    reads = Reads(pause=pause)
    return reads, BatchLoader(reads.read, max_batch_size=limit)


async def test_single_loads_of_one_wave_are_one_batch() -> None:
    reads, loader = made()
    assert await asked(loader, (False, [1, 2, 1, 3])) == [2, 4, 2, 6]
    assert reads.batches == [[1, 2, 3]]
    assert await loader.load(2) == 4
    assert reads.batches == [[1, 2, 3]]


async def test_a_column_is_one_batch_without_doubles_and_nulls() -> None:
    reads, loader = made()
    assert await loader.load_column([3, None, 1, 3, 0]) == [6, None, 2, 6, None]
    assert reads.batches == [[3, 1, 0]]


async def test_columns_and_single_loads_share_their_values() -> None:
    reads, loader = made()
    assert await loader.load_column([1, 2]) == [2, 4]
    assert await asked(loader, (False, [2, 1])) == [4, 2]
    assert await loader.load(5) == 10
    assert await loader.load_column([5, 1]) == [10, 2]
    assert reads.batches == [[1, 2], [5]]


async def test_a_column_waits_for_a_single_load_that_is_under_way() -> None:
    reads, loader = made(pause=0)
    single = asyncio.ensure_future(loader.load(1))
    await asyncio.sleep(0)
    assert await loader.load_column([1, 2]) == [2, 4]
    assert await single == 2
    assert sorted(key for batch in reads.batches for key in batch) == [1, 2]


async def test_columns_at_the_same_time_read_each_key_once() -> None:
    reads, loader = made(pause=0)
    columns = await asyncio.gather(
        loader.load_column([1, 2, 3]), loader.load_column([2, 3, 4]), loader.load_column([4, 1])
    )
    assert list(columns) == [[2, 4, 6], [4, 6, 8], [8, 2]]
    assert sorted(key for batch in reads.batches for key in batch) == [1, 2, 3, 4]


async def test_a_key_that_fails_fails_alone() -> None:
    _, loader = made()
    first, second = await asyncio.gather(loader.load(13), loader.load(1), return_exceptions=True)
    assert (type(first), second) == (Broken, 2)
    _, loader = made()
    good, bad = await loader.load_column([1, 13])
    assert (good, type(bad)) == (2, Broken)
    with pytest.raises(Broken):
        await loader.load(13)


async def test_a_batch_that_fails_fails_for_all_its_keys_and_no_others() -> None:
    _, loader = made()
    assert await loader.load_column([1]) == [2]
    found = await loader.load_column([1, 99, 2])
    assert [type(value) for value in found] == [int, Broken, Broken]
    with pytest.raises(Broken):
        await loader.load(2)
    assert await loader.load(3) == 6


async def test_columns_that_wait_for_a_failing_batch_get_its_failure() -> None:
    _, loader = made(pause=0)
    first, second = await asyncio.gather(loader.load_column([99, 1]), loader.load_column([1, 2]))
    assert [type(value) for value in first] == [Broken, Broken]
    assert [type(value) for value in second] == [Broken, int]


async def test_a_limit_divides_long_columns() -> None:
    reads, loader = made(limit=2)
    assert await loader.load_column([1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert [len(batch) for batch in reads.batches] == [2, 2, 1]


async def test_a_cancelled_column_leaves_nobody_waiting() -> None:
    reads, loader = made(pause=30)
    waiting = asyncio.ensure_future(loader.load_column([1]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    reads.pause = None
    assert await loader.load_column([1]) == [2]


async def test_what_is_cleared_is_read_again() -> None:
    reads, loader = made()
    await loader.load_column([1])
    loader.clear(1)
    assert await loader.load(1) == 2
    assert reads.batches == [[1], [1]]


KEYS = st.lists(st.integers(0, 20), min_size=1, max_size=6)
STEPS = st.lists(st.tuples(st.booleans(), KEYS), min_size=1, max_size=6)


async def asked(loader: BatchLoader[int, int], step: tuple[bool, list[int]]) -> list[Any]:
    """What a column, or single loads at the same time, come to."""
    column, keys = step
    if column:
        return list(await loader.load_column(keys))
    return list(await asyncio.gather(*(loader.load(key) for key in keys), return_exceptions=True))


@given(steps=STEPS, at_once=st.booleans(), limit=st.none() | st.integers(1, 4))
async def test_whoever_asks_in_whatever_way_gets_the_same(
    steps: list[tuple[bool, list[int]]], *, at_once: bool, limit: int | None
) -> None:
    """Columns and single loads, one after the other or at once: each key is read once and means one thing."""
    reads, loader = made(pause=0, limit=limit)
    if at_once:
        answers = list(await asyncio.gather(*(asked(loader, step) for step in steps)))
    else:
        answers = [await asked(loader, step) for step in steps]
    read = [key for batch in reads.batches for key in batch if key != 13]  # who fails may be asked again
    assert sorted(read) == sorted({key for _, keys in steps for key in keys} - {13})
    for (_, keys), values in zip(steps, answers, strict=True):
        for key, value in zip(keys, values, strict=True):
            assert isinstance(value, Broken) if key == 13 else value == (key * 2 or None)


@given(steps=STEPS, fatal=st.integers(0, 5))
async def test_a_failing_batch_reaches_whoever_waits_for_it_and_nothing_else_breaks(
    steps: list[tuple[bool, list[int]]], fatal: int
) -> None:
    """Every answer is the value or that failure, in whatever way it was asked for."""
    _, loader = made(pause=0)
    steps.insert(fatal % (len(steps) + 1), (fatal % 2 == 0, [99, fatal]))
    for (_, keys), values in zip(steps, await asyncio.gather(*(asked(loader, step) for step in steps)), strict=True):
        for key, value in zip(keys, values, strict=True):
            assert isinstance(value, Broken) or value == (key * 2 or None)
            assert isinstance(value, Broken) or key not in (13, 99)


async def test_whoever_waited_for_a_cancelled_column_is_served() -> None:
    """Another column reads the rest itself."""
    reads, loader = made(pause=30)
    cancelled = asyncio.ensure_future(loader.load_column([1, 2]))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(loader.load_column([2, 3]))
    reads.pause = None
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await waiting == [4, 6]
