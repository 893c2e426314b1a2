"""Campaigns: the area ``CAMPAIGNS``."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from datasources.database.listing import like
from datasources.paging import Selection
from schema.business import Business
from schema.connection import Connection, connection
from schema.context import Context
from schema.directives import scopes
from schema.errors import BadRequest
from schema.money import Money, money
from schema.node import Node
from schema.platform import BUSINESSES, CAMPAIGNS, IntegrationProvider
from schema.relations import relation
from schema.scalars import CurrencyCode
from schema.time import SortDirection, TimeRange, bounds, direction

READ_CAMPAIGNS = scopes("campaigns:read")


@strawberry.enum(description="Whether a campaign runs.")
class CampaignStatus(Enum):
    """``CampaignStatus``."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Running.")
    PAUSED = strawberry.enum_value("PAUSED", description="Stopped for a while.")
    ENDED = strawberry.enum_value("ENDED", description="Over.")
    DELETED = strawberry.enum_value("DELETED", description="Deleted at the provider; its figures stay.")


@strawberry.type(description="An advertising campaign at a provider.", directives=[READ_CAMPAIGNS])
class Campaign(Node):
    """``Campaign``."""

    provider: IntegrationProvider = strawberry.field(description="Where it runs.")
    external_id: str = strawberry.field(description="Its id at the provider.")
    name: str = strawberry.field(description="As the provider has it.")
    status: CampaignStatus = strawberry.field(description="Whether it runs.")
    objective: str | None = strawberry.field(description="What it is for, in the provider's words.")
    daily_budget: Money | None = money("daily_budget", "What it may spend a day.")
    starts_at: datetime | None = strawberry.field(description="When it begins.")
    ends_at: datetime | None = strawberry.field(description="When it ends; null when it has no end.")
    business: Business | None = relation(BUSINESSES, key="business_id", description="Whose campaign it is.")


@strawberry.input(description="Which campaigns.")
class CampaignFilter:
    """``CampaignFilter``."""

    business_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Of any of these businesses.")
    provider: list[IntegrationProvider] | None = strawberry.field(default=None, description="At any of these.")
    status: list[CampaignStatus] | None = strawberry.field(default=None, description="In any of these.")
    search: str | None = strawberry.field(default=None, description="Contained in the name, in any case.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="Reckoned in this currency.")


@strawberry.enum(description="What campaigns are ordered by.")
class CampaignOrderField(Enum):
    """``CampaignOrderField``."""

    NAME = strawberry.enum_value("NAME", description="The name, in any case.")
    STARTS_AT = strawberry.enum_value("STARTS_AT", description="When it begins; those without a beginning last.")
    SPEND = strawberry.enum_value(
        "SPEND", description="What it spent in `range`; needs `range` and one currency in the filter."
    )


@strawberry.input(description="The order of campaigns.")
class CampaignOrder:
    """``CampaignOrder``."""

    field: CampaignOrderField = strawberry.field(description="What they are ordered by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")
    range: TimeRange | None = strawberry.field(default=None, description="The days whose spend counts, for SPEND.")


def select_campaigns(_context: Context, chosen: CampaignFilter | None, order: CampaignOrder | None) -> Selection:
    """What ``filter`` and ``orderBy`` of campaigns mean; by name unless told otherwise."""
    filters: dict[str, Any] = {}
    if chosen is not None:
        if chosen.business_ids is not None:
            filters["business_ids"] = chosen.business_ids
        if chosen.provider is not None:
            filters["provider"] = chosen.provider
        if chosen.status is not None:
            filters["status"] = [value.name for value in chosen.status]
        if chosen.search:
            filters["search"] = like(chosen.search)
        if chosen.currency is not None:
            filters["currency"] = chosen.currency
    parameters: dict[str, Any] = {}
    if order is not None and order.field is CampaignOrderField.SPEND:
        if order.range is None or "currency" not in filters:
            message = (
                "Ordering by SPEND needs `range` in orderBy, and `currency` in filter: two currencies have no order."
            )
            raise BadRequest(message)
        start, end = bounds(order.range)
        parameters = {"spend_from": start.date(), "spend_to": end.date()}
    ordering = order.field.name if order is not None else "NAME"
    return Selection(ordering, direction(order, SortDirection.ASC), filters, parameters)


@strawberry.type(description="Roots of the area.")
class CampaignQueries:
    """Fields of ``Query``."""

    campaigns: Connection[Campaign] | None = connection(
        CAMPAIGNS,
        select_campaigns,
        filtered=CampaignFilter,
        ordered=CampaignOrder,
        description="The campaigns of all businesses, by name unless told otherwise.",
    )


@strawberry.type(description="What campaigns add to businesses.")
class BusinessCampaigns:
    """Fields of ``Business``."""

    campaigns: Connection[Campaign] | None = connection(
        CAMPAIGNS,
        select_campaigns,
        by="business_id",
        key="id",
        filtered=CampaignFilter,
        ordered=CampaignOrder,
        description="Its campaigns, by name unless told otherwise.",
    )
