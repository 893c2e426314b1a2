"""Sessions, keys, invitations, links sent by mail, mail on its way out, and the hash chain of the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "gateway_0002"
down_revision = "gateway_0001"
branch_labels = None
depends_on = None

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables; what the audit trail has already stays, before the first link of the chain."""
    op.add_column("users", sa.Column("email_verified_at", MOMENT))
    op.add_column("users", sa.Column("deleted_at", MOMENT))
    with op.batch_alter_table("audit_entries") as audit_entries:
        audit_entries.drop_constraint("fk_audit_entries_organization_id", type_="foreignkey")
        audit_entries.add_column(sa.Column("sequence", BIG))
        audit_entries.add_column(sa.Column("personal_digest", sa.Text()))
        audit_entries.add_column(sa.Column("hash", sa.Text()))
        audit_entries.create_unique_constraint(
            "uq_audit_entries_organization_id_sequence", ["organization_id", "sequence"]
        )
    op.create_table(
        "attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("blocked_until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_attempts"),
    )
    op.create_index("ix_attempts_since", "attempts", ["since"])
    op.create_table(
        "audit_heads",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_audit_heads"),
    )
    op.create_table(
        "outgoing_mails",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=True),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("letter", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("failed_at", MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outgoing_mails"),
        sa.UniqueConstraint("message_id", name="uq_outgoing_mails_message_id"),
    )
    op.create_index("ix_outgoing_mails_next_attempt_at", "outgoing_mails", ["next_attempt_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    op.create_index("ix_api_keys_organization_id_created_at_id", "api_keys", ["organization_id", "created_at", "id"])
    op.create_table(
        "audit_personal",
        sa.Column("entry_id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=True),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["audit_entries.id"], name="fk_audit_personal_entry_id"),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit_personal"),
    )
    op.create_index("ix_audit_personal_user_id", "audit_personal", ["user_id"])
    op.create_table(
        "familiar_places",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("place", sa.LargeBinary(), nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_familiar_places_user_id"),
        sa.PrimaryKeyConstraint("user_id", "place", name="pk_familiar_places"),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("linked_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_identities_user_id"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_identities"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("invited_by", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=True),
        sa.Column("accepted_by", ID, nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_invitations_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("digest", name="uq_invitations_digest"),
    )
    op.create_index("ix_invitations_organization_id_email_key", "invitations", ["organization_id", "email_key"])
    op.create_table(
        "mail_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", ID, nullable=True),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_mail_links_user_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_mail_links"),
    )
    op.create_index("ix_mail_links_email_key", "mail_links", ["email_key"])
    op.create_index("ix_mail_links_expires_at", "mail_links", ["expires_at"])
    op.create_index("ix_mail_links_user_id", "mail_links", ["user_id"])
    op.create_table(
        "outside_organizations",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_outside_organizations_organization_id"
        ),
        sa.PrimaryKeyConstraint("issuer", "key", name="pk_outside_organizations"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("home_id", ID, nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("cookie", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("access_until", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["home_id"], ["organizations.id"], name="fk_sessions_home_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at"])
    op.create_index("ix_sessions_user_id_ended_at", "sessions", ["user_id", "ended_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", ID, nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_refresh_tokens_session_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"])
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("refresh_tokens")
    op.drop_table("sessions")
    op.drop_table("outside_organizations")
    op.drop_table("mail_links")
    op.drop_table("invitations")
    op.drop_table("identities")
    op.drop_table("familiar_places")
    op.drop_table("audit_personal")
    op.drop_table("api_keys")
    op.drop_table("outgoing_mails")
    op.drop_table("audit_heads")
    op.drop_table("attempts")
    op.execute("DELETE FROM audit_entries WHERE organization_id NOT IN (SELECT id FROM organizations)")
    with op.batch_alter_table("audit_entries") as audit_entries:
        audit_entries.drop_constraint("uq_audit_entries_organization_id_sequence", type_="unique")
        audit_entries.drop_column("hash")
        audit_entries.drop_column("personal_digest")
        audit_entries.drop_column("sequence")
        audit_entries.create_foreign_key(
            "fk_audit_entries_organization_id", "organizations", ["organization_id"], ["id"]
        )
    op.drop_column("users", "deleted_at")
    op.drop_column("users", "email_verified_at")
