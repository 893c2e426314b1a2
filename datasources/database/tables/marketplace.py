"""Prompts with their versions, sellers, reviews and figures, and the purchases of prompts."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, Table, Text

from datasources.database.columns import Big, Id, Json, UtcDateTime, order_columns, order_indexes, primary_id
from datasources.database.tables.metadata import metadata

sellers = Table(
    "sellers",
    metadata,
    primary_id(),
    Column("seller_organization_id", Id, ForeignKey("organizations.id"), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("rating", Double, comment="mean of the reviews of all prompts, 1 to 5"),
)

prompt_categories = Table(
    "prompt_categories",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("name", Text, nullable=False),
)

prompts = Table(
    "prompts",
    metadata,
    primary_id(),
    Column("seller_id", Id, ForeignKey("sellers.id"), nullable=False),
    Column("seller_organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("title_key", Text, nullable=False, comment="the title as it is searched: case folded"),
    Column("description", Text, nullable=False),
    Column("description_key", Text, nullable=False, comment="the description as it is searched: case folded"),
    Column("category", Text, ForeignKey("prompt_categories.slug"), nullable=False),
    Column("tags", Json, nullable=False),
    Column("models", Json, nullable=False),
    Column("preview", Text, nullable=False),
    Column("price_minor", Big, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("current_version", Integer, nullable=False),
    Column("rating", Double),
    Column("purchase_count", Integer, nullable=False),
    Column("published_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "status", "published_at", "id"),
    Index(None, "status", "purchase_count", "id"),
    Index(None, "status", "rating", "id"),
    Index(None, "status", "price_minor", "id"),
    Index(None, "seller_id", "published_at", "id"),
)

prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("prompt_id", Id, ForeignKey("prompts.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("notes", Text),
    Column("template", Text, nullable=False, comment="secret until bought"),
    Column("variables", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

prompt_figures = Table(
    "prompt_figures",
    metadata,
    Column("prompt_id", Id, ForeignKey("prompts.id"), primary_key=True),
    Column("views", Big, nullable=False),
    Column("purchases", Big, nullable=False),
    Column("runs", Big, nullable=False),
    Column("successes", Big, nullable=False),
    Column("median_latency_ms", Integer),
    Column("median_tokens", Integer),
    Column("revenue_minor", Big, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    primary_id(),
    Column("prompt_id", Id, ForeignKey("prompts.id"), nullable=False),
    Column("author", Text, nullable=False),
    Column("rating", Integer, nullable=False),
    Column("text", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "prompt_id", "created_at", "id"),
)

prompt_purchases = Table(
    "prompt_purchases",
    metadata,
    *order_columns("ppu"),
    Column("prompt_id", Id, ForeignKey("prompts.id"), nullable=False),
    Column("version_number", Integer, nullable=False),
    Column("platform_fee_minor", Big, nullable=False),
    Column("seller_earnings_minor", Big, nullable=False),
    *order_indexes(),
    Index(None, "organization_id", "prompt_id", "status"),
)

UNSCOPED = {
    "sellers": "the public face of an organization that sells",
    "prompt_categories": "the same for everybody",
    "prompts": "published ones are open to everybody; others only to their seller, by a condition in every read",
    "prompt_versions": "reached through a prompt; the template is selected only for its seller and its buyers",
    "prompt_figures": "reached through a prompt",
    "reviews": "open to everybody",
}
"""Tables without an organization of their own, each with the reason."""
