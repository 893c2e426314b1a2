"""The three roots, empty but for what belongs to the gateway itself; areas and platforms add their fields."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from datasources.database.accounts import users_by_id
from schema.accounts import User
from schema.context import Info
from schema.directives import Authenticated, Public
from schema.errors import BadRequest
from schema.node import Node

MAX_BEATS = 1_000_000
MIN_INTERVAL_MS, MAX_INTERVAL_MS = 10, 60_000


@strawberry.type(description="Everything that can be read.")
class Query:
    """The query root."""

    @strawberry.field(
        description="The thing with this id, whatever its type; null when there is none that you may see.",
        directives=[Public(reason="What it finds is guarded by its own type.")],
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="An id from this schema.")]
    ) -> Node | None:
        """``node(id:)``."""
        (future,) = info.context.composition.by_ids(info.context.loader, [id])
        return None if future is None else await future

    @strawberry.field(
        description="The things with these ids, in the same order; null for each that you may not see.",
        directives=[Public(reason="What it finds is guarded by its own type.")],
    )
    def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 250 ids from this schema.")],
    ) -> list[Node | None]:
        """``nodes(ids:)``."""
        if len(ids) > info.context.page_limit:
            message = f"Ask for at most {info.context.page_limit} ids at once, not {len(ids)}."
            raise BadRequest(message)
        return info.context.composition.by_ids(info.context.loader, ids)

    @strawberry.field(
        description="Answers with the text it was given: the cheapest way to see whether a client and a proxy work.",
        directives=[Public(reason="Tells nothing but what was sent.")],
    )
    def echo(self, text: Annotated[str, strawberry.argument(description="Any text.")]) -> str:
        """``echo``."""
        return text


@strawberry.type(description="Everything that can be changed. Fields run one after the other.")
class Mutation:
    """The mutation root."""


async def _beats(count: int, interval_ms: int) -> AsyncIterator[int]:
    if not 1 <= count <= MAX_BEATS:
        message = f"`count` must be from 1 to {MAX_BEATS}, not {count}."
        raise BadRequest(message)
    if not MIN_INTERVAL_MS <= interval_ms <= MAX_INTERVAL_MS:
        message = f"`intervalMs` must be from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}, not {interval_ms}."
        raise BadRequest(message)
    for beat in range(1, count + 1):
        yield beat
        if beat < count:
            await asyncio.sleep(interval_ms / 1000)


_Count = Annotated[int, strawberry.argument(description="How many beats until the stream completes.")]
_Interval = Annotated[int, strawberry.argument(description="Milliseconds from one beat to the next, 10 to 60000.")]


@strawberry.type(description="Everything that can be watched.")
class Subscription:
    """The subscription root."""

    @strawberry.subscription(
        description="Counts from 1: shows whether a client and all that lies between let a stream through, in time.",
        directives=[Public(reason="Tells nothing but the time.")],
    )
    async def heartbeat(self, count: _Count, interval_ms: _Interval = 1000) -> AsyncIterator[int]:
        """A stream for checking a line."""
        async for beat in _beats(count, interval_ms):
            yield beat

    @strawberry.subscription(
        description="Sends who is signed in at each beat: shows whether a token reaches the stream.",
        directives=[Authenticated()],
    )
    async def viewer_heartbeat(
        self, info: Info, count: _Count, interval_ms: _Interval = 1000
    ) -> AsyncIterator[User | None]:
        """A stream for checking that sign-in reaches it."""
        async for _ in _beats(count, interval_ms):
            yield await info.context.loader(users_by_id).load(info.context.principal.user_id)
