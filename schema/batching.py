"""The loader behind every declared relation."""

from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Iterator, MutableMapping
from typing import Any, Generic, TypeVar, cast

from aiodataloader import DataLoader

K = TypeVar("K")
V = TypeVar("V")
Batch = Callable[[list[K]], Coroutine[Any, Any, list[Any]]]
_LOST = object()


class _Futures(MutableMapping[K, "Future[V]"], Generic[K, V]):
    """The loader's cache of futures, filled from the cache of values only when a single value is asked for."""

    def __init__(self, loader: "BatchLoader[K, V]") -> None:
        self._loader = loader
        self.pending: dict[K, Future[V]] = {}

    def __getitem__(self, key: K) -> "Future[V]":
        future = self.pending.get(key)
        if future is None:
            batch = self._loader.batches.get(key)
            if batch is None and key not in self._loader.values:
                raise KeyError(key)
            future = self.pending[key] = self._loader.loop.create_future()
            if batch is None:
                self._settle(key, future)
            else:
                batch.add_done_callback(lambda _: self._settle(key, future))
        return future

    def _settle(self, key: K, future: "Future[V]") -> None:
        value = self._loader.values.get(key, _LOST)
        if value is _LOST:  # the column that read it was cancelled
            self.pending.pop(key, None)
            future.cancel()
        elif future.cancelled():
            pass
        elif isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(cast(V, value))

    def __setitem__(self, key: K, future: "Future[V]") -> None:
        self.pending[key] = future

    def __delitem__(self, key: K) -> None:
        self.pending.pop(key, None)
        self._loader.values.pop(key, None)

    def __iter__(self) -> Iterator[K]:
        return iter({**self.pending, **self._loader.values})

    def __len__(self) -> int:
        return len({**self.pending, **self._loader.values})


class BatchLoader(DataLoader[K, V], Generic[K, V]):
    """An aiodataloader that also takes a whole column of keys at once.

    ``load`` costs a future per key; ``load_column`` costs one call for a level of the answer. Both share their values.
    """

    def __init__(self, batch: Batch[K], *, max_batch_size: int | None = None) -> None:
        self.values: dict[K, V | Exception] = {}
        self._futures: _Futures[K, V] = _Futures(self)
        self.batches: dict[K, Future[None]] = {}
        super().__init__(batch_load_fn=batch, max_batch_size=max_batch_size, cache_map=self._futures)

    async def load_column(self, keys: Iterable[K | None]) -> list[V | Exception | None]:
        """The value of each key, in order; ``None`` for ``None``, and the exception where a key failed."""
        column = list(keys)
        wanted = [key for key in dict.fromkeys(column) if key is not None and key not in self.values]
        columns = {self.batches[key] for key in wanted if key in self.batches}
        singles = {key: self._futures.pending[key] for key in wanted if key in self._futures.pending}
        await self._fill([key for key in wanted if key not in self.batches and key not in singles])
        for batch in columns:
            await batch
        for key, future in singles.items():
            try:
                self.values[key] = await future
            except Exception as error:  # noqa: BLE001 -- handed on as the value of its key
                self.values[key] = error
        # A column that was cancelled leaves its keys to whoever waited for them.
        await self._fill([key for key in wanted if key not in self.values])
        return [None if key is None else self.values[key] for key in column]

    async def _fill(self, keys: list[K]) -> None:
        done: Future[None] = self.loop.create_future()
        self.batches.update(dict.fromkeys(keys, done))
        step = self.max_batch_size or len(keys) or 1
        try:
            for start in range(0, len(keys), step):
                await self._read(keys[start : start + step])
        finally:
            for key in keys:
                del self.batches[key]
            done.set_result(None)

    async def _read(self, keys: list[K]) -> None:
        try:
            found = await self.batch_load_fn(keys)
        except Exception as error:  # noqa: BLE001 -- handed on as the value of each key
            self.values.update(dict.fromkeys(keys, error))
        else:
            self.values.update(zip(keys, found, strict=True))
