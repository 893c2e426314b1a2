"""What is in the event log of an organization."""

from datasources.database.engine import Scope
from datasources.database.events import BEGINNING, EventRow, all_events_after


async def events_of(scope: Scope) -> list[EventRow]:
    """All of it, of every type, oldest first."""
    everything = await all_events_after(scope.database, BEGINNING, 1_000_000)
    return [each for each in everything if each.organization_id == scope.organization_id]
