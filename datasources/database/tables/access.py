"""Tables of who may come in: sessions, keys, invitations, links sent by mail, and the audit trail."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint

from datasources.database.columns import Big, Id, Json, Sealed, UtcDateTime, organization_id, primary_id
from datasources.database.tables.metadata import metadata

sessions = Table(
    "sessions",
    metadata,
    primary_id(),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("home_id", Id, ForeignKey("organizations.id"), nullable=False, comment="the organization it acts for"),
    Column("method", Text, nullable=False, comment="how the person proved who they are: PASSWORD, LINK, …"),
    Column("cookie", Boolean, nullable=False, comment="whether its tokens are cookies"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("access_until", UtcDateTime, nullable=False, comment="when the newest access token ends"),
    Column("ends_at", UtcDateTime, nullable=False, comment="the latest it can be refreshed to"),
    Column("ended_at", UtcDateTime),
    Column("end_reason", Text),
    Index(None, "user_id", "ended_at"),
    Index(None, "ended_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the token"),
    Column("session_id", Id, ForeignKey("sessions.id"), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Index(None, "session_id"),
    Index(None, "expires_at"),
)

mail_links = Table(
    "mail_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the token in the link"),
    Column("purpose", Text, nullable=False, comment="RESET_PASSWORD, CONFIRM_REGISTRATION, LINK_IDENTITY"),
    Column("user_id", Id, ForeignKey("users.id")),
    Column("email_key", Text, nullable=False),
    Column("data", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Index(None, "user_id"),
    Index(None, "email_key"),
    Index(None, "expires_at"),
)

invitations = Table(
    "invitations",
    metadata,
    primary_id(),
    organization_id(),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_by", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token in the link"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("accepted_at", UtcDateTime),
    Column("accepted_by", Id),
    Column("withdrawn_at", UtcDateTime),
    Index(None, "organization_id", "email_key"),
)

api_keys = Table(
    "api_keys",
    metadata,
    primary_id(),
    organization_id(),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True, comment="the part of the secret that may be shown"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the whole secret"),
    Column("scopes", Json, nullable=False),
    Column("created_by", Id, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index(None, "organization_id", "created_at", "id"),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("linked_at", UtcDateTime, nullable=False),
    Index(None, "user_id"),
)

outside_organizations = Table(
    "outside_organizations",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="the value of the issuer's claim"),
    organization_id(),
)

familiar_places = Table(
    "familiar_places",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("place", LargeBinary, primary_key=True, comment="a keyed digest of the address it was reached from"),
    Column("last_seen_at", UtcDateTime, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="a keyed digest of what is counted"),
    Column("count", Big, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("blocked_until", UtcDateTime),
    Index(None, "since"),
)

outgoing_mails = Table(
    "outgoing_mails",
    metadata,
    primary_id(),
    Column("user_id", Id, comment="whom it is to, where they have an account"),
    Column("template", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True, comment="the same at every try"),
    Column("letter", Sealed, comment="address and content; gone when it is sent"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, comment="null when it is sent, or given up"),
    Column("attempts", Big, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("error", Text),
    Index(None, "next_attempt_at"),
)


def _chain() -> Column[str]:
    # Not a foreign key: what happens before anybody's organization is known is in the chain of the gateway itself.
    return Column("organization_id", Id, nullable=False)


audit_entries = Table(
    "audit_entries",
    metadata,
    primary_id(),
    _chain(),
    Column("sequence", Big, comment="1, 2, 3 … within the organization; null: written before there was a chain"),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target_id", Id),
    Column("risk", Text, nullable=False),
    Column("details", Json, nullable=False),
    Column("personal_digest", Text, comment="commits to what audit_personal had when the entry was written"),
    Column("hash", Text, comment="HMAC over the entry and the hash of the one before"),
    UniqueConstraint("organization_id", "sequence"),
    Index(None, "organization_id", "at", "id"),
)

audit_personal = Table(
    "audit_personal",
    metadata,
    Column("entry_id", Id, ForeignKey("audit_entries.id"), primary_key=True),
    _chain(),
    Column("user_id", Id, comment="whose data it is"),
    Column("salt", Text, nullable=False),
    Column("address", Text),
    Column("user_agent", Text),
    Column("email", Text),
    Index(None, "user_id"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("organization_id", Id, primary_key=True),
    Column("sequence", Big, nullable=False),
    Column("hash", Text, nullable=False),
)

UNSCOPED = {
    "sessions": "a session is a person's, and may act for any of their organizations",
    "refresh_tokens": "belongs to a session",
    "mail_links": "whoever holds the link is known by it alone",
    "identities": "a person at an outside issuer; read when they sign in",
    "familiar_places": "belongs to a person, and is read before they are signed in",
    "attempts": "counts what is tried before anybody is signed in",
    "outgoing_mails": "read by the one sender of the process",
}
"""Tables without an organization of their own, each with the reason."""

NO_FOREIGN_KEY = {
    "audit_entries": "the gateway's own chain belongs to no organization",
    "audit_personal": "as audit_entries",
    "audit_heads": "as audit_entries",
}
"""Tenants' tables whose organization need not be a row of ``organizations``."""
