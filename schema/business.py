"""Businesses with their locations and customers: the area ``BUSINESSES``."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from datasources.database import businesses as data
from datasources.database.listing import like
from datasources.paging import Selection
from schema.connection import Connection, connection
from schema.context import Context, Info
from schema.directives import scopes
from schema.node import Node
from schema.platform import BUSINESSES
from schema.relations import relation
from schema.scalars import CurrencyCode, EmailAddress, PhoneNumber, TimeZone, Url
from schema.time import SortDirection, direction

READ_BUSINESSES, READ_CUSTOMERS = scopes("businesses:read"), scopes("customers:read")


@strawberry.enum(description="What a business does.")
class Industry(Enum):
    """``Industry``."""

    BARBERSHOP = strawberry.enum_value("BARBERSHOP", description="Cuts and shaves.")
    SALON = strawberry.enum_value("SALON", description="Hair and beauty.")
    SPA = strawberry.enum_value("SPA", description="Baths, massage, rest.")
    MEDICAL = strawberry.enum_value("MEDICAL", description="A medical practice.")
    DENTAL = strawberry.enum_value("DENTAL", description="A dental practice.")
    FITNESS = strawberry.enum_value("FITNESS", description="Training and classes.")
    VETERINARY = strawberry.enum_value("VETERINARY", description="Care for animals.")
    CREATOR = strawberry.enum_value("CREATOR", description="A creator or broadcaster.")
    SERVICES = strawberry.enum_value("SERVICES", description="Services of another kind.")
    OTHER = strawberry.enum_value("OTHER", description="None of these.")


@strawberry.enum(description="Whether a business is in use.")
class BusinessStatus(Enum):
    """``BusinessStatus``."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="In use.")
    ARCHIVED = strawberry.enum_value("ARCHIVED", description="Kept for its history only.")


@strawberry.type(
    description="A business of the organization; its data and figures are its own.", directives=[READ_BUSINESSES]
)
class Business(Node):
    """``Business``."""

    name: str = strawberry.field(description="As its customers know it.")
    industry: Industry = strawberry.field(description="What it does.")
    time_zone: TimeZone = strawberry.field(description="Where its days begin and end.")
    currency: CurrencyCode = strawberry.field(description="The currency of its figures.")
    website: Url | None = strawberry.field(description="Its page.")
    status: BusinessStatus = strawberry.field(description="Whether it is in use.")
    demo: bool = strawberry.field(description="Figures are made up, and marked so, until something real is connected.")
    created_at: datetime = strawberry.field(description="When it was added.")
    locations: list["Location"] | None = relation(
        data.locations_of, key="id", many=True, description="Its locations, oldest first, without archived ones."
    )


@strawberry.type(description="A place where a business sees its customers.", directives=[READ_BUSINESSES])
class Location(Node):
    """``Location``."""

    name: str = strawberry.field(description="As it is shown.")
    address: str | None = strawberry.field(description="Where it is.")
    time_zone: TimeZone | None = strawberry.field(description="Null: that of the business.")
    business: Business | None = relation(BUSINESSES, key="business_id", description="Whose location it is.")


@strawberry.type(
    description="Somebody who bought from, booked with or wrote to a business.", directives=[READ_CUSTOMERS]
)
class Customer(Node):
    """``Customer``."""

    name: str | None = strawberry.field(description="As they gave it.")
    phone: PhoneNumber | None = strawberry.field(description="Their number.")
    email: EmailAddress | None = strawberry.field(description="Their address.")
    business: Business | None = relation(BUSINESSES, key="business_id", description="Whose customer they are.")
    first_seen_at: datetime = strawberry.field(description="When they were first heard of.")


@strawberry.input(description="Which businesses.")
class BusinessFilter:
    """``BusinessFilter``."""

    search: str | None = strawberry.field(default=None, description="Contained in the name, in any case.")
    industry: list[Industry] | None = strawberry.field(default=None, description="Any of these.")
    status: list[BusinessStatus] | None = strawberry.field(default=None, description="Any of these.")


@strawberry.enum(description="What businesses are ordered by.")
class BusinessOrderField(Enum):
    """``BusinessOrderField``."""

    NAME = strawberry.enum_value("NAME", description="The name, in any case.")
    CREATED_AT = strawberry.enum_value("CREATED_AT", description="When it was added.")


@strawberry.input(description="The order of businesses.")
class BusinessOrder:
    """``BusinessOrder``."""

    field: BusinessOrderField = strawberry.field(description="What they are ordered by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")


def select_businesses(_context: Context, chosen: BusinessFilter | None, order: BusinessOrder | None) -> Selection:
    """What ``filter`` and ``orderBy`` of businesses mean; by name unless told otherwise."""
    filters: dict[str, Any] = {}
    if chosen is not None:
        if chosen.search:
            filters["search"] = like(chosen.search)
        if chosen.industry is not None:
            filters["industry"] = [value.name for value in chosen.industry]
        if chosen.status is not None:
            filters["status"] = [value.name for value in chosen.status]
    ordering = order.field.name if order is not None else "NAME"
    return Selection(ordering, direction(order, SortDirection.ASC), filters)


def select_customers(_context: Context, _chosen: None, _order: None, search: str | None = None) -> Selection:
    """Customers, newest first."""
    if not search:
        return Selection("FIRST_SEEN_AT", descending=True)
    return Selection(
        "FIRST_SEEN_AT", descending=True, filters={"search": like(search)}, parameters={"search_exact": search.strip()}
    )


@strawberry.type(description="Roots of the area.")
class BusinessQueries:
    """Fields of ``Query``."""

    @strawberry.field(description="The business with this id; null when there is none that you may see.")
    async def business(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of a business.")]
    ) -> Business | None:
        """``business(id:)``."""
        return await info.context.loader(BUSINESSES).load(id)

    businesses: Connection[Business] | None = connection(
        BUSINESSES,
        select_businesses,
        filtered=BusinessFilter,
        ordered=BusinessOrder,
        description="The businesses of the organization, by name unless told otherwise.",
    )


@strawberry.type(description="What businesses add to themselves.")
class BusinessCustomers:
    """Fields of ``Business``."""

    customers: Connection[Customer] | None = connection(
        data.CUSTOMERS,
        select_customers,
        by="business_id",
        key="id",
        extra={"search": (str | None, "Contained in the name, or the whole e-mail address or phone number.")},
        description="Its customers, newest first.",
    )


@strawberry.type(description="What businesses add to organizations.")
class OrganizationBusinesses:
    """Fields of ``Organization``."""

    businesses: Connection[Business] | None = connection(
        BUSINESSES, select_businesses, by="organization_id", key="id", description="Its businesses, by name."
    )


@strawberry.type(description="What businesses add to orders and events.")
class OfBusiness:
    """Fields of ``Order`` and of ``Event``."""

    business: Business | None = relation(
        BUSINESSES, key="business_id", description="Whose it is; null for the organization's own."
    )


@strawberry.type(description="What businesses add to orders.")
class OfCustomer:
    """Fields of ``Order``."""

    customer: Customer | None = relation(
        data.CUSTOMERS.by_ids, key="customer_id", description="Who ordered; null for the organization itself."
    )
