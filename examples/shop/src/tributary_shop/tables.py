"""The tables of the shop, in a ``MetaData`` of their own.

Ids of the gateway's rows (organizations, businesses, customers) are plain columns: tables of two packages are never
tied together by the database, so that either can be migrated, or unplugged, without the other.
"""

from pathlib import Path

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

from datasources.database.columns import Big, Id, UtcDateTime, primary_id
from datasources.database.migrate import Branch

metadata = MetaData()

stores = Table(
    "shop_stores",
    metadata,
    Column("store", Text, primary_key=True, comment="as the shop names it in its webhooks"),
    Column("organization_id", Id, nullable=False),
    Column("business_id", Id, nullable=False),
    Column("connected_at", UtcDateTime, nullable=False),
    Index("ix_shop_stores_organization_id_business_id", "organization_id", "business_id"),
)

products = Table(
    "shop_products",
    metadata,
    primary_id(),
    Column("organization_id", Id, nullable=False),
    Column("business_id", Id, nullable=False),
    Column("sku", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("price_minor", Big, nullable=False),
    Column("currency", Text, nullable=False),
    UniqueConstraint("organization_id", "business_id", "sku", name="uq_shop_products_sku"),
)

orders = Table(
    "shop_orders",
    metadata,
    Column("id", Id, primary_key=True, comment="sho"),
    Column("organization_id", Id, nullable=False),
    Column("business_id", Id),
    Column("customer_id", Id),
    Column("number", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("total_minor", Big, nullable=False),
    Column("currency", Text, nullable=False),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("product_id", Id, nullable=False),
    Column("quantity", Integer, nullable=False),
    Index("ix_shop_orders_placed_at", "organization_id", "placed_at", "id"),
    Index("ix_shop_orders_updated_at", "organization_id", "updated_at", "id"),
    Index("ix_shop_orders_business_id", "organization_id", "business_id", "placed_at", "id"),
    Index("ix_shop_orders_customer_id", "organization_id", "customer_id", "placed_at", "id"),
)

notices = Table(
    "shop_notices",
    metadata,
    Column("organization_id", Id, primary_key=True),
    Column("id", Text, primary_key=True, comment="the shop's id of the webhook, which it may send again"),
    Column("received_at", UtcDateTime, nullable=False),
)

BRANCH = Branch("shop", Path(__file__).parent / "migrations", metadata)
