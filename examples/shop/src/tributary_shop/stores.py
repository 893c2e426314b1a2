"""Which store belongs to which business, and which of its notices were heard already."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Insert, Text, bindparam, select

from datasources.database.columns import Id
from datasources.database.engine import Database, Transaction
from datasources.database.scope import TENANT
from tributary_shop.inserts import tenant_insert
from tributary_shop.tables import notices, stores


class StoreRow(NamedTuple):
    """A row of ``shop_stores``."""

    store: str
    organization_id: str
    business_id: str


class StoreTaken(Exception):
    """Another business has connected this store."""


_STORE = select(*(stores.c[name] for name in StoreRow._fields)).where(
    stores.c.store == bindparam("named", type_=Text())
)


async def store_of_any_organization(database: Database, store: str) -> StoreRow | None:
    """The store with this name: a webhook names its store, and the store says whose it is."""
    scope = database.unscoped("a signed webhook names a store; the store names the organization")
    found = await scope.fetch(_STORE, StoreRow, {"named": store})
    return found[0] if found else None


async def connect_store(transaction: Transaction, store: str, business_id: str) -> bool:
    """Makes the store the business's; returns whether that is new. Raises ``StoreTaken`` when it is another's."""
    values = {"store": store, "business_id": business_id, "connected_at": datetime.now(UTC)}
    if await transaction.execute(_connect(transaction.scope.dialect), values) == 1:
        return True
    ours = _STORE.where(stores.c.organization_id == TENANT, stores.c.business_id == bindparam("business", type_=Id))
    if not await transaction.fetch(ours, StoreRow, {"named": store, "business": business_id}):
        raise StoreTaken
    return False


async def is_new(transaction: Transaction, notice_id: str) -> bool:
    """Remembers a notice of the shop; false when it was heard before. A copy under way elsewhere is waited for."""
    values = {"id": notice_id, "received_at": datetime.now(UTC)}
    return await transaction.execute(_remember(transaction.scope.dialect), values) == 1


@lru_cache(maxsize=2)
def _connect(dialect: str) -> Insert:
    return tenant_insert(stores, dialect, "store", "business_id", "connected_at").on_conflict_do_nothing()


@lru_cache(maxsize=2)
def _remember(dialect: str) -> Insert:
    return tenant_insert(notices, dialect, "id", "received_at").on_conflict_do_nothing()
