"""A desk at which service orders are worked on: what a person sends, and what the database says of it afterwards."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
from sqlalchemy import ColumnElement, Select, Table, bindparam, func, insert, select

from auth.passwords import Passwords
from datasources.database.columns import Id, any_of
from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.tables.access import audit_entries
from datasources.database.tables.gateway import events, memberships, order_actions, users
from datasources.database.tables.messaging import service_orders
from gateway.demo import PASSWORD
from tests.serving import ADA, Running

KENJI, MARISOL, VICTOR = "kenji@example.com", "marisol@example.com", "victor@example.com"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
PDF = b"%PDF-1.7\n" + b"page" * 20

ORDER = """fragment Whole on Order {
  __typename id status updatedAt
  history { at from to actor note }
  ... on ServiceOrder { paymentProof { kind contentType bytes sha256 url } }
}"""
_ANSWER = "{ order { ...Whole } userErrors { code message field } }"

# Reading the machine's certificates for each client takes longer than most tests, and nothing here uses TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client() -> httpx.AsyncClient:
    """A client of plain HTTP that takes part in no proxying."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    return httpx.AsyncClient(verify=_NO_TLS, timeout=60, trust_env=False, limits=limits)


class Recorded(NamedTuple):
    """What the database holds of an order: its status, and its moves as the three records of them tell it."""

    status: str
    actions: list[tuple[str | None, str]]
    events: list[tuple[str | None, str]]
    audits: list[tuple[str | None, str]]

    def agrees(self) -> bool:
        """Whether history, events and audit trail tell of the same moves, up to where the order stands."""
        moves = sorted(self.actions, key=str)
        told_alike = moves == sorted(self.events, key=str) == sorted(self.audits, key=str)
        return told_alike and (self.status == self.actions[-1][1] if self.actions else self.status == "PENDING")


@dataclass(frozen=True)
class Desk:
    """Somebody of an organization (by default Ada, an owner) with a gateway before them and its database behind it."""

    gateway: Running
    client: httpx.AsyncClient
    database: Database
    email: str | None = ADA

    def of(self, email: str | None) -> "Desk":
        """The same desk with somebody else at it; ``None``: somebody who has not signed in."""
        return Desk(self.gateway, self.client, self.database, email)

    def headers(self) -> dict[str, str]:
        """What says who asks."""
        return {} if self.email is None else {"authorization": f"Bearer {self.gateway.token(self.email)}"}

    async def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """The whole answer to an operation."""
        body = {"query": query, "variables": variables}
        response = await self.client.post(self.gateway.graphql, json=body, headers=self.headers())
        found: dict[str, Any] = response.json()
        return found

    async def act(self, mutation: str, order_id: str, **values: object) -> dict[str, Any]:
        """The whole answer to one of the mutations that take no file."""
        name = mutation[0].upper() + mutation[1:]
        query = f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) {_ANSWER} }} {ORDER}"
        return await self.ask(query, {"input": {"orderId": order_id, **values}})

    async def move(self, mutation: str, order_id: str, **values: object) -> dict[str, Any]:
        """The payload of one of the mutations that take no file."""
        answer = await self.act(mutation, order_id, **values)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"][mutation]
        return payload

    async def send_file(self, order_id: str, content: bytes, name: str, kind: str) -> httpx.Response:
        """The response to a proof of payment, sent as the GraphQL multipart request specification says."""
        query = f"mutation ($input: SubmitPaymentProofInput!) {{ submitPaymentProof(input: $input) {_ANSWER} }} {ORDER}"
        operations = {"query": query, "variables": {"input": {"orderId": order_id, "proof": {"upload": None}}}}
        parts: list[tuple[str, tuple[None, bytes] | tuple[str, bytes, str]]] = [
            ("operations", (None, json.dumps(operations).encode())),
            ("map", (None, json.dumps({"0": ["variables.input.proof.upload"]}).encode())),
            ("0", (name, content, kind)),
        ]
        headers = {**self.headers(), "graphql-require-preflight": "1"}
        return await self.client.post(self.gateway.graphql, files=parts, headers=headers)

    async def submit(self, order_id: str, content: bytes = PNG) -> dict[str, Any]:
        """The payload of ``submitPaymentProof``."""
        answer = (await self.send_file(order_id, content, "proof.png", "image/png")).json()
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["submitPaymentProof"]
        return payload

    async def see(self, order_id: str) -> dict[str, Any] | None:
        """The order by its id, as this person sees it."""
        answer = await self.ask(f"query ($id: ID!) {{ node(id: $id) {{ ...Whole }} }} {ORDER}", {"id": order_id})
        found: dict[str, Any] | None = answer["data"]["node"]
        return found

    async def recorded(self, order_id: str) -> Recorded:
        """What the database holds of the order."""
        return (await recorded(self.database, [order_id]))[order_id]

    async def new_order(self) -> str:
        """The id of a service order of Ada's organization that was just placed."""
        (identity,) = await new_orders(self.database, 1)
        return identity


async def recorded(database: Database, order_ids: list[str]) -> dict[str, Recorded]:
    """What the database holds of each order, each record in the order in which it was written."""
    scope = database.unscoped("tests look behind the gateway")

    async def rows(statement: Select[Any], key: ColumnElement[str]) -> list[tuple[Any, ...]]:
        return await scope.fetch(statement.where(any_of(key, "ids")), lambda *cells: cells, {"ids": order_ids})

    orders = await rows(select(service_orders.c.id, service_orders.c.status), service_orders.c.id)
    found = {identity: Recorded(status, [], [], []) for identity, status in orders}
    moves = select(order_actions.c.order_id, order_actions.c.from_status, order_actions.c.to_status)
    for identity, before, after in await rows(moves.order_by(order_actions.c.position), order_actions.c.order_id):
        found[identity].actions.append((before, after))
    told = select(events.c.subject_id, events.c.data).order_by(events.c.tx, events.c.position)
    for identity, data in await rows(told, events.c.subject_id):
        found[identity].events.append((data["from"], data["to"]))
    noted = select(audit_entries.c.target_id, audit_entries.c.details).where(audit_entries.c.action == "order.moved")
    in_time = noted.order_by(audit_entries.c.at, audit_entries.c.id)
    for identity, data in await rows(in_time, audit_entries.c.target_id):
        found[identity].audits.append((data["from"], data["to"]))
    return found


async def organization_of(database: Database, email: str) -> str:
    """The id of the organization that a person joined first."""
    statement = (
        select(memberships.c.organization_id)
        .join(users, users.c.id == memberships.c.user_id)
        .where(users.c.email_key == email)
        .order_by(memberships.c.joined_at)
        .limit(1)
    )
    scope = database.unscoped("tests look behind the gateway")
    (found,) = await scope.fetch(statement, str)
    return found


async def new_orders(database: Database, count: int, *, email: str = ADA) -> list[str]:
    """Places service orders in a person's organization, as a conversation with a customer would; returns their ids."""
    organization = await organization_of(database, email)
    model = select(service_orders).where(service_orders.c.organization_id == bindparam("of", type_=Id)).limit(1)
    scope = database.unscoped("tests act as the conversations that place orders")
    names = [column.name for column in service_orders.c]
    (row,) = await scope.fetch(model, lambda *cells: dict(zip(names, cells, strict=True)), {"of": organization})
    now = datetime.now(UTC)
    fresh = {**row, "status": "PENDING", "payment_proof_id": None, "placed_at": now, "updated_at": now}
    ids = [new_id("sor") for _ in range(count)]
    async with scope.transaction() as transaction:
        await transaction.insert(service_orders, [{**fresh, "id": identity} for identity in ids])
    return ids


async def add_viewer(database: Database) -> None:
    """Gives Ada's organization a member who may only read: Victor."""
    scope = database.unscoped("tests act as whoever invites people")
    if await scope.fetch(select(users.c.id).where(users.c.email_key == VICTOR), str):
        return
    identity, now = new_id("usr"), datetime.now(UTC)
    person = {
        "id": identity,
        "email": VICTOR,
        "email_key": VICTOR,
        "password_hash": Passwords(memory_kib=64, time_cost=1).hash_now(PASSWORD),
        "skills": [],
        "interests": [],
        "preferences": {},
        "created_at": now,
    }
    place = {"organization_id": await organization_of(database, ADA), "user_id": identity, "role": "VIEWER"}
    async with scope.transaction() as transaction:
        await transaction.connection.execute(insert(users), person)
        await transaction.connection.execute(insert(memberships), {**place, "joined_at": now})


@asynccontextmanager
async def desk_at(gateway: Running) -> AsyncIterator[Desk]:
    """Ada at a desk before this gateway."""
    database = Database(gateway.database_url, pool_size=2)
    try:
        async with http_client() as client:
            yield Desk(gateway, client, database)
    finally:
        await database.close()


async def count_of(database: Database, table: Table, *where: ColumnElement[bool]) -> int:
    """How many rows a table has, of those that are meant."""
    scope = database.unscoped("tests look behind the gateway")
    (count,) = await scope.fetch(select(func.count()).select_from(table).where(*where), int)
    return count
