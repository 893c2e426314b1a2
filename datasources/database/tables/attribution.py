"""Campaigns with their daily figures, and appointments."""

from sqlalchemy import Column, Date, ForeignKey, Index, Table, Text, UniqueConstraint

from datasources.database.columns import Big, Id, UtcDateTime, order_columns, order_indexes, organization_id, primary_id
from datasources.database.tables.metadata import metadata

campaigns = Table(
    "campaigns",
    metadata,
    primary_id(),
    organization_id(),
    Column("business_id", Id, ForeignKey("businesses.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, comment="the name as it is sorted and searched: case folded"),
    Column("status", Text, nullable=False),
    Column("objective", Text),
    Column("daily_budget_minor", Big),
    Column("currency", Text, nullable=False),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    UniqueConstraint("organization_id", "provider", "external_id", "business_id"),
    Index(None, "organization_id", "name_key", "id"),
    Index(None, "organization_id", "business_id", "name_key", "id"),
    Index(None, "organization_id", "starts_at", "id"),
    Index(None, "organization_id", "business_id", "starts_at", "id"),
)

campaign_days = Table(
    "campaign_days",
    metadata,
    Column("organization_id", Id, ForeignKey("organizations.id"), primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaigns.id"), primary_key=True),
    Column("day", Date, primary_key=True, comment="in the business's time zone, as the provider reports it"),
    Column("spend_minor", Big, nullable=False),
    Column("impressions", Big, nullable=False),
    Column("clicks", Big, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
)

appointments = Table(
    "appointments",
    metadata,
    *order_columns("apt"),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("service", Text),
    Column("location_id", Id, ForeignKey("locations.id")),
    *order_indexes(),
)
