"""The shop's own REST API: one client for as long as the gateway runs, its failures told in the gateway's words."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import httpx
import orjson

from datasources.database.engine import Database, Scope
from schema.errors import UpstreamFailed, UpstreamTimeout
from schema.platform import Services
from tributary_shop.settings import settings_of

R = TypeVar("R")
BATCH = 100
"""Ids in one request, so that its address stays short."""


class PostRow(NamedTuple):
    """A post of the shop's journal."""

    id: int
    user_id: int
    title: str


class UserRow(NamedTuple):
    """Who wrote posts."""

    id: int
    name: str
    email: str


class Upstream:
    """Reads the REST API; every method raises ``UpstreamFailed``, or ``UpstreamTimeout`` where it took too long."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def posts(self, limit: int) -> list[PostRow]:
        """The first ``limit`` posts."""
        found = await self._list("posts", [("_limit", limit)])
        return _rows(lambda: [PostRow(post["id"], post["userId"], post["title"]) for post in found])

    async def users(self, ids: Sequence[int]) -> dict[int, UserRow]:
        """The users with these ids; one request for up to ``BATCH`` of them."""
        batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        answers = await asyncio.gather(*(self._list("users", [("id", key) for key in batch]) for batch in batches))
        found = [user for answer in answers for user in answer]
        return _rows(lambda: {user["id"]: UserRow(user["id"], user["name"], user["email"]) for user in found})

    async def ping(self) -> None:
        """The cheapest question that shows whether it works."""
        await self._list("posts", [("_limit", 1)])

    async def _list(self, path: str, query: Sequence[tuple[str, int]]) -> list[Any]:
        try:
            answer = await self._client.get(path, params=tuple(query))
        except httpx.TimeoutException:
            message = "The shop did not answer in time. Try again."
            raise UpstreamTimeout(message) from None
        except httpx.HTTPError as error:
            message = "The shop cannot be reached. Try again."
            raise UpstreamFailed(message) from error
        if not answer.is_success:
            message = f"The shop answered with status {answer.status_code}."
            raise UpstreamFailed(message, retry_after=_seconds(answer.headers.get("retry-after")))
        try:
            found = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, list):
            raise UpstreamFailed(_GARBLED)
        return found


_GARBLED = "The shop answered with something else than it should."


def _rows(make: Callable[[], R]) -> R:
    try:
        return make()
    except (LookupError, TypeError):
        raise UpstreamFailed(_GARBLED) from None


def _seconds(retry_after: str | None) -> int | None:
    return int(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else None


_open: WeakKeyDictionary[Database, Upstream] = WeakKeyDictionary()
"""The client of each gateway that runs in this process, by what a relation gets to see of the gateway."""


@asynccontextmanager
async def client_open(services: Services) -> AsyncIterator[None]:
    """The platform's ``work``: keeps connections to the REST API open while the gateway runs."""
    settings = settings_of(services)
    if settings.shop_upstream_url is None:
        yield
        return
    async with httpx.AsyncClient(
        base_url=str(settings.shop_upstream_url),
        timeout=settings.shop_upstream_timeout,
        headers={"accept": "application/json"},
    ) as client:
        _open[services.database] = Upstream(client)
        try:
            yield
        finally:
            del _open[services.database]


def upstream_of(database: Database) -> Upstream:
    """The REST API behind the gateway with this database; raises ``UpstreamFailed`` when it is not connected."""
    found = _open.get(database)
    if found is None:
        message = "The shop's REST API is not connected: SHOP_UPSTREAM_URL is not set."
        raise UpstreamFailed(message)
    return found


async def users_by_id(scope: Scope, ids: Sequence[int]) -> dict[int, UserRow]:
    """Users by id, for relations: each id is asked for once, however many posts name it."""
    return await upstream_of(scope.database).users(ids)
