"""Campaigns with their daily figures, and appointments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "attribution_0001"
down_revision = None
branch_labels = ("attribution",)
depends_on = ("gateway_0001",)

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "campaigns",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False, comment="the name as it is sorted and searched: case folded"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=True),
        sa.Column("daily_budget_minor", BIG, nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=True),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_campaigns_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_campaigns_business_id"),
        sa.UniqueConstraint(
            "organization_id",
            "provider",
            "external_id",
            "business_id",
            name="uq_campaigns_organization_id_provider_external_id_business_id",
        ),
    )
    op.create_index(
        "ix_campaigns_organization_id_business_id_name_key_id",
        "campaigns",
        ["organization_id", "business_id", "name_key", "id"],
    )
    op.create_index(
        "ix_campaigns_organization_id_business_id_starts_at_id",
        "campaigns",
        ["organization_id", "business_id", "starts_at", "id"],
    )
    op.create_index("ix_campaigns_organization_id_name_key_id", "campaigns", ["organization_id", "name_key", "id"])
    op.create_index("ix_campaigns_organization_id_starts_at_id", "campaigns", ["organization_id", "starts_at", "id"])
    op.create_table(
        "campaign_days",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("campaign_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="in the business's time zone, as the provider reports it"),
        sa.Column("spend_minor", BIG, nullable=False),
        sa.Column("impressions", BIG, nullable=False),
        sa.Column("clicks", BIG, nullable=False),
        sa.Column("fetched_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "campaign_id", "day", name="pk_campaign_days"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_campaign_days_organization_id"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_campaign_days_campaign_id"),
    )
    op.create_table(
        "appointments",
        sa.Column("id", ID, nullable=False, comment="apt"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("location_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_appointments"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_appointments_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_appointments_business_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_appointments_customer_id"),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name="fk_appointments_location_id"),
    )
    op.create_index(
        "ix_appointments_organization_id_business_id_placed_at_id",
        "appointments",
        ["organization_id", "business_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_appointments_organization_id_customer_id_placed_at_id",
        "appointments",
        ["organization_id", "customer_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_appointments_organization_id_placed_at_id", "appointments", ["organization_id", "placed_at", "id"]
    )
    op.create_index(
        "ix_appointments_organization_id_updated_at_id", "appointments", ["organization_id", "updated_at", "id"]
    )
    op.create_index(
        "ix_appointments_organization_id_currency_total_minor_id",
        "appointments",
        ["organization_id", "currency", "total_minor", "id"],
    )
    op.create_index(
        "ix_appointments_organization_id_status_placed_at_id",
        "appointments",
        ["organization_id", "status", "placed_at", "id"],
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("appointments")
    op.drop_table("campaign_days")
    op.drop_table("campaigns")
