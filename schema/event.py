"""Events: what happened, one log for subscriptions, queries and webhooks."""

from datetime import datetime
from typing import Annotated

import strawberry

from datasources.database.events import EventRow
from schema.context import Info
from schema.node import Node
from schema.registry import PlatformType

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last event that you saw: what you missed comes first. Absent: from now on."
    ),
]


def _cursor(root: strawberry.Parent[EventRow], info: Info) -> str:
    return info.context.services.events.cursors.encode(root.organization_id, root.place)


@strawberry.interface(
    description="Something that happened. Its `cursor` resumes any subscription or the events query right after it."
)
class Event(Node):
    """``Event``."""

    cursor: str = strawberry.field(resolver=_cursor, description="Its place in the log: pass it as `after`.")
    at: datetime = strawberry.field(description="When it happened.")

    @strawberry.field(description="Where it happened.")
    @staticmethod
    def platform(root: strawberry.Parent[EventRow], info: Info) -> PlatformType:
        """The platform behind its key."""
        return info.context.composition.platform_type(root.platform_key)
