"""The tables of the shop."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "shop_0001"
down_revision = None
branch_labels = ("shop",)
depends_on = ("gateway_0001",)

# The types as they were then: a later change of the gateway's column types must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "shop_stores",
        sa.Column("store", sa.Text(), nullable=False, comment="as the shop names it in its webhooks"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=False),
        sa.Column("connected_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("store"),
    )
    op.create_index("ix_shop_stores_organization_id_business_id", "shop_stores", ["organization_id", "business_id"])
    op.create_table(
        "shop_products",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization_id", "business_id", "sku", name="uq_shop_products_sku"),
    )
    op.create_table(
        "shop_orders",
        sa.Column("id", ID, nullable=False, comment="sho"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("product_id", ID, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_shop_orders_placed_at", "shop_orders", ["organization_id", "placed_at", "id"])
    op.create_index("ix_shop_orders_updated_at", "shop_orders", ["organization_id", "updated_at", "id"])
    op.create_index("ix_shop_orders_business_id", "shop_orders", ["organization_id", "business_id", "placed_at", "id"])
    op.create_index("ix_shop_orders_customer_id", "shop_orders", ["organization_id", "customer_id", "placed_at", "id"])
    op.create_table(
        "shop_notices",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="the shop's id of the webhook, which it may send again"),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id"),
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    for table in ("shop_notices", "shop_orders", "shop_products", "shop_stores"):
        op.drop_table(table)
