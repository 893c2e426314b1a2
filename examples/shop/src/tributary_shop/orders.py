"""What was ordered in the stores: listed like orders of every platform, and placed by webhooks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Insert, Text, bindparam, select

from datasources.database.columns import Id
from datasources.database.engine import Transaction
from datasources.database.events import NewEvent, append_event
from datasources.database.ids import new_id
from datasources.database.orders import order_listing, spent_by_customer
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import customers, order_actions, usage_records
from tributary_shop.inserts import tenant_insert
from tributary_shop.settings import KEY
from tributary_shop.tables import orders

METRIC = "SHOP_ORDERS"
STATUS = "PAID"
"""A shop tells of an order when it has the money."""


class ShopOrderRow(NamedTuple):
    """A row of ``shop_orders``."""

    id: str
    business_id: str | None
    customer_id: str | None
    number: str
    status: str
    total_minor: int
    currency: str
    placed_at: datetime
    updated_at: datetime
    product_id: str
    quantity: int


class NewOrder(NamedTuple):
    """What is to be written; ``placed_at`` is aware of its time zone."""

    business_id: str
    customer_id: str | None
    number: str
    total_minor: int
    currency: str
    placed_at: datetime
    product_id: str
    quantity: int


ORDERS = order_listing(orders, ShopOrderRow)
orders_spent = spent_by_customer(orders)

_CUSTOMER = (
    select(customers.c.id)
    .where(
        customers.c.organization_id == TENANT,
        customers.c.business_id == bindparam("business", type_=Id),
        customers.c.email == bindparam("address", type_=Text()),
    )
    .order_by(customers.c.id)
    .limit(1)
)


async def customer_with(transaction: Transaction, business_id: str, *, email: str, name: str | None) -> str:
    """The id of the business's customer with this address, who is added when there is none."""
    found = await transaction.fetch(_CUSTOMER, str, {"business": business_id, "address": email})
    if found:
        return found[0]
    customer: Mapping[str, object] = {
        "id": new_id("cus"),
        "business_id": business_id,
        "name": name,
        "name_key": None if name is None else name.casefold(),
        "phone": None,
        "email": email,
        "first_seen_at": datetime.now(UTC),
    }
    await transaction.insert(customers, [customer])
    return str(customer["id"])


async def place_order(transaction: Transaction, order: NewOrder) -> str:
    """Writes an order with its history, its events and its use, all in one transaction; returns its id."""
    identity, now = new_id("sho"), datetime.now(UTC)
    await transaction.insert(orders, [{**order._asdict(), "id": identity, "status": STATUS, "updated_at": now}])
    action = {"order_id": identity, "at": now, "from_status": None, "to_status": STATUS, "actor": KEY, "note": None}
    await transaction.insert(order_actions, [action])
    change = {"from": None, "to": STATUS}
    await append_event(transaction, NewEvent(KEY, "OrderChanged", identity, order.business_id, change))
    await append_event(transaction, NewEvent(KEY, "ShopOrderPlaced", identity, order.business_id, {}))
    minute = now.replace(second=0, microsecond=0)
    use = {"metric": METRIC, "platform": KEY, "at": minute, "value": 1}
    await transaction.execute(_count(transaction.scope.dialect), use)
    return identity


@lru_cache(maxsize=2)
def _count(dialect: str) -> Insert:
    new = tenant_insert(usage_records, dialect, "metric", "platform", "at", "value")
    key = ["organization_id", "metric", "at", "platform"]
    return new.on_conflict_do_update(index_elements=key, set_={"value": usage_records.c.value + new.excluded["value"]})
