"""The floor's questions on PostgreSQL: one statement for each level of the answer, nested lists by LATERAL."""

# ruff: noqa: S608 -- the statements are put together from constants of this file

from collections.abc import Mapping
from typing import Any

import asyncpg

Json = dict[str, Any]

_BUSINESS = "SELECT id, name, industry, created_at FROM businesses WHERE organization_id = $1 AND id = $2"
_BUSINESSES = """
SELECT id, name, industry FROM businesses WHERE organization_id = $1 ORDER BY name_key, id LIMIT $2
"""
_CAMPAIGNS = """
SELECT parent.id, c.id, c.name, c.status, c.external_id
FROM unnest($2::text[]) AS parent (id), LATERAL (
  SELECT id, name, status, external_id FROM campaigns
  WHERE organization_id = $1 AND business_id = parent.id ORDER BY name_key, id LIMIT $3
) c
"""


def _every_kind(columns: str, where: str, limit: str) -> str:
    """Orders of every kind, the newest first; each kind gives at most as many as are wanted in all."""
    kinds = {
        "service_orders": "ServiceOrder",
        "appointments": "Appointment",
        "prompt_purchases": "PromptPurchase",
        "credit_purchases": "CreditPurchase",
    }
    newest = f"ORDER BY placed_at DESC, id DESC LIMIT {limit}"
    parts = [
        f"(SELECT '{name}' AS kind, {columns} FROM {table} WHERE {where} {newest})" for table, name in kinds.items()
    ]
    return f"{' UNION ALL '.join(parts)} {newest}"


_ORDERS_OF = f"""
SELECT parent.id, o.id, o.number, o.status, o.total_minor, o.currency, o.placed_at, c.id, c.name, b.id, b.name
FROM unnest($2::text[]) AS parent (id), LATERAL ({
    _every_kind(
        "id, number, status, total_minor, currency, placed_at, customer_id",
        "organization_id = $1 AND business_id = parent.id",
        "$3",
    )
}) o
LEFT JOIN customers c ON c.id = o.customer_id LEFT JOIN businesses b ON b.id = c.business_id
ORDER BY parent.id, o.placed_at DESC, o.id DESC
"""
_ORDERS = f"""
SELECT kind, id, number, status, placed_at, updated_at, total_minor, currency
FROM ({_every_kind("id, number, status, placed_at, updated_at, total_minor, currency", "organization_id = $1", "$2")}) o
"""


class Reads:
    """A pool of connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record]

    async def open(self) -> None:
        """Makes the pool, in the loop that will use it."""
        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=10, reset=_keep)

    async def close(self) -> None:
        """Closes the connections."""
        await self._pool.close()

    async def business(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q1."""
        found = await self._pool.fetch(_BUSINESS, organization, arguments["id"])
        if not found:
            return {"business": None}
        ((id, name, industry, created_at),) = found
        return {"business": {"id": id, "name": name, "industry": industry, "createdAt": created_at}}

    async def businesses_with_campaigns(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q2."""
        parents = await self._pool.fetch(_BUSINESSES, organization, arguments["first"])
        lists: dict[str, list[Json]] = {parent[0]: [] for parent in parents}
        found = await self._pool.fetch(_CAMPAIGNS, organization, list(lists), arguments["campaigns"])
        for parent, id, name, status, external_id in found:
            lists[parent].append({"id": id, "name": name, "status": status, "externalId": external_id})
        nodes = [
            {"id": id, "name": name, "industry": industry, "campaigns": {"nodes": lists[id]}}
            for id, name, industry in parents
        ]
        return {"businesses": {"nodes": nodes}}

    async def businesses_with_orders(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q3."""
        parents = await self._pool.fetch(_BUSINESSES, organization, arguments["first"])
        lists: dict[str, list[Json]] = {parent[0]: [] for parent in parents}
        for (
            parent,
            id,
            number,
            status,
            minor,
            currency,
            placed_at,
            customer,
            customer_name,
            owner,
            owner_name,
        ) in await self._pool.fetch(_ORDERS_OF, organization, list(lists), arguments["orders"]):
            lists[parent].append(
                {
                    "id": id,
                    "number": number,
                    "status": status,
                    "total": {"amount": f"{minor // 100}.{minor % 100:02}", "currency": currency},
                    "placedAt": placed_at,
                    "customer": customer
                    and {
                        "id": customer,
                        "name": customer_name,
                        "business": owner and {"id": owner, "name": owner_name},
                    },
                }
            )
        nodes = [{"id": id, "name": name, "orders": {"nodes": lists[id]}} for id, name, _ in parents]
        return {"businesses": {"nodes": nodes}}

    async def orders(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q4."""
        nodes = [
            {
                "__typename": kind,
                "id": id,
                "number": number,
                "status": status,
                "placedAt": placed_at,
                "updatedAt": updated_at,
                "total": {"amount": f"{minor // 100}.{minor % 100:02}", "currency": currency},
            }
            for kind, id, number, status, placed_at, updated_at, minor, currency in await self._pool.fetch(
                _ORDERS, organization, arguments["first"]
            )
        ]
        return {"orders": {"nodes": nodes}}


async def _keep(_connection: object) -> None:
    """Saves the round trip that resets a connection: nothing here leaves anything behind on one."""
