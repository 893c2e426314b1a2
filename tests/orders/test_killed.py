"""A gateway is killed in the middle of its work: every move happened whole or not at all, and none is told twice."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import select
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from datasources.database.engine import Database
from datasources.database.events import all_events_after, head
from datasources.database.tables.gateway import events
from datasources.keyring import Keyring
from gateway.demo import PASSWORD
from subscriptions.cursors import Cursors
from tests.gateway.program import PATIENCE_SECONDS, command, environment
from tests.keys import make_keys
from tests.orders.desk import http_client, new_orders, organization_of, recorded
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port
from tests.serving import ADA, LOGIN, fill

pytestmark = pytest.mark.anyio

ORDERS, CLIENTS, KILLS = 1_000, 16, 3
CANCEL = """mutation ($input: CancelOrderInput!) {
  cancelOrder(input: $input) { order { status } userErrors { code } }
}"""
FOLLOW = "subscription ($after: String) { orderChanged(after: $after) { cursor order { id } to } }"


@pytest.fixture(params=["sqlite", "postgresql"])
def own_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the demo data for a gateway in a process of its own."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("seeded_sqlite"), tmp_path / "demo.db")
        yield f"sqlite:///{tmp_path / 'demo.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("demo", fill)) as url:
            yield url


class Told(NamedTuple):
    """An event as a client saw it."""

    cursor: str
    order_id: str
    to: str


class Gateway:
    """A gateway in a process of its own, which can be killed and started again in the same place."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._port = free_port()
        self._settings = {"DATABASE_URL": database_url, "PORT": str(self._port), "DATA_DIR": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._up = asyncio.Event()
        self.url = f"http://127.0.0.1:{self._port}/graphql"
        make_keys(folder)

    async def start(self) -> None:
        """Starts it and waits until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                command("serve", "--quiet"),
                cwd=self._folder,
                env=environment(self._settings),
                stdout=log,
                stderr=log,
            )
        async with http_client() as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(self.url.replace("graphql", "readyz"))).status_code == httpx.codes.OK:
                        break
                await asyncio.sleep(0.05)
        self._up.set()

    async def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self._up.clear()
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def up(self) -> None:
        """Waits until it answers."""
        await self._up.wait()

    async def token(self) -> str:
        """A token of Ada's, which holds in every start, for the key stays."""
        variables = {"input": {"email": ADA, "password": PASSWORD}}
        async with http_client() as client:
            answer = (await client.post(self.url, json={"query": LOGIN, "variables": variables})).json()
        return f"Bearer {answer['data']['login']['session']['accessToken']}"


async def cancel_all(gateway: Gateway, token: str, orders: list[str], answered: set[str]) -> None:
    """Calls off one order after the other, each again until an answer comes; notes those that were answered."""
    async with http_client() as client:
        for order_id in orders:
            while order_id not in answered:
                await gateway.up()
                body = {"query": CANCEL, "variables": {"input": {"orderId": order_id}}}
                try:
                    response = await client.post(gateway.url, json=body, headers={"authorization": token})
                except httpx.TransportError:
                    await asyncio.sleep(0.01)
                    continue
                payload = response.json()["data"]["cancelOrder"]
                # refused the second time, when the first was carried through and its answer lost
                assert payload["order"]["status"] == "CANCELLED", payload
                answered.add(order_id)


@asynccontextmanager
async def following(gateway: Gateway, token: str, start: str, seen: list[Told]) -> AsyncIterator[None]:
    """Follows the moves of orders during the block, resuming after the last that was seen whenever the line breaks."""

    async def follow() -> None:
        while True:
            await gateway.up()
            with contextlib.suppress(OSError, WebSocketException):
                async with connect(
                    gateway.url.replace("http", "ws", 1),
                    subprotocols=[Subprotocol("graphql-transport-ws")],
                    proxy=None,
                ) as socket:
                    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
                    await socket.recv()
                    after = seen[-1].cursor if seen else start
                    payload = {"query": FOLLOW, "variables": {"after": after}}
                    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    async for message in socket:
                        answer = json.loads(message)
                        assert answer["type"] == "next", answer
                        event = answer["payload"]["data"]["orderChanged"]
                        seen.append(Told(event["cursor"], event["order"]["id"], event["to"]))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_killed_in_the_middle_nothing_is_half_done_and_no_event_is_lost_or_told_twice(
    own_database: str, tmp_path: Path
) -> None:
    draw = Random(int.from_bytes(os.urandom(4), "big"))  # noqa: S311 -- where to strike
    database = Database(own_database, pool_size=2)
    orders = await new_orders(database, ORDERS)
    start, organization = await head(database), await organization_of(database, ADA)
    cursors = Cursors(Keyring.at(make_keys(tmp_path).with_name("secret-keys"), create=False).derived("event cursors"))
    gateway = Gateway(tmp_path, own_database)
    await gateway.start()
    token = await gateway.token()
    answered: set[str] = set()
    seen: list[Told] = []
    kill_at = sorted(draw.randrange(50, ORDERS - 50) for _ in range(KILLS))
    async with following(gateway, token, cursors.encode(organization, start), seen):
        clients = [
            asyncio.create_task(cancel_all(gateway, token, orders[number::CLIENTS], answered))
            for number in range(CLIENTS)
        ]
        for count in kill_at:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(answered) < count:  # noqa: ASYNC110 -- whichever client it is
                    await asyncio.sleep(0.001)
            await gateway.kill()
            # what it left, before anything mends it: each order moved whole or not at all
            for order_id, found in (await recorded(database, orders)).items():
                assert found.agrees(), (order_id, found)
                assert order_id not in answered or found.status == "CANCELLED"
            await gateway.start()
        await asyncio.gather(*clients)
        everything = await all_events_after(database, start, ORDERS * 2)
        moves = [event for event in everything if event.type == "OrderChanged"]
        log = [(cursors.encode(organization, event.place), event.subject_id) for event in moves]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(seen) < len(log):  # noqa: ASYNC110 -- the follower tells nobody
                await asyncio.sleep(0.01)
    await gateway.kill()
    assert [(event.cursor, event.order_id) for event in seen] == log
    assert sorted(event.order_id for event in seen) == sorted(orders)
    assert {event.to for event in seen} == {"CANCELLED"}
    for found in (await recorded(database, orders)).values():
        assert found.actions == found.events == found.audits == [("PENDING", "CANCELLED")]
    assert "Traceback" not in (tmp_path / "log").read_text()
    total = await database.unscoped("tests look").fetch(select(events.c.id), str)
    assert len(total) == len(set(total))
    await database.close()
