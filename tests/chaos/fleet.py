"""The gateway as it is run: several workers on one port, which are killed and come again."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.gateway.program import PATIENCE_SECONDS, command, environment
from tests.orders.desk import http_client
from tests.servers.process import free_port

_STARTED = re.compile(r"Started server process \[(\d+)\]")


class Fleet:
    """The workers behind a port, and the one who looks after them."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, count: int, log: Path) -> None:
        self.port = port
        self.kills = 0
        self._process = process
        self._count = count
        self._log = log

    @property
    def said(self) -> str:
        """What they have logged."""
        return self._log.read_text()

    def workers(self) -> list[int]:
        """Those that serve, the oldest first."""
        return [pid for pid in map(int, _STARTED.findall(self.said)) if _alive(pid)]

    async def kill_oldest(self) -> None:
        """Ends a worker in the middle of whatever it does; returns once another has taken its place."""
        oldest = self.workers()[0]
        os.kill(oldest, signal.SIGKILL)
        self.kills += 1
        await self.complete(without=oldest)

    async def complete(self, *, without: int | None = None) -> None:
        """Waits until all of them serve."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := self.workers()) < self._count or without in found:
                assert self._process.poll() is None, self.said
                await asyncio.sleep(0.1)

    async def answers(self) -> None:
        """Waits until requests are answered."""
        async with http_client() as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    response = await client.get(f"http://127.0.0.1:{self.port}/readyz")
                    if response.status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """Has them stop in good order; returns what the program ends with."""
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, PATIENCE_SECONDS)

    def end(self) -> None:
        """Leaves nothing, however it is."""
        for pid in (self._process.pid, *self.workers()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def serving(folder: Path, count: int, settings: Mapping[str, str]) -> AsyncIterator[Fleet]:
    """So many workers that answer; ``folder`` has their keys and what they log."""
    port, log = free_port(), folder / "log"
    with log.open("wb") as words:
        process = subprocess.Popen(  # noqa: ASYNC220 -- it takes no time
            command("serve", "--port", str(port), "--workers", str(count)),
            cwd=folder,
            env=environment({**settings, "DATA_DIR": str(folder)}),
            stdout=words,
            stderr=subprocess.STDOUT,
        )
    fleet = Fleet(process, port, count, log)
    try:
        await fleet.complete()
        await fleet.answers()
        yield fleet
    finally:
        await asyncio.to_thread(fleet.end)
