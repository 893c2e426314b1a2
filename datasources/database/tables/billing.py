"""Credits that were bought."""

from sqlalchemy import Column, Index, Integer, Table

from datasources.database.columns import order_columns
from datasources.database.tables.metadata import metadata

credit_purchases = Table(
    "credit_purchases",
    metadata,
    *order_columns("crp"),
    Column("credits", Integer, nullable=False),
    Index(None, "organization_id", "placed_at", "id"),
    Index(None, "organization_id", "updated_at", "id"),
    Index(None, "organization_id", "business_id", "placed_at", "id"),
    Index(None, "organization_id", "customer_id", "placed_at", "id"),
)
