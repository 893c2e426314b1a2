"""Ten thousand clients come and go in every way there is, and the gateway is as it was before."""

import asyncio
import gc
import os
import shutil
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from datasources.database.engine import Database
from datasources.database.events import BEGINNING, all_events_after
from gateway.app import Gateway
from tests.orders.desk import organization_of
from tests.serving import GRACE, Running, running
from tests.subscriptions.streams import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

CLIENTS, AT_ONCE, READERS, MISSED = 10_000, 50, 10, 8
QUERY = "subscription ($after: String) { orderChanged(after: $after) { cursor } }"
_TEXT = 0x81


@pytest.fixture(scope="module")
def gateway(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway on SQLite: where clients leave something behind, it is not in the database."""
    folder = tmp_path_factory.mktemp("leaks")
    shutil.copy(seeded_sqlite, folder / "demo.db")
    with running(f"sqlite:///{folder / 'demo.db'}", folder) as server:
        yield server


class Visit:
    """One client, down to its bytes: what libraries do would cost more than the gateway does."""

    def __init__(self, gateway: Running, token: str, beginning: str) -> None:
        self._port = int(gateway.url.rpartition(":")[2])
        self._token = token
        self._beginning = beginning

    async def run(self, number: int) -> None:
        """Comes, does one thing of many, and goes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await (self._socket, self._stream)[number % 5 == 4](reader, writer, number // 5 % 5)
        finally:
            writer.transport.abort()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int) -> None:
        after = f"&variables={quote(orjson.dumps({'after': self._beginning}).decode())}" if way % 2 else ""
        writer.write(
            f"GET /graphql?query={quote(QUERY)}{after} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n"
            f"authorization: Bearer {self._token}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        if way > 2:
            await reader.read(100)

    async def _socket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int) -> None:
        writer.write(
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: %b\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n" % b64encode(os.urandom(16))
        )
        await reader.readuntil(b"\r\n\r\n")
        if way == 0:
            return  # without a word
        writer.write(_frame({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}}))
        if way == 1:
            return  # before it is let in
        await reader.readexactly(2 + len('{"type":"connection_ack"}'))
        after = {"after": self._beginning} if way == 2 else {}  # 2: in the middle of what it missed
        writer.write(_frame({"id": "1", "type": "subscribe", "payload": {"query": QUERY, "variables": after}}))
        if way == 4:
            writer.write(_frame({"id": "1", "type": "complete"}))
            writer.write(_frame({"type": "ping"}))
            await reader.readexactly(2 + len('{"type":"pong"}'))
        elif way == 2:
            await reader.readexactly(100)


def _frame(message: dict[str, Any]) -> bytes:
    content = orjson.dumps(message)
    length = len(content)
    head = bytes((_TEXT, 0x80 | length)) if length < 126 else bytes((_TEXT, 0xFE)) + length.to_bytes(2)
    return head + bytes(4) + content


class Traces:
    """What is there because of clients, seen from within the gateway's own loop."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway = gateway
        self._loop = loop

    async def now(self) -> dict[str, int]:
        """How many there are of everything."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._count(), self._loop))

    async def _count(self) -> dict[str, int]:
        gateway, engine = self._gateway, self._gateway.endpoint.engine
        return {
            "tasks": len(asyncio.all_tasks()),
            "live": engine.live,
            "groups": len(engine.fanout.groups),
            "listeners": gateway.services.events.listeners,
            "watchers": sum(len(each) for each in gateway.access.rights._watchers.values()),
            "sockets": len(gateway.endpoint._websocket._sockets),
            "streams": len(gateway.endpoint._http._streams),
            "threads": threading.active_count(),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 -- it is no folder to wait for
        }

    async def objects(self) -> int:
        """How many objects there are that the collector knows of."""
        gc.collect()
        return len(gc.get_objects())


async def test_ten_thousand_clients_leave_nothing_behind(gateway: Running) -> None:
    behind: Gateway = gateway.app.state.gateway
    visit = Visit(gateway, gateway.token(GRACE), await _a_while_ago(gateway))
    task = behind.services.events._task
    assert task is not None
    traces = Traces(behind, task.get_loop())

    async def visits(numbers: range) -> None:
        for number in numbers:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await visit.run(number)

    async def all_of(count: int) -> None:
        await asyncio.gather(*(visits(range(first, count, AT_ONCE)) for first in range(AT_ONCE)))

    async def settled(before: dict[str, int]) -> dict[str, int]:
        more: dict[str, tuple[int, int]] = {}
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            now = await traces.now()
            more = {name: (before[name], found) for name, found in now.items() if found > before[name]}
            if not more:
                return now
            await asyncio.sleep(0.05)
        raise AssertionError(more)

    await all_of(AT_ONCE * 5)  # caches fill, threads start
    first = await traces.now()
    # Readers of the database start one by one, each with its connection and the two files of that.
    readers = {"threads": first["threads"] + READERS, "files": first["files"] + 2 * READERS}
    nothing = dict.fromkeys(("live", "groups", "sockets", "streams", "watchers"), 0)
    before = {**await settled({**first, **readers, **nothing}), **readers}
    known = await traces.objects()
    await all_of(CLIENTS)
    await settled(before)
    assert await traces.objects() < known + CLIENTS / 2


async def _a_while_ago(gateway: Running) -> str:
    """A cursor of Grace's, after which she has missed some events."""
    database = Database(gateway.database_url, pool_size=1)
    try:
        organization = await organization_of(database, GRACE)
        log = [each for each in await all_events_after(database, BEGINNING, 100_000) if each.type == "OrderChanged"]
    finally:
        await database.close()
    hers = [each.place for each in log if each.organization_id == organization]
    return str(gateway.app.state.gateway.services.events.cursors.encode(organization, hers[-MISSED]))
