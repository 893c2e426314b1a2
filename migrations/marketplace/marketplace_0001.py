"""Prompts with versions, sellers, reviews and figures, and their purchases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "marketplace_0001"
down_revision = None
branch_labels = ("marketplace",)
depends_on = ("gateway_0001",)

# The types as they were then: a later change in datasources/database/columns.py must not change the past.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "sellers",
        sa.Column("id", ID, nullable=False),
        sa.Column("seller_organization_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("rating", sa.Double(), nullable=True, comment="mean of the reviews of all prompts, 1 to 5"),
        sa.PrimaryKeyConstraint("id", name="pk_sellers"),
        sa.ForeignKeyConstraint(
            ["seller_organization_id"], ["organizations.id"], name="fk_sellers_seller_organization_id"
        ),
        sa.UniqueConstraint("seller_organization_id", name="uq_sellers_seller_organization_id"),
        sa.UniqueConstraint("slug", name="uq_sellers_slug"),
    )
    op.create_table(
        "prompt_categories",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_prompt_categories"),
    )
    op.create_table(
        "prompts",
        sa.Column("id", ID, nullable=False),
        sa.Column("seller_id", ID, nullable=False),
        sa.Column("seller_organization_id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_key", sa.Text(), nullable=False, comment="the title as it is searched: case folded"),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "description_key", sa.Text(), nullable=False, comment="the description as it is searched: case folded"
        ),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("models", JSON, nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("price_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("current_version", sa.Integer(), nullable=False),
        sa.Column("rating", sa.Double(), nullable=True),
        sa.Column("purchase_count", sa.Integer(), nullable=False),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompts"),
        sa.ForeignKeyConstraint(["seller_id"], ["sellers.id"], name="fk_prompts_seller_id"),
        sa.ForeignKeyConstraint(
            ["seller_organization_id"], ["organizations.id"], name="fk_prompts_seller_organization_id"
        ),
        sa.ForeignKeyConstraint(["category"], ["prompt_categories.slug"], name="fk_prompts_category"),
        sa.UniqueConstraint("slug", name="uq_prompts_slug"),
    )
    op.create_index("ix_prompts_seller_id_published_at_id", "prompts", ["seller_id", "published_at", "id"])
    op.create_index("ix_prompts_status_price_minor_id", "prompts", ["status", "price_minor", "id"])
    op.create_index("ix_prompts_status_published_at_id", "prompts", ["status", "published_at", "id"])
    op.create_index("ix_prompts_status_purchase_count_id", "prompts", ["status", "purchase_count", "id"])
    op.create_index("ix_prompts_status_rating_id", "prompts", ["status", "rating", "id"])
    op.create_table(
        "prompt_versions",
        sa.Column("prompt_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("template", sa.Text(), nullable=False, comment="secret until bought"),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("prompt_id", "number", name="pk_prompt_versions"),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_prompt_versions_prompt_id"),
    )
    op.create_table(
        "prompt_figures",
        sa.Column("prompt_id", ID, nullable=False),
        sa.Column("views", BIG, nullable=False),
        sa.Column("purchases", BIG, nullable=False),
        sa.Column("runs", BIG, nullable=False),
        sa.Column("successes", BIG, nullable=False),
        sa.Column("median_latency_ms", sa.Integer(), nullable=True),
        sa.Column("median_tokens", sa.Integer(), nullable=True),
        sa.Column("revenue_minor", BIG, nullable=False),
        sa.PrimaryKeyConstraint("prompt_id", name="pk_prompt_figures"),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_prompt_figures_prompt_id"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", ID, nullable=False),
        sa.Column("prompt_id", ID, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_reviews_prompt_id"),
    )
    op.create_index("ix_reviews_prompt_id_created_at_id", "reviews", ["prompt_id", "created_at", "id"])
    op.create_table(
        "prompt_purchases",
        sa.Column("id", ID, nullable=False, comment="ppu"),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("business_id", ID, nullable=True),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_minor", BIG, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("prompt_id", ID, nullable=False),
        sa.Column("version_number", sa.Integer(), nullable=False),
        sa.Column("platform_fee_minor", BIG, nullable=False),
        sa.Column("seller_earnings_minor", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_purchases"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_prompt_purchases_organization_id"),
        sa.ForeignKeyConstraint(["business_id"], ["businesses.id"], name="fk_prompt_purchases_business_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_prompt_purchases_customer_id"),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_prompt_purchases_prompt_id"),
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_business_id_placed_at_id",
        "prompt_purchases",
        ["organization_id", "business_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_customer_id_placed_at_id",
        "prompt_purchases",
        ["organization_id", "customer_id", "placed_at", "id"],
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_placed_at_id", "prompt_purchases", ["organization_id", "placed_at", "id"]
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_prompt_id_status",
        "prompt_purchases",
        ["organization_id", "prompt_id", "status"],
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_updated_at_id", "prompt_purchases", ["organization_id", "updated_at", "id"]
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_currency_total_minor_id",
        "prompt_purchases",
        ["organization_id", "currency", "total_minor", "id"],
    )
    op.create_index(
        "ix_prompt_purchases_organization_id_status_placed_at_id",
        "prompt_purchases",
        ["organization_id", "status", "placed_at", "id"],
    )


def downgrade() -> None:
    """Drops the tables, with what is in them."""
    op.drop_table("prompt_purchases")
    op.drop_table("reviews")
    op.drop_table("prompt_figures")
    op.drop_table("prompt_versions")
    op.drop_table("prompts")
    op.drop_table("prompt_categories")
    op.drop_table("sellers")
