"""Campaigns with their daily figures, and appointments."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Date, FromClause, Text, bindparam, cast, func, select

from datasources.database.columns import Big, UtcDateTime, any_of
from datasources.database.engine import Scope
from datasources.database.listing import Listing, Ordering, contains
from datasources.database.orders import order_listing, spent_by_customer
from datasources.database.scope import TENANT
from datasources.database.tables.attribution import appointments, campaign_days, campaigns


class CampaignRow(NamedTuple):
    """A row of ``campaigns``."""

    id: str
    business_id: str
    provider: str
    external_id: str
    name: str
    status: str
    objective: str | None
    daily_budget_minor: int | None
    currency: str
    starts_at: datetime | None
    ends_at: datetime | None


class CampaignDayRow(NamedTuple):
    """The figures of a campaign on one day of its business's calendar."""

    campaign_id: str
    day: date
    spend_minor: int
    impressions: int
    clicks: int
    fetched_at: datetime


class AppointmentRow(NamedTuple):
    """A row of ``appointments``."""

    id: str
    business_id: str | None
    customer_id: str | None
    number: str
    status: str
    total_minor: int
    currency: str
    placed_at: datetime
    updated_at: datetime
    starts_at: datetime
    service: str | None
    location_id: str | None


def _spend(table: FromClause) -> ColumnElement[Any]:
    """What a campaign spent in the days of the parameters, in minor units."""
    days = campaign_days
    total = cast(func.coalesce(func.sum(days.c.spend_minor), 0), Big)  # PostgreSQL sums to a numeric
    return (
        select(total)
        .where(
            days.c.organization_id == TENANT,
            days.c.campaign_id == table.c.id,
            days.c.day >= bindparam("spend_from", type_=Date()),
            days.c.day < bindparam("spend_to", type_=Date()),
        )
        .correlate(table)
        .scalar_subquery()
    )


CAMPAIGNS = Listing(
    table=campaigns,
    row=CampaignRow,
    orderings={
        "NAME": Ordering(lambda table: table.c.name_key, Text()),
        "STARTS_AT": Ordering(lambda table: table.c.starts_at, UtcDateTime(), nullable=True),
        "SPEND": Ordering(_spend, Big),
    },
    filters={
        "business_ids": lambda table: any_of(table.c.business_id, "business_ids"),
        "provider": lambda table: any_of(table.c.provider, "provider"),
        "status": lambda table: any_of(table.c.status, "status"),
        "search": lambda table: contains(table.c.name_key, "search"),
        "currency": lambda table: table.c.currency == bindparam("currency"),
    },
)

APPOINTMENTS = order_listing(appointments, AppointmentRow)
appointments_spent = spent_by_customer(appointments)

_DAYS = (
    select(*(campaign_days.c[name] for name in CampaignDayRow._fields))
    .where(
        campaign_days.c.organization_id == TENANT,
        any_of(campaign_days.c.campaign_id, "keys"),
        campaign_days.c.day >= bindparam("first_day", type_=Date()),
        campaign_days.c.day <= bindparam("last_day", type_=Date()),
    )
    .order_by(campaign_days.c.campaign_id, campaign_days.c.day)
)


async def days_of(
    scope: Scope, campaign_ids: Sequence[str], first: date, last: date
) -> dict[str, list[CampaignDayRow]]:
    """The daily figures of each campaign from the first to the last day, both included, in order."""
    found: dict[str, list[CampaignDayRow]] = {key: [] for key in campaign_ids}
    for row in await scope.fetch(_DAYS, CampaignDayRow, {"keys": campaign_ids, "first_day": first, "last_day": last}):
        found[row.campaign_id].append(row)
    return found
