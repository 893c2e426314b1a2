"""A gateway that is told to stop: clients are sent elsewhere, what has begun is carried through, then it is gone."""

import asyncio
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from datasources.database.engine import Database
from gateway.demo import PASSWORD
from tests.gateway.program import PATIENCE_SECONDS, environment, serving, wait_until_ready
from tests.keys import make_keys
from tests.orders.desk import http_client, new_orders
from tests.servers.process import free_port
from tests.serving import ADA, LOGIN

pytestmark = pytest.mark.anyio

CANCEL = "mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { order { status } } }"
PROTOCOL = Subprotocol("graphql-transport-ws")
FOLLOW = "subscription { orderChanged { cursor } }"


@contextmanager
def unwritable(path: Path) -> Iterator[sqlite3.Connection]:
    """The database while another process writes to it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def half_a_request(port: int) -> Iterator[None]:
    """A client that says what it is going to send, and never does."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        yield


async def sign_in(client: httpx.AsyncClient) -> str:
    variables = {"input": {"email": ADA, "password": PASSWORD}}
    answer = (await client.post("/graphql", json={"query": LOGIN, "variables": variables})).json()
    return f"Bearer {answer['data']['login']['session']['accessToken']}"


@pytest.mark.parametrize("carried_through", [True, False])
async def test_clients_are_sent_elsewhere_what_has_begun_has_a_moment_and_then_it_is_gone(
    seeded_sqlite: Path, tmp_path: Path, *, carried_through: bool
) -> None:
    """In this order: sockets and streams first, while a mutation runs on; neither it nor a client can hold it up."""
    path = tmp_path / "demo.db"
    shutil.copy(seeded_sqlite, path)
    make_keys(tmp_path)
    database = Database(f"sqlite:///{path}", pool_size=1)
    (order,) = await new_orders(database, 1)
    await database.close()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, port, "--quiet", DATABASE_URL=f"sqlite:///{path}", DATA_DIR=".") as process:
        async with http_client() as client:
            client.base_url = httpx.URL(url)
            token = {"authorization": await sign_in(client)}
            body = {"query": FOLLOW}
            with half_a_request(port), unwritable(path) as writing:
                async with (
                    client.stream(
                        "POST", "/graphql", json=body, headers={**token, "accept": "text/event-stream"}
                    ) as stream,
                    connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=[PROTOCOL], proxy=None) as line,
                ):
                    await line.send(json.dumps({"type": "connection_init", "payload": token}))
                    await line.recv()
                    await line.send(json.dumps({"id": "1", "type": "subscribe", "payload": body}))
                    cancel = {"query": CANCEL, "variables": {"input": {"orderId": order}}}
                    mutation = asyncio.create_task(client.post("/graphql", json=cancel, headers=token))
                    while (await client.get("/healthz")).json()["live"] < 2:  # noqa: ASYNC110 -- another process
                        await asyncio.sleep(0.05)

                    process.send_signal(signal.SIGTERM)
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        with pytest.raises(ConnectionClosed) as closed:
                            await line.recv()
                        rest = [text async for text in stream.aiter_lines() if text.startswith(("event", "data"))]
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1001
                    assert rest == []  # no "complete": the client is to come again
                    assert not mutation.done()
                    with pytest.raises(OSError, match=r"."):
                        socket.create_connection(("127.0.0.1", port))
                await asyncio.sleep(1)  # longer than one takes that waits for nobody
                if carried_through:
                    writing.execute("ROLLBACK")
                    answer = (await mutation).json()["data"]["cancelOrder"]
                    assert answer == {"order": {"status": "CANCELLED"}}
                how = await asyncio.to_thread(process.wait, 10)
                assert how == -signal.SIGTERM  # by itself, with all that it had to write down
                if not carried_through:
                    with pytest.raises(httpx.TransportError):
                        await mutation


def test_a_process_that_cannot_end_by_itself_is_ended_and_says_where_it_stood(
    seeded_sqlite: Path, tmp_path: Path
) -> None:
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    make_keys(tmp_path)
    port = free_port()
    settings = {"DATABASE_URL": "sqlite:///demo.db", "DATA_DIR": ".", "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.processes.stuck", "serve", "--quiet"],
        cwd=tmp_path,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}")
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=10)[0]
        finally:
            process.kill()
    assert process.returncode == 1
    assert "in blocks" in said
