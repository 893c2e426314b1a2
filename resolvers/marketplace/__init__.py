"""The prompt marketplace: prompts with versions, sellers and reviews, and their purchases."""

from datasources.database import marketplace as data
from datasources.database.migrate import built_in_branch
from resolvers.marketplace.prompts import MarketplaceQueries, PromptDetails, PromptSeller, Review, Seller, SellerPrompts
from resolvers.marketplace.purchases import PromptPurchase
from schema.platform import (
    ORDERS,
    PROMPTS,
    SUPPLIES_ORDERS,
    SUPPLIES_PROMPTS,
    SUPPLIES_USAGE,
    EnumValue,
    NodeType,
    Platform,
    database_answers,
)
from schema.prompt import Prompt
from schema.roots import Query

PLATFORM = Platform(
    key="marketplace",
    name="Prompt marketplace",
    areas=(SUPPLIES_PROMPTS, SUPPLIES_ORDERS, SUPPLIES_USAGE),
    sources={PROMPTS: data.PROMPTS, ORDERS: data.PROMPT_PURCHASES},
    nodes=(
        NodeType("prm", Prompt, data.PromptRow, data.PROMPTS.by_ids),
        NodeType("sel", Seller, data.SellerRow, data.sellers_by_id),
        NodeType("rev", Review, data.ReviewRow, data.REVIEWS.by_ids),
        NodeType("ppu", PromptPurchase, data.PromptPurchaseRow, data.PROMPT_PURCHASES.by_ids),
    ),
    fields={Query: [MarketplaceQueries], Prompt: [PromptDetails, PromptSeller], Seller: [SellerPrompts]},
    enum_values={"UsageMetric": (EnumValue("PROMPT_RUNS", "Test runs of prompts."),)},
    spent_by_customer=data.prompt_purchases_spent,
    branch=built_in_branch("marketplace"),
    health=database_answers,
)
