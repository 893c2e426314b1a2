"""Organizations, people, businesses, customers, the history of orders, usage, events and the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "gateway_0001"
down_revision = None
branch_labels = ("gateway",)
depends_on = None

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "organizations",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("capabilities", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("slug", name="uq_organizations_slug"),
    )
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False, comment="the address as it is compared: lower case"),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("bio", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("skills", JSON, nullable=False),
        sa.Column("interests", JSON, nullable=False),
        sa.Column("preferences", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    op.create_table(
        "memberships",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name="pk_memberships"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_memberships_organization_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id"),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])
    op.create_table(
        "businesses",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False, comment="the name as it is sorted and searched: case folded"),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_businesses"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_businesses_organization_id"),
    )
    op.create_index(
        "ix_businesses_organization_id_created_at_id", "businesses", ["organization_id", "created_at", "id"]
    )
    op.create_index("ix_businesses_organization_id_name_key_id", "businesses", ["organization_id", "name_key", "id"])
    op.create_table(
        "locations",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_locations"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_locations_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_locations_business_id"),
    )
    op.create_index(
        "ix_locations_organization_id_business_id_id", "locations", ["organization_id", "business_id", "id"]
    )
    op.create_table(
        "customers",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("name_key", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_customers_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_customers_business_id"),
    )
    op.create_index(
        "ix_customers_organization_id_business_id_first_seen_at_id",
        "customers",
        ["organization_id", "business_id", "first_seen_at", "id"],
    )
    op.create_table(
        "order_actions",
        sa.Column("position", BIG, autoincrement=True, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("order_id", ID, nullable=False, comment="of any platform, so no foreign key"),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("position", name="pk_order_actions"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_order_actions_organization_id"),
    )
    op.create_index(
        "ix_order_actions_organization_id_order_id_position",
        "order_actions",
        ["organization_id", "order_id", "position"],
    )
    op.create_table(
        "usage_records",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False, comment="the start of the minute"),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "metric", "at", "platform", name="pk_usage_records"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_usage_records_organization_id"),
    )
    op.create_table(
        "events",
        sa.Column("position", BIG, autoincrement=True, nullable=False),
        sa.Column("tx", BIG, nullable=False, comment="on PostgreSQL the writing transaction"),
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("subject_id", ID, nullable=False, comment="what it happened to"),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_events"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_events_organization_id"),
        sa.UniqueConstraint("id", name="uq_events_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_organization_id_tx_position", "events", ["organization_id", "tx", "position"])
    op.create_index("ix_events_tx_position", "events", ["tx", "position"])
    op.create_table(
        "audit_entries",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target_id", ID, nullable=True),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_audit_entries_organization_id"),
    )
    op.create_index("ix_audit_entries_organization_id_at_id", "audit_entries", ["organization_id", "at", "id"])


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("audit_entries")
    op.drop_table("events")
    op.drop_table("usage_records")
    op.drop_table("order_actions")
    op.drop_table("customers")
    op.drop_table("locations")
    op.drop_table("businesses")
    op.drop_table("memberships")
    op.drop_table("users")
    op.drop_table("organizations")
