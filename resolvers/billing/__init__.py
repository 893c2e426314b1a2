"""Accounts with plans, credits and earnings: so far the credits that were bought."""

import strawberry

from datasources.database import billing as data
from datasources.database.migrate import built_in_branch
from schema.order import Order
from schema.platform import ORDERS, SUPPLIES_ORDERS, NodeType, Platform, database_answers


@strawberry.type(description="Credits, bought for the organization.")
class CreditPurchase(Order):
    """``CreditPurchase``."""

    credits: int = strawberry.field(description="How many.")


PLATFORM = Platform(
    key="billing",
    name="Plans, credits and earnings",
    areas=(SUPPLIES_ORDERS,),
    sources={ORDERS: data.CREDIT_PURCHASES},
    nodes=(NodeType("crp", CreditPurchase, data.CreditPurchaseRow, data.CREDIT_PURCHASES.by_ids),),
    spent_by_customer=data.credit_purchases_spent,
    branch=built_in_branch("billing"),
    health=database_answers,
)
