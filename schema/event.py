"""Events: what happened, one log for subscriptions, queries and webhooks."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import strawberry

from datasources.database.events import EventPosition, EventRow, position_of
from schema.context import Context, Info
from schema.errors import BadRequest, FellTooFarBehind
from schema.node import Node
from schema.registry import PlatformType
from subscriptions.log import FellBehind

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last event that you saw: what you missed comes first. Absent: from now on."
    ),
]


@strawberry.interface(description="Something that happened. Its `cursor` resumes any subscription right after it.")
class Event(Node):
    """``Event``."""

    cursor: str = strawberry.field(description="Its place in the log: pass it as `after`.")
    at: datetime = strawberry.field(description="When it happened.")

    @strawberry.field(description="Where it happened.")
    @staticmethod
    def platform(root: strawberry.Parent[EventRow], info: Info) -> PlatformType:
        """The platform behind its key."""
        return info.context.composition.platform_type(root.platform_key)


def resume_at(after: str | None) -> EventPosition | None:
    """Where to resume; raises ``BadRequest`` for what is not a cursor of an event."""
    if after is None:
        return None
    position = position_of(after)
    if position is None:
        message = "`after` is not the cursor of an event. Send the `cursor` of the last event that you saw."
        raise BadRequest(message)
    return position


async def follow(context: Context, after: str | None, kind: str) -> AsyncIterator[EventRow]:
    """The organization's events of one type, from ``after`` or from now on, but for those of platforms that are off.

    Raises ``FellTooFarBehind`` when the client takes them too slowly.
    """
    position = resume_at(after)
    try:
        async for event in context.services.events.follow(context.scope, position):
            if event.type == kind and context.composition.has(event.platform_key):
                yield event
    except FellBehind as error:
        raise FellTooFarBehind(error.last.cursor) from None
