"""What somebody does with webhooks, and what the database has of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.tables.webhooks import webhook_deliveries, webhook_endpoints
from tests.organizations.company import Company, Member, rows

URL = "https://hooks.example.com/tributary?token=of-acme"
"""Where nothing may ever be sent, for a test reaches nothing but this machine: for events that do not happen."""
NOWHERE = "http://127.255.255.254:1024/tributary?token=of-acme"
"""Where nobody listens."""
ENDPOINT = "{ id url events scopes status firstFailureAt previousSecretExpiresAt createdBy { id } createdAt }"
_ERRORS = "userErrors { code message field }"
_WHOLE = f"{{ webhookEndpoint {ENDPOINT} signingSecret {_ERRORS} }}"
LISTED = f"{{ organization {{ webhookEndpoints {ENDPOINT} }} }}"
DELIVERY = """{
  id eventType sequence status attempts responseStatus error nextAttemptAt createdAt deliveredAt cursor event { id }
}"""


def answer(who: Member, mutation: str, **values: object) -> dict[str, Any]:
    """The whole answer to a mutation."""
    name = mutation[0].upper() + mutation[1:]
    payload = f"{{ scheduled {_ERRORS} }}" if mutation == "replayWebhookDeliveries" else _WHOLE
    return who.ask(
        f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) {payload} }}", {"input": values}, **who.headers
    )


def do(who: Member, mutation: str, **values: object) -> dict[str, Any]:
    """The payload of a mutation that has no errors of either kind."""
    found = answer(who, mutation, **values)
    assert "errors" not in found, found
    payload: dict[str, Any] = found["data"][mutation]
    assert payload["userErrors"] == [], payload
    return payload


def refused(who: Member, mutation: str, **values: object) -> tuple[str, list[str] | None, str]:
    """Code, field and message of the one user error of a mutation that did nothing."""
    found = answer(who, mutation, **values)
    assert "errors" not in found, found
    payload = found["data"][mutation]
    assert not any(value for name, value in payload.items() if name != "userErrors"), payload
    (error,) = payload["userErrors"]
    return error["code"], error["field"], error["message"]


def denied(who: Member, mutation: str, **values: object) -> str:
    """The code of the error of a mutation that answers nothing else."""
    found = answer(who, mutation, **values)
    assert found["data"] in (None, {mutation: None}), found
    (error,) = found["errors"]
    return str(error["extensions"]["code"])


def endpoint(who: Member, *events: str, url: str = URL) -> tuple[str, str]:
    """The id and the secret of a new endpoint."""
    made = do(who, "createWebhookEndpoint", url=url, events=list(events or ["OrderChanged"]))
    return made["webhookEndpoint"]["id"], made["signingSecret"]


async def stored(database: Database, company: Company) -> list[dict[str, Any]]:
    """The endpoints of a company as they are stored."""
    return await rows(database, webhook_endpoints, webhook_endpoints.c.organization_id == company.id)


async def deliveries(database: Database, company: Company) -> list[dict[str, Any]]:
    """The deliveries of a company as they are stored, oldest first."""
    found = await rows(database, webhook_deliveries, webhook_deliveries.c.organization_id == company.id)
    return sorted(found, key=lambda row: row["created_at"])


async def delivered(
    database: Database, company: Company, endpoint_id: str, statuses: Sequence[str], **values: object
) -> list[str]:
    """Puts down settled deliveries of events that are not kept any more, a second apart; returns their ids."""
    began = datetime.now(UTC) - timedelta(hours=1)
    made = []
    for number, status in enumerate(statuses, start=1):
        at = began + timedelta(seconds=number)
        made.append(
            {
                "id": new_id("whd"),
                "endpoint_id": endpoint_id,
                "event_id": new_id("evt"),
                "event_type": "OrderChanged",
                "tx": 0,
                "position": number,
                "sequence": number,
                "status": status,
                "attempts": 1 if status == "DELIVERED" else 14,
                "next_attempt_at": None,
                "give_up_at": at + timedelta(hours=72),
                "response_status": 204 if status == "DELIVERED" else 503,
                "error": None if status == "DELIVERED" else "it answered 503",
                "created_at": at,
                "settled_at": at,
                **values,
            }
        )
    async with database.scoped(company.id).transaction() as transaction:
        await transaction.insert(webhook_deliveries, made)
    return [str(row["id"]) for row in made]
