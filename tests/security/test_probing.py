"""Who tries what they may not is seen: by the administrators of their organization, or in the gateway's own chain.

And who tries it a thousand times fills a few lines.
"""

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from datasources.database.audit import GATEWAY_CHAIN
from datasources.database.engine import Database
from datasources.database.tables.access import audit_entries, audit_personal
from tests.security.client import LOGIN, ask, data, new_place
from tests.serving import ADA, GRACE, Running

MAKE_KEY = """mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { apiKey { id } secret userErrors { code message } }
}"""
PROBE = "query Probing { organization { name } auditLog(first: 1) { nodes { id } } }"
LOG = """query ($filter: AuditFilter) {
  auditLog(filter: $filter, first: 50) { nodes { actor action risk details ip } }
}"""
MANY = 20
"""From so many refusals of a kind in a minute on they are of HIGH risk."""


def once(found: Callable[[], Any]) -> Any:
    """What is found as soon as it is there."""
    for _ in range(1_000):
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("it is not there")


def test_what_a_key_tries_beyond_its_scopes_is_told_to_the_administrators_in_few_words(gateway: Running) -> None:
    wanted = {"name": "that pries", "scopes": ["orders:read"]}
    made = gateway.data(MAKE_KEY, {"input": wanted}, as_=ADA)["createApiKey"]
    place = new_place()
    for _ in range(MANY + 10):
        answer = ask(gateway, PROBE, place=place, x_api_key=made["secret"]).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert answer["data"]["organization"] is not None
    only = {"filter": {"actor": made["apiKey"]["id"], "actions": ["access.denied"]}}

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = gateway.data(LOG, only, as_=ADA)["auditLog"]["nodes"]
        return sorted(found, key=lambda each: each["details"]["count"]) if len(found) > 1 else []

    first, rest = once(entries)
    assert (first["risk"], rest["risk"]) == ("MEDIUM", "HIGH")
    assert first["details"] == {"what": "Query.auditLog", "operation": "Probing", "count": 1}
    assert rest["details"]["count"] == MANY - 1
    assert {each["ip"] for each in (first, rest)} == {place}
    assert gateway.data(LOG, only, as_=GRACE)["auditLog"]["nodes"] == []


@pytest.mark.parametrize("header", ["authorization", "x_api_key"])
def test_credentials_that_do_not_hold_are_in_the_gateways_own_chain(gateway: Running, header: str) -> None:
    place = new_place()
    for number in range(MANY + 10):
        sent = {header: f"Bearer made.up.{number}" if header == "authorization" else f"trb_{number}"}
        assert ask(gateway, PROBE, place=place, more=sent).status_code == 401
    entries = once(lambda: found if len(found := refused_from(gateway, place)) > 1 else [])
    assert sorted(entries) == [(1, "MEDIUM"), (MANY - 1, "HIGH")]


def refused_from(gateway: Running, place: str) -> list[tuple[int, str]]:
    """How often credentials from a place were refused, and how risky that is, entry by entry."""

    async def read() -> list[tuple[int, str]]:
        database = Database(gateway.database_url, pool_size=1)
        statement = (
            select(audit_entries.c.details, audit_entries.c.risk)
            .join(audit_personal, audit_personal.c.entry_id == audit_entries.c.id)
            .where(
                audit_entries.c.organization_id == GATEWAY_CHAIN,
                audit_entries.c.action == "credential.refused",
                audit_personal.c.address == place,
            )
        )
        try:
            async with database.writer.connect() as connection:
                return [(row.details["count"], row.risk) for row in await connection.execute(statement)]
        finally:
            await database.close()

    return anyio.run(read)


def test_a_sign_in_looks_from_outside_as_one_that_is_refused_does(gateway: Running) -> None:
    """Neither the status nor the headers tell what the answer must not."""
    attempts = [(ADA, "no such password"), ("nobody.here@example.com", "no such password"), (GRACE, "")]
    answers = [
        ask(gateway, LOGIN, {"input": {"email": email, "password": password}}, place=new_place())
        for email, password in attempts
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1
    assert data(answers[0])["login"]["session"] is None
