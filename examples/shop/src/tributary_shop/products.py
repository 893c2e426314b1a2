"""What the stores sell."""

from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Executable, Text

from datasources.database.engine import Transaction
from datasources.database.ids import new_id
from datasources.database.listing import Listing, Ordering
from tributary_shop.inserts import tenant_insert
from tributary_shop.tables import products


class ProductRow(NamedTuple):
    """A row of ``shop_products``."""

    id: str
    business_id: str
    sku: str
    name: str
    price_minor: int
    currency: str


PRODUCTS = Listing(table=products, row=ProductRow, orderings={"SKU": Ordering(lambda table: table.c.sku, Text())})


async def save_product(
    transaction: Transaction, business_id: str, *, sku: str, name: str, price_minor: int, currency: str
) -> str:
    """Adds the product, or changes the one with this ``sku``; returns its id."""
    values = {
        "id": new_id("shp"),
        "business_id": business_id,
        "sku": sku,
        "name": name,
        "price_minor": price_minor,
        "currency": currency,
    }
    (identity,) = await transaction.fetch(_save(transaction.scope.dialect), str, values)
    return identity


@lru_cache(maxsize=2)
def _save(dialect: str) -> Executable:
    new = tenant_insert(products, dialect, "id", "business_id", "sku", "name", "price_minor", "currency")
    changed = {name: new.excluded[name] for name in ("name", "price_minor", "currency")}
    saved = new.on_conflict_do_update(index_elements=["organization_id", "business_id", "sku"], set_=changed)
    return saved.returning(products.c.id)
