"""Purchases of prompts."""

import strawberry

from datasources.database.marketplace import PromptPurchaseRow, VersionKey, versions_by_number
from resolvers.marketplace.prompts import PromptVersion
from schema.context import Info
from schema.money import Money, money
from schema.order import Order
from schema.platform import PROMPTS
from schema.prompt import Prompt
from schema.relations import relation


@strawberry.type(description="A licence to a prompt, bought in the marketplace.")
class PromptPurchase(Order):
    """``PromptPurchase``."""

    prompt: Prompt | None = relation(PROMPTS, key="prompt_id", description="What was bought.")
    platform_fee: Money = money("platform_fee", "What the marketplace keeps.")
    seller_earnings: Money = money("seller_earnings", "What the seller gets.")

    @strawberry.field(description="The version that was bought.")
    @staticmethod
    async def version(root: strawberry.Parent[PromptPurchaseRow], info: Info) -> PromptVersion | None:
        """The version by its number."""
        key = VersionKey(root.prompt_id, root.version_number)
        return await info.context.loader(versions_by_number).load(key)
