"""Services with packages, their orders, and the files that customers send."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "messaging_0001"
down_revision = None
branch_labels = ("messaging",)
depends_on = ("gateway_0001",)

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "services",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_services_organization_id"),
    )
    op.create_index("ix_services_organization_id_id", "services", ["organization_id", "id"])
    op.create_table(
        "packages",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("service_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("price_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_packages"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_packages_organization_id"),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name="fk_packages_service_id"),
    )
    op.create_index("ix_packages_organization_id_service_id_id", "packages", ["organization_id", "service_id", "id"])
    op.create_table(
        "media",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="hexadecimal; also the name of the stored object"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_media"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_media_organization_id"),
    )
    op.create_table(
        "service_orders",
        sa.Column("id", ID, nullable=False, comment="sor"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("package_id", ID, nullable=False),
        sa.Column("payment_proof_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_service_orders"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_service_orders_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_service_orders_business_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_service_orders_customer_id"),
        sa.ForeignKeyConstraint(["package_id"], ["packages.id"], name="fk_service_orders_package_id"),
        sa.ForeignKeyConstraint(["payment_proof_id"], ["media.id"], name="fk_service_orders_payment_proof_id"),
    )
    op.create_index(
        "ix_service_orders_organization_id_business_id_placed_at_id",
        "service_orders",
        ["organization_id", "business_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_service_orders_organization_id_customer_id_placed_at_id",
        "service_orders",
        ["organization_id", "customer_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_service_orders_organization_id_placed_at_id", "service_orders", ["organization_id", "placed_at", "id"]
    )
    op.create_index(
        "ix_service_orders_organization_id_updated_at_id", "service_orders", ["organization_id", "updated_at", "id"]
    )
    op.create_index(
        "ix_service_orders_organization_id_currency_total_minor_id",
        "service_orders",
        ["organization_id", "currency", "total_minor", "id"],
    )
    op.create_index(
        "ix_service_orders_organization_id_status_placed_at_id",
        "service_orders",
        ["organization_id", "status", "placed_at", "id"],
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("service_orders")
    op.drop_table("media")
    op.drop_table("packages")
    op.drop_table("services")
