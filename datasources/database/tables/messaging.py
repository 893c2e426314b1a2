"""What is sold in conversations: services with packages, their orders, and the files that customers send."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, Text

from datasources.database.columns import Big, Id, UtcDateTime, order_columns, order_indexes, organization_id, primary_id
from datasources.database.tables.metadata import metadata

services = Table(
    "services",
    metadata,
    primary_id(),
    organization_id(),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Index(None, "organization_id", "id"),
)

packages = Table(
    "packages",
    metadata,
    primary_id(),
    organization_id(),
    Column("service_id", Id, ForeignKey("services.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("price_minor", Big, nullable=False),
    Column("currency", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Index(None, "organization_id", "service_id", "id"),
)

media = Table(
    "media",
    metadata,
    primary_id(),
    organization_id(),
    Column("kind", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bytes", Big, nullable=False),
    Column("sha256", Text, nullable=False, comment="hexadecimal; also the name of the stored object"),
    Column("created_at", UtcDateTime, nullable=False),
)

service_orders = Table(
    "service_orders",
    metadata,
    *order_columns("sor"),
    Column("package_id", Id, ForeignKey("packages.id"), nullable=False),
    Column("payment_proof_id", Id, ForeignKey("media.id")),
    *order_indexes(),
)
