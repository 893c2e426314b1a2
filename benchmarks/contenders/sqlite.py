"""The floor's questions on SQLite: in the loop's own thread, because no hand-over to another one is free.

A statement per parent costs no round trip here, so the nested lists are read that way.
"""

# ruff: noqa: S608 -- the statements are put together from constants of this file

import sqlite3
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_BUSINESS = """
SELECT id, name, industry, replace(created_at, '.000000', '') FROM businesses WHERE organization_id = ? AND id = ?
"""
_BUSINESSES = """
SELECT id, name, industry FROM businesses WHERE organization_id = ? ORDER BY name_key, id LIMIT ?
"""
_CAMPAIGNS = """
SELECT id, name, status, external_id FROM campaigns
WHERE organization_id = ? AND business_id = ? ORDER BY name_key, id LIMIT ?
"""


def _every_kind(columns: str, where: str) -> str:
    """Orders of every kind, the newest first."""
    kinds = {
        "service_orders": "ServiceOrder",
        "appointments": "Appointment",
        "prompt_purchases": "PromptPurchase",
        "credit_purchases": "CreditPurchase",
    }
    parts = [f"SELECT '{name}' AS kind, {columns} FROM {table} WHERE {where}" for table, name in kinds.items()]
    return " UNION ALL ".join(parts) + " ORDER BY placed_at DESC, id DESC LIMIT :first"


_ORDERS_OF = f"""
SELECT o.id, o.number, o.status, o.total_minor, o.currency, replace(o.placed_at, '.000000', ''),
       c.id, c.name, b.id, b.name
FROM ({
    _every_kind(
        "id, number, status, total_minor, currency, placed_at, customer_id",
        "organization_id = :organization AND business_id = :business",
    )
}) o
LEFT JOIN customers c ON c.id = o.customer_id LEFT JOIN businesses b ON b.id = c.business_id
ORDER BY o.placed_at DESC, o.id DESC
"""
_ORDERS = f"""
SELECT kind, id, number, status, replace(placed_at, '.000000', ''), replace(updated_at, '.000000', ''), total_minor,
       currency
FROM ({
    _every_kind("id, number, status, placed_at, updated_at, total_minor, currency", "organization_id = :organization")
})
"""


class Reads:
    """One connection, which is all that one thread can use."""

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        self._connection.execute("PRAGMA cache_size=-16000")

    async def open(self) -> None:
        """It is open already."""

    async def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    async def business(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q1."""
        row = self._connection.execute(_BUSINESS, (organization, arguments["id"])).fetchone()
        if row is None:
            return {"business": None}
        return {"business": {"id": row[0], "name": row[1], "industry": row[2], "createdAt": row[3]}}

    async def businesses_with_campaigns(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q2."""
        execute, campaigns = self._connection.execute, arguments["campaigns"]
        nodes = [
            {
                "id": id,
                "name": name,
                "industry": industry,
                "campaigns": {
                    "nodes": [
                        {"id": campaign, "name": title, "status": status, "externalId": external_id}
                        for campaign, title, status, external_id in execute(_CAMPAIGNS, (organization, id, campaigns))
                    ]
                },
            }
            for id, name, industry in execute(_BUSINESSES, (organization, arguments["first"])).fetchall()
        ]
        return {"businesses": {"nodes": nodes}}

    async def businesses_with_orders(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q3."""
        execute, asked = self._connection.execute, {"organization": organization, "first": arguments["orders"]}
        nodes = [
            {
                "id": id,
                "name": name,
                "orders": {
                    "nodes": [
                        {
                            "id": order,
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
                        for (
                            order,
                            number,
                            status,
                            minor,
                            currency,
                            placed_at,
                            customer,
                            customer_name,
                            owner,
                            owner_name,
                        ) in execute(_ORDERS_OF, {**asked, "business": id})
                    ]
                },
            }
            for id, name, _ in execute(_BUSINESSES, (organization, arguments["first"])).fetchall()
        ]
        return {"businesses": {"nodes": nodes}}

    async def orders(self, organization: str, arguments: Mapping[str, Any]) -> Json:
        """Q4."""
        found = self._connection.execute(_ORDERS, {"organization": organization, "first": arguments["first"]})
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
            for kind, id, number, status, placed_at, updated_at, minor, currency in found
        ]
        return {"orders": {"nodes": nodes}}
