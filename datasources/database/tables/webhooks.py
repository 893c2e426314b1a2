"""Tables of the readers of the event log that outlive a process: webhooks, and where each organization's log begins."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from datasources.database.columns import Big, Id, Json, Sealed, UtcDateTime, organization_id, primary_id
from datasources.database.tables.metadata import metadata

event_horizons = Table(
    "event_horizons",
    metadata,
    Column("organization_id", Id, ForeignKey("organizations.id"), primary_key=True),
    Column("tx", Big, nullable=False),
    Column("position", Big, nullable=False, comment="the last event that was removed because of its age or the size"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    primary_id(),
    organization_id(),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False, comment="names of event types"),
    Column("scopes", Json, nullable=False, comment="what its bodies may tell: of its maker's, what its events need"),
    Column("status", Text, nullable=False, comment="ACTIVE, PAUSED_AFTER_FAILURES, DISABLED"),
    Column("secret", Sealed, nullable=False),
    Column("previous_secret", Sealed, comment="signs too until previous_until"),
    Column("previous_until", UtcDateTime),
    Column("since_tx", Big, nullable=False),
    Column("since_position", Big, nullable=False, comment="only events after this place of the log are for it"),
    Column("since_running", Json, nullable=False, comment="and those of transactions that ran when it was made"),
    Column("last_sequence", Big, nullable=False, comment="of its deliveries, in the order of the log"),
    Column("failing_since", UtcDateTime, comment="the first failure after the last success"),
    Column("tried_until", UtcDateTime, comment="while it fails: one process tries one delivery until then"),
    Column("created_by", Id),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "organization_id", "created_at", "id"),
    Index(None, "status"),
    Index(None, "tried_until"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    primary_id(),
    organization_id(),
    Column("endpoint_id", Id, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("event_id", Id, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("tx", Big, nullable=False),
    Column("position", Big, nullable=False, comment="the place of its event in the log"),
    Column("sequence", Big, comment="null for what happened before its endpoint was made"),
    Column("status", Text, nullable=False, comment="PENDING, DELIVERED, FAILED"),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime, comment="null when there is none, also while its endpoint is paused"),
    Column("give_up_at", UtcDateTime, nullable=False),
    Column("response_status", Integer),
    Column("error", Text, comment="why the last attempt failed, in our words"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime, comment="when it was delivered, or given up"),
    UniqueConstraint("endpoint_id", "event_id"),
    Index(None, "next_attempt_at", "tx", "position"),
    Index(None, "organization_id", "endpoint_id", "tx", "position"),
    Index(None, "organization_id", "endpoint_id", "created_at", "id"),
    Index(None, "organization_id", "status", "tx", "position"),
    Index(None, "settled_at"),
)

webhook_replays = Table(
    "webhook_replays",
    metadata,
    Column("endpoint_id", Id, ForeignKey("webhook_endpoints.id"), primary_key=True),
    organization_id(),
    Column("tx", Big, nullable=False),
    Column("position", Big, nullable=False, comment="up to here all deliveries are made or due again"),
    Column("until_tx", Big, nullable=False),
    Column(
        "until_position", Big, nullable=False, comment="how far the log was read for webhooks when it was asked for"
    ),
    Column("scheduled", Big, nullable=False, comment="deliveries so far"),
    Column("total", Big, nullable=False, comment="deliveries in all, as counted when it was asked for"),
    Column("requested_at", UtcDateTime, nullable=False),
)

webhook_reader = Table(
    "webhook_reader",
    metadata,
    Column("id", Integer, primary_key=True, comment="there is one row"),
    Column("tx", Big, nullable=False),
    Column("position", Big, nullable=False, comment="up to here every event has the deliveries that it needs"),
)

UNSCOPED = {"webhook_reader": "one reader reads the log of all organizations"}
"""Tables without an organization of their own, each with the reason."""
