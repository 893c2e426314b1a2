"""The history of every order, and the event log of the latest of it."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table

from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.tenants import Organization
from datasources.database.tables.gateway import events, order_actions


@dataclass(frozen=True, slots=True)
class Step:
    """One move of an order: when, to what, by whom (a person's id, a customer's name, or ``system``), and why."""

    at: datetime
    status: str
    actor: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of order: its table, the platform that it belongs to, and its prefixes."""

    table: Table
    platform: str
    prefix: str
    letter: str


_Change = tuple[datetime, str, str, str | None, str | None, str]  # at, order, platform, business, from, to


class Journal:
    """Writes the orders of one organization and remembers the latest moves."""

    def __init__(self, organization: Organization) -> None:
        self._organization = organization
        self._latest: list[_Change] = []

    def order(
        self, kind: Kind, order_id: str, business_id: str | None, steps: Sequence[Step], values: Mapping[str, object]
    ) -> Iterator[Row]:
        """An order with its history; ``values`` is what neither the steps nor the organization say."""
        organization_id = self._organization.id
        last = steps[-1]
        yield (
            kind.table,
            {
                "id": order_id,
                "organization_id": organization_id,
                "business_id": business_id,
                "status": last.status,
                "placed_at": steps[0].at,
                "updated_at": last.at,
                **values,
            },
        )
        before = None
        for step in steps:
            yield (
                order_actions,
                {
                    "organization_id": organization_id,
                    "order_id": order_id,
                    "at": step.at,
                    "from_status": before,
                    "to_status": step.status,
                    "actor": step.actor,
                    "note": step.note,
                },
            )
            self._remember((step.at, order_id, kind.platform, business_id, before, step.status))
            before = step.status

    def _remember(self, change: _Change) -> None:
        if len(self._latest) < self._organization.tenant.events:
            heapq.heappush(self._latest, change)
        elif change[0] > self._latest[0][0]:
            heapq.heapreplace(self._latest, change)

    @property
    def latest(self) -> list[tuple[str, _Change]]:
        """The latest moves with the organization, in no order."""
        return [(self._organization.id, change) for change in self._latest]


def event_rows(seed: int, journals: Sequence[Journal]) -> Iterator[Row]:
    """An event for each of the latest moves of every organization, in the order of time."""
    draw = Draw(seed, "events")
    changes = sorted((change for journal in journals for change in journal.latest), key=lambda found: found[1][:2])
    for organization_id, (at, order_id, platform, business_id, before, after) in changes:
        yield (
            events,
            {
                "tx": 0,
                "id": draw.id("evt", at),
                "organization_id": organization_id,
                "platform": platform,
                "type": "OrderChanged",
                "business_id": business_id,
                "subject_id": order_id,
                "at": at,
                "data": {"from": before, "to": after},
            },
        )
