"""Purchases of credits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "billing_0001"
down_revision = None
branch_labels = ("billing",)
depends_on = ("gateway_0001",)

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "credit_purchases",
        sa.Column("id", ID, nullable=False, comment="crp"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credit_purchases"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_credit_purchases_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_credit_purchases_business_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_credit_purchases_customer_id"),
    )
    op.create_index(
        "ix_credit_purchases_organization_id_business_id_placed_at_id",
        "credit_purchases",
        ["organization_id", "business_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_credit_purchases_organization_id_customer_id_placed_at_id",
        "credit_purchases",
        ["organization_id", "customer_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_credit_purchases_organization_id_placed_at_id", "credit_purchases", ["organization_id", "placed_at", "id"]
    )
    op.create_index(
        "ix_credit_purchases_organization_id_updated_at_id", "credit_purchases", ["organization_id", "updated_at", "id"]
    )
    op.create_index(
        "ix_credit_purchases_organization_id_currency_total_minor_id",
        "credit_purchases",
        ["organization_id", "currency", "total_minor", "id"],
    )
    op.create_index(
        "ix_credit_purchases_organization_id_status_placed_at_id",
        "credit_purchases",
        ["organization_id", "status", "placed_at", "id"],
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("credit_purchases")
