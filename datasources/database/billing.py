"""Credits that were bought."""

from datetime import datetime
from typing import NamedTuple

from datasources.database.orders import order_listing, spent_by_customer
from datasources.database.tables.billing import credit_purchases


class CreditPurchaseRow(NamedTuple):
    """A row of ``credit_purchases``."""

    id: str
    business_id: str | None
    customer_id: str | None
    number: str
    status: str
    total_minor: int
    currency: str
    placed_at: datetime
    updated_at: datetime
    credits: int


CREDIT_PURCHASES = order_listing(credit_purchases, CreditPurchaseRow)
credit_purchases_spent = spent_by_customer(credit_purchases)
