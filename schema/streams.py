"""Subscriptions that read the event log are declared: a function from the arguments to the events that are wanted.

Replaying, resuming, sharing one execution among many and letting slow clients go is the engine's, the same for all.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import strawberry

from datasources.database.engine import Scope
from datasources.database.events import EventPosition
from schema.context import Context, Info
from schema.errors import BadRequest, CursorOfAnotherLog, CursorTooOld, FellTooFarBehind
from schema.event import After
from subscriptions.interest import Interest
from subscriptions.log import EventLog, FellBehind, TooOld

_NO_CURSOR = "That is not the cursor of an event of yours. Send the `cursor` of the last event that you saw."

Opening = Callable[[Context], Awaitable[Sequence[object]]]
"""What a subscription begins with, before anything happens: values as events give them."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """What a subscription reads: which events, of whose log, from where on.

    ``opening`` tells what comes first, and with ``every`` (seconds) also what comes later instead of the events
    themselves: at most once in that time, after any of them has happened. It is an iterable of events, for executors
    that know no better.
    """

    log: EventLog
    scope: Scope
    interest: Interest
    after: EventPosition | None
    opening: Opening | None = None
    every: float | None = None

    def resumed(self, cursor: str) -> Self:
        """The same from right after a cursor.

        Raises ``BadRequest`` for what is none of this organization, or of the log before it was restored.
        """
        place = self.log.cursors.decode(self.scope.organization_id or "", cursor)
        if place is None:
            raise BadRequest(_NO_CURSOR)
        if place.era < self.log.position.era:
            raise CursorOfAnotherLog
        return replace(self, after=place)

    async def __aiter__(self) -> AsyncIterator[object]:
        """The events for one reader; raises ``CursorTooOld`` and ``FellTooFarBehind``."""
        organization_id = self.scope.organization_id or ""
        try:
            async for event in self.log.follow(self.scope, self.interest, self.after):
                yield event
        except FellBehind as error:
            raise FellTooFarBehind(self.log.cursors.encode(organization_id, error.last)) from None
        except TooOld as error:
            raise CursorTooOld(self.log.cursors.encode(organization_id, error.oldest)) from None


def event_stream(
    kind: Any,
    select: Callable[..., Interest],
    *,
    description: str,
    directives: Sequence[object] = (),
    resumable: bool = True,
    opening: Opening | None = None,
    every: float | None = None,
) -> Any:
    """Declares a subscription of ``kind``: ``select`` is ``(context, **arguments) -> Interest``.

    The arguments of ``select``, as they are annotated, are those of the field; it may raise what is in
    ``schema.errors``. A ``resumable`` one takes ``after`` as well. ``opening`` and ``every`` are as in ``EventStream``.
    """

    def subscribe(info: Info, **arguments: Any) -> EventStream:
        context = info.context
        _ = context.organization_id  # nobody follows a log that is nobody's
        after: str | None = arguments.pop("after", None)
        interest = select(context, **arguments)
        stream = EventStream(context.services.events, context.scope, interest, None, opening, every)
        return stream if after is None else stream.resumed(after)

    subscribe.__signature__ = _signature(select, kind, resumable=resumable)  # type: ignore[attr-defined]
    subscribe.__module__ = select.__module__
    return strawberry.subscription(
        resolver=subscribe, description=description, directives=directives, metadata={"event_stream": True}
    )


def _signature(select: Callable[..., Interest], kind: Any, *, resumable: bool) -> inspect.Signature:
    first, *arguments = inspect.signature(select, eval_str=True).parameters.values()
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in arguments]
    if resumable:
        own.append(inspect.Parameter("after", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=After))
    info = first.replace(name="info", annotation=Info)
    return inspect.Signature([info, *own], return_annotation=AsyncIterator[kind | None])
