"""Credits that were bought."""

from sqlalchemy import Column, Integer, Table

from datasources.database.columns import order_columns, order_indexes
from datasources.database.tables.metadata import metadata

credit_purchases = Table(
    "credit_purchases",
    metadata,
    *order_columns("crp"),
    Column("credits", Integer, nullable=False),
    *order_indexes(),
)
