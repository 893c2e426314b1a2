"""The audit trail and the stream of security events."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from datasources.database.audit import SECURITY_EVENT
from datasources.database.audit_reading import (
    AUDIT,
    AuditEntryRow,
    PersonalRow,
    audit_entries_by_id,
    personal_of,
    risks_from,
)
from datasources.paging import Selection
from schema.connection import Connection, connection
from schema.context import Context, Info
from schema.directives import Cost, scopes
from schema.event import Event
from schema.node import Node
from schema.relations import relation
from schema.scalars import Json
from schema.streams import event_stream
from schema.time import TimeRange, bounds
from subscriptions.interest import Interest

READ_AUDIT = scopes("audit:read")


@strawberry.enum(description="How much attention something deserves.")
class RiskLevel(Enum):
    """``RiskLevel``."""

    LOW = strawberry.enum_value("LOW", description="As it happens every day.")
    MEDIUM = strawberry.enum_value("MEDIUM", description="Worth a look.")
    HIGH = strawberry.enum_value("HIGH", description="Look now.")


@strawberry.type(
    description="Who did what, as it was written when it was done; entries are never changed.", directives=[READ_AUDIT]
)
class AuditEntry(Node):
    """``AuditEntry``."""

    at: datetime = strawberry.field(description="When.")
    actor: str = strawberry.field(description="Who: the id of a person or of a key, or a word for who has none.")
    action: str = strawberry.field(description="What was done, such as `session.opened`.")
    risk: RiskLevel = strawberry.field(description="How much attention it deserves.")
    details: Json = strawberry.field(description="More about it; which, depends on the action.")
    hash: str | None = strawberry.field(
        description="Links it to the entry before, under a key of the gateway: an altered, missing or cut-off entry "
        "shows. Null for entries from before there was a chain."
    )

    @strawberry.field(
        description="What it was done to; null where that is nothing with an id, is gone, or is not yours to see.",
        directives=[Cost(weight=2)],
    )
    @staticmethod
    async def target(root: strawberry.Parent[AuditEntryRow], info: Info) -> Node | None:
        """As ``node(id:)`` finds it."""
        if root.target_id is None:
            return None
        (future,) = info.context.composition.by_ids(info.context.loader, [root.target_id])
        return None if future is None else await future

    @strawberry.field(description="The address that the request came from; null where there is none, or it is erased.")
    @staticmethod
    async def ip(root: strawberry.Parent[AuditEntryRow], info: Info) -> str | None:
        """From the personal part."""
        found = await _personal(info.context, root)
        return None if found is None else found.address

    @strawberry.field(description="The client that sent the request; null where there is none, or it is erased.")
    @staticmethod
    async def user_agent(root: strawberry.Parent[AuditEntryRow], info: Info) -> str | None:
        """From the personal part."""
        found = await _personal(info.context, root)
        return None if found is None else found.user_agent


async def _personal(context: Context, row: AuditEntryRow) -> PersonalRow | None:
    found: PersonalRow | None = await context.loader(personal_of).load(row.id)
    return found


@strawberry.input(description="Which entries.")
class AuditFilter:
    """``AuditFilter``."""

    actions: list[str] | None = strawberry.field(default=None, description="Any of these, such as `session.opened`.")
    actor: str | None = strawberry.field(default=None, description="Of this person, key or word.")
    range: TimeRange | None = strawberry.field(default=None, description="Written in this span.")
    min_risk: RiskLevel | None = strawberry.field(default=None, description="Of this risk or a greater one.")


def select_entries(_context: Context, chosen: AuditFilter | None, _order: None) -> Selection:
    """What ``filter`` of entries means; the newest first."""
    filters: dict[str, Any] = {}
    if chosen is not None:
        if chosen.actions is not None:
            filters["actions"] = chosen.actions
        if chosen.actor is not None:
            filters["actor"] = chosen.actor
        if chosen.range is not None:
            filters["from"], filters["to"] = bounds(chosen.range)
        if chosen.min_risk is not None:
            filters["risks"] = risks_from(chosen.min_risk.name)
    return Selection("AT", descending=True, filters=filters)


@strawberry.type(description="Roots about the audit trail.")
class AuditQueries:
    """Fields of ``Query``."""

    audit_log: Connection[AuditEntry] | None = connection(
        AUDIT, select_entries, filtered=AuditFilter, description="The organization's audit trail, the newest first."
    )


@strawberry.type(
    description="Something happened that has to do with who may come in: a sign-in, a refusal, a change of rights.",
    directives=[READ_AUDIT],
)
class SecurityEvent(Event):
    """``SecurityEvent``."""

    entry: AuditEntry | None = relation(
        audit_entries_by_id, key="subject_id", description="What the audit trail says of it."
    )


def select_security_events(
    context: Context,
    min_risk: Annotated[
        RiskLevel, strawberry.argument(description="Only those of this risk or a greater one.")
    ] = RiskLevel.LOW,
) -> Interest:
    """Which events the arguments of ``securityEvent`` mean."""
    wanted = risks_from(min_risk.name)
    return Interest(
        frozenset({SECURITY_EVENT}), context.composition.keys, also=lambda event: event.data["risk"] in wanted
    )


@strawberry.type(description="Streams about the audit trail.")
class AuditSubscriptions:
    """Fields of ``Subscription``."""

    security_event = event_stream(
        SecurityEvent,
        select_security_events,
        description="Sign-ins, refusals and changes of rights in the organization; resumable with `after`.",
        directives=[READ_AUDIT],
    )
