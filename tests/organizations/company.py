"""A company of a test's own before the gateway: people with roles, what they send, and what the database has of it."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Table, select
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from auth.passwords import Passwords
from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.tables.access import api_keys, outgoing_mails
from datasources.database.tables.gateway import memberships, organizations, users
from datasources.keyring import Keyring
from tests.auth.visitor import SESSION, Visitor, trail
from tests.serving import Running

PASSWORD = "seven llamas knit at dawn"
PATIENCE_SECONDS = 60.0
"""How long a test waits for what should come at once; no test measures time."""
_HASH = Passwords(memory_kib=64, time_cost=1).hash_now(PASSWORD)
_ERRORS = "userErrors { code message field }"
KEY = "{ id name prefix scopes createdBy { id } lastUsedAt expiresAt revokedAt createdAt }"
INVITATION = "{ id email role invitedBy { id } expiresAt acceptedAt withdrawnAt }"
_PAYLOADS = {
    "inviteMember": f"{{ invitation {INVITATION} {_ERRORS} }}",
    "withdrawInvitation": f"{{ invitation {INVITATION} {_ERRORS} }}",
    "acceptInvitation": SESSION,
    "changeMemberRole": f"{{ membership {{ role user {{ id }} organization {{ id }} }} {_ERRORS} }}",
    "removeMember": f"{{ organization {{ id members {{ user {{ id }} }} }} {_ERRORS} }}",
    "leaveOrganization": f"{{ {_ERRORS} }}",
    "updateOrganization": f"{{ organization {{ id name capabilities }} {_ERRORS} }}",
    "createApiKey": f"{{ apiKey {KEY} secret {_ERRORS} }}",
    "revokeApiKey": f"{{ apiKey {KEY} {_ERRORS} }}",
}
SEEN = "{ viewer { id } organization { id } }"


@dataclass
class Member(Visitor):
    """A person of a company, with a token for it; or a program with an API key."""

    id: str = ""
    email: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, mutation: str, **values: object) -> dict[str, Any]:
        """The whole answer to a mutation."""
        name = mutation[0].upper() + mutation[1:]
        query = f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) {_PAYLOADS[mutation]} }}"
        return self.ask(query, {"input": values}, **self.headers)

    def do(self, mutation: str, **values: object) -> dict[str, Any]:
        """The payload of a mutation that has no errors of either kind."""
        answer = self.answer(mutation, **values)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"][mutation]
        assert payload["userErrors"] == [], payload
        return payload

    def refused(self, mutation: str, **values: object) -> tuple[str, list[str] | None, str]:
        """Code, field and message of the one user error of a mutation."""
        answer = self.answer(mutation, **values)
        assert "errors" not in answer, answer
        payload = answer["data"][mutation]
        assert all(value is None for name, value in payload.items() if name != "userErrors"), payload
        (error,) = payload["userErrors"]
        return error["code"], error["field"], error["message"]

    def denied(self, mutation: str, **values: object) -> str:
        """The code of the error of a mutation that answers nothing else."""
        answer = self.answer(mutation, **values)
        assert answer["data"] in (None, {mutation: None}), answer
        (error,) = answer["errors"]
        return str(error["extensions"]["code"])

    def sees(self, query: str = SEEN, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The whole answer to a query."""
        return self.ask(query, variables, **self.headers)

    def acting_for(self, organization_id: str) -> "Member":
        """The same person, naming an organization."""
        return replace(self, headers={**self.headers, "x_organization_id": organization_id})


@dataclass
class Company:
    """An organization of a test's own."""

    gateway: Running
    database: Database
    id: str
    name: str

    async def member(self, role: str, email: str | None = None) -> Member:
        """Somebody new in this role."""
        user_id = new_id("usr")
        address = email or f"{user_id[-12:]}@example.com"
        await add_person(self.database, user_id, address)
        return await self.joined(Member(self.gateway, id=user_id, email=address), role)

    async def joined(self, person: Member, role: str) -> Member:
        """The person as a member of this organization too, with a token for it."""
        place = {"organization_id": self.id, "user_id": person.id, "role": role, "joined_at": datetime.now(UTC)}
        async with self.database.scoped(self.id).transaction() as transaction:
            await transaction.insert(memberships, [place])
        return replace(person, token=self.token(person.id))

    def token(self, user_id: str) -> str:
        """An access token of a person for this organization."""
        tokens = self.gateway.app.state.gateway.access.tokens
        text: str = tokens.issue(user_id=user_id, organization_id=self.id, session_id=new_id("ses")).text
        return text

    def program(self, maker: Member, *scopes: str, **values: object) -> Member:
        """A program with an API key that this person makes."""
        made = maker.do("createApiKey", name="a program", scopes=list(scopes), **values)
        return self.holder(made["secret"], made["apiKey"]["id"])

    def holder(self, secret: str, key_id: str = "") -> Member:
        """Whoever sends this secret."""
        return Member(self.gateway, id=key_id, headers={"x_api_key": secret})

    async def roles(self) -> dict[str, str]:
        """Who is what, as the database has it."""
        found = await rows(self.database, memberships, memberships.c.organization_id == self.id)
        return {row["user_id"]: row["role"] for row in found}

    async def revoked(self) -> set[str]:
        """The ids of the keys that are revoked."""
        found = await rows(self.database, api_keys, api_keys.c.organization_id == self.id)
        return {row["id"] for row in found if row["revoked_at"] is not None}

    async def audited(self, action: str) -> list[dict[str, Any]]:
        """The entries of an action in the audit trail of the organization, oldest first."""
        return [entry for entry in await trail(self.database, action) if entry["organization_id"] == self.id]


async def found(gateway: Running, database: Database, name: str) -> Company:
    """A new organization without anybody."""
    company = Company(gateway, database, new_id("org"), name)
    row = {"id": company.id, "name": name, "slug": company.id, "capabilities": ["BUYER"]}
    async with database.scoped(company.id).transaction() as transaction:
        await transaction.insert(organizations, [{**row, "created_at": datetime.now(UTC)}])
    return company


async def add_person(database: Database, user_id: str, email: str) -> None:
    """An account without an organization."""
    row = {"id": user_id, "email": email, "email_key": email.lower(), "password_hash": _HASH, "name": email[:4]}
    empty = {"skills": [], "interests": [], "preferences": {}, "created_at": datetime.now(UTC)}
    async with database.scoped(None).transaction() as transaction:
        await transaction.insert(users, [{**row, **empty}])


async def rows(database: Database, table: Table, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    """The rows of a table, whosever they are."""
    names = [column.name for column in table.c]
    scope = database.unscoped("tests look behind the gateway")
    return await scope.fetch(select(table).where(*where), lambda *cells: dict(zip(names, cells, strict=True)))


async def letters_to(gateway: Running, database: Database, email: str) -> list[str]:
    """The texts of the mails to an address that wait to be sent, oldest first."""
    keyring = Keyring(gateway.app.state.gateway.settings.keyring_file)
    found = []
    for row in sorted(await rows(database, outgoing_mails), key=lambda row: row["id"]):
        letter = orjson.loads(keyring.unseal(row["letter"], f"outgoing_mails.letter.{row['id']}"))
        if letter["to"] == email:
            found.append(letter["text"])
    return found


async def token_sent_to(gateway: Running, database: Database, email: str) -> str:
    """What stands in the link of the newest mail to an address."""
    letters = await letters_to(gateway, database, email)
    (token,) = re.findall(r"/account/accept-invitation#token=([\w-]+)", letters[-1])
    return str(token)


@asynccontextmanager
async def socket_of(member: Member, **payload: str) -> AsyncIterator[ClientConnection]:
    """A socket on which operations can begin."""
    sent = {name.replace("_", "-"): value for name, value in member.headers.items()} | payload
    if member.token is not None:
        sent["authorization"] = f"Bearer {member.token}"
    async with connect(
        member.gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
    ) as connection:
        await connection.send(json.dumps({"type": "connection_init", "payload": sent}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        yield connection


async def said(connection: ClientConnection, query: str = SEEN) -> dict[str, Any]:
    """The answer to a query over a socket."""
    await connection.send(json.dumps({"id": "q", "type": "subscribe", "payload": {"query": query}}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (message := json.loads(await connection.recv())).get("id") != "q":
            pass
        assert json.loads(await connection.recv())["type"] == "complete"
    payload: dict[str, Any] = message["payload"]
    return payload


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """How the gateway closes a socket."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await connection.recv()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it does."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.02)
