"""Tables that every platform may lean on: who, what was ordered and used, what happened."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, Text

from datasources.database.columns import Big, Id, Json, UtcDateTime, organization_id, primary_id
from datasources.database.tables.metadata import metadata

organizations = Table(
    "organizations",
    metadata,
    primary_id(),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("capabilities", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    primary_id(),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False, unique=True, comment="the address as it is compared: lower case"),
    Column("password_hash", Text),
    Column("name", Text),
    Column("avatar_url", Text),
    Column("bio", Text),
    Column("company", Text),
    Column("website", Text),
    Column("skills", Json, nullable=False),
    Column("interests", Json, nullable=False),
    Column("preferences", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("email_verified_at", UtcDateTime, comment="when somebody proved to read the mail that goes there"),
    Column("deleted_at", UtcDateTime, comment="what is left is a pseudonym for the books"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("organization_id", Id, ForeignKey("organizations.id"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("joined_at", UtcDateTime, nullable=False),
    Index(None, "user_id"),
)

businesses = Table(
    "businesses",
    metadata,
    primary_id(),
    organization_id(),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, comment="the name as it is sorted and searched: case folded"),
    Column("industry", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("website", Text),
    Column("status", Text, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "organization_id", "name_key", "id"),
    Index(None, "organization_id", "created_at", "id"),
)

locations = Table(
    "locations",
    metadata,
    primary_id(),
    organization_id(),
    Column("business_id", Id, ForeignKey("businesses.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text),
    Column("time_zone", Text),
    Column("archived_at", UtcDateTime),
    Index(None, "organization_id", "business_id", "id"),
)

customers = Table(
    "customers",
    metadata,
    primary_id(),
    organization_id(),
    Column("business_id", Id, ForeignKey("businesses.id")),
    Column("name", Text),
    Column("name_key", Text),
    Column("phone", Text),
    Column("email", Text),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Index(None, "organization_id", "business_id", "first_seen_at", "id"),
)

order_actions = Table(
    "order_actions",
    metadata,
    Column("position", Big, primary_key=True, autoincrement=True),
    organization_id(),
    Column("order_id", Id, nullable=False, comment="of any platform, so no foreign key"),
    Column("at", UtcDateTime, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("note", Text),
    Index(None, "organization_id", "order_id", "position"),
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("organization_id", Id, ForeignKey("organizations.id"), primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("at", UtcDateTime, primary_key=True, comment="the start of the minute"),
    Column("platform", Text, primary_key=True),
    Column("value", Big, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", Big, primary_key=True, autoincrement=True),
    Column("tx", Big, nullable=False, comment="on PostgreSQL the writing transaction"),
    Column("id", Id, nullable=False, unique=True),
    organization_id(),
    Column("platform", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("business_id", Id),
    Column("subject_id", Id, nullable=False, comment="what it happened to"),
    Column("at", UtcDateTime, nullable=False),
    Column("data", Json, nullable=False),
    Index(None, "tx", "position"),
    Index(None, "organization_id", "tx", "position"),
    sqlite_autoincrement=True,
)

UNSCOPED = {
    "organizations": "a tenant itself; read by its own id or through a membership",
    "users": "a person may belong to several organizations; read by id through a membership, or by address at sign-in",
}
"""Tables without an organization of their own, each with the reason."""
