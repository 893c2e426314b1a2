"""A subscription of the event log as somebody has opened it, and where its responses go."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from auth.caller import Caller
from auth.principal import Principal
from gateway.graphql.masking import RequestError
from gateway.graphql.payload import Batch, Payload
from schema.streams import EventStream

Person: TypeAlias = tuple[str | None, str | None]
"""The person or the key that asks."""


class Reader(Protocol):
    """Where the responses of a follower go."""

    def take(self, batch: Batch) -> bool:
        """Has them sent; says whether there is room for more. Never waits and never fails."""
        ...

    async def room(self) -> None:
        """Returns once there is room."""
        ...

    def end(self, refusal: RequestError) -> None:
        """Tells the client that nothing more comes, and why."""
        ...


class Response(NamedTuple):
    """What came of one value, and whether it is for the person alone for whom it was executed."""

    payload: Payload
    personal: bool


class Opening(NamedTuple):
    """What a subscription begins with; ``personal`` as in ``Response``."""

    payloads: Sequence[Payload]
    personal: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A subscription of the log that somebody has opened: what they follow, and how it is executed for anybody."""

    key: Hashable
    stream: EventStream
    execute: Callable[[object, "Viewer"], Awaitable[Response]]
    opening: Callable[["Viewer"], Awaitable[Opening]]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who follows."""

    principal: Principal
    caller: Caller

    @property
    def person(self) -> Person:
        """Who that is, for what depends on it."""
        return self.principal.user_id, self.principal.key_id
