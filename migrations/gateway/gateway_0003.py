"""Webhooks, and where the event log of each organization begins."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "gateway_0003"
down_revision = "gateway_0002"
branch_labels = None
depends_on = None

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "event_horizons",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("tx", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_event_horizons_organization_id"),
        sa.PrimaryKeyConstraint("organization_id", name="pk_event_horizons"),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column("previous_until", MOMENT, nullable=True),
        sa.Column("since_tx", BIG, nullable=False),
        sa.Column("since_position", BIG, nullable=False),
        sa.Column("since_running", JSON, nullable=False),
        sa.Column("last_sequence", BIG, nullable=False),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("tried_until", MOMENT, nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_webhook_endpoints_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index(
        "ix_webhook_endpoints_organization_id_created_at_id",
        "webhook_endpoints",
        ["organization_id", "created_at", "id"],
    )
    op.create_index("ix_webhook_endpoints_status", "webhook_endpoints", ["status"])
    op.create_index("ix_webhook_endpoints_tried_until", "webhook_endpoints", ["tried_until"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("tx", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("sequence", BIG, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("give_up_at", MOMENT, nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], name="fk_webhook_deliveries_endpoint_id"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_webhook_deliveries_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("endpoint_id", "event_id", name="uq_webhook_deliveries_endpoint_id_event_id"),
    )
    op.create_index(
        "ix_webhook_deliveries_next_attempt_at_tx_position",
        "webhook_deliveries",
        ["next_attempt_at", "tx", "position"],
    )
    op.create_index("ix_webhook_deliveries_settled_at", "webhook_deliveries", ["settled_at"])
    op.create_index(
        "ix_webhook_deliveries_organization_id_endpoint_id_tx_position",
        "webhook_deliveries",
        ["organization_id", "endpoint_id", "tx", "position"],
    )
    op.create_index(
        "ix_webhook_deliveries_organization_id_endpoint_id_created_at_id",
        "webhook_deliveries",
        ["organization_id", "endpoint_id", "created_at", "id"],
    )
    op.create_index(
        "ix_webhook_deliveries_organization_id_status_tx_position",
        "webhook_deliveries",
        ["organization_id", "status", "tx", "position"],
    )
    op.create_table(
        "webhook_replays",
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("tx", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("until_tx", BIG, nullable=False),
        sa.Column("until_position", BIG, nullable=False),
        sa.Column("scheduled", BIG, nullable=False),
        sa.Column("total", BIG, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], name="fk_webhook_replays_endpoint_id"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_webhook_replays_organization_id"),
        sa.PrimaryKeyConstraint("endpoint_id", name="pk_webhook_replays"),
    )
    op.create_table(
        "webhook_reader",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tx", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_reader"),
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("webhook_reader")
    op.drop_table("webhook_replays")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")
    op.drop_table("event_horizons")
