"""Clients that are gone without a word are noticed, and what was held for them is freed."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.serve import PING_SECONDS, UNACKNOWLEDGED_SECONDS, listeners
from tests.gateway.program import PATIENCE_SECONDS, environment
from tests.gateway.transports.server import until
from tests.serving import Running, running

pytestmark = pytest.mark.anyio

_CLIENT = """
import json, sys
from websockets.sync.client import connect
with connect(sys.argv[1], subprotocols=["graphql-transport-ws"], proxy=None) as line:
    line.send(json.dumps({"type": "connection_init"}))
    query = "subscription { heartbeat(count: 100000, intervalMs: 100) }"
    line.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
    for message in line:
        print(message, flush=True)
"""


@pytest.fixture
def own_file(seeded_sqlite: Path, tmp_path: Path) -> str:
    """A database of the test's own."""
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    return f"sqlite:///{tmp_path / 'demo.db'}"


@pytest.fixture
def attentive(own_file: str, tmp_path: Path) -> Iterator[Running]:
    """A gateway that asks its sockets several times a second whether their clients are there."""
    with running(own_file, tmp_path, ping_seconds=0.5) as gateway:
        yield gateway


async def test_a_client_that_hangs_loses_its_socket(attentive: Running, tmp_path: Path) -> None:
    """It has a connection that its system keeps alive, and answers no ping; before that it lived through several."""
    behind: Gateway = attentive.app.state.gateway
    said = tmp_path / "said"
    with said.open("w") as out:
        command = [sys.executable, "-c", _CLIENT, attentive.socket]
        client = await asyncio.to_thread(subprocess.Popen, command, env=environment({}), stdout=out)
    try:
        await until(lambda: len(said.read_text().splitlines()) > 20)  # two seconds of beats, four pings
        assert behind.endpoint.live == 1
        os.kill(client.pid, signal.SIGSTOP)
        await until(lambda: not behind.endpoint.live and not behind.endpoint._websocket._sockets)
    finally:
        client.kill()
        client.wait()


def test_noticing_takes_no_longer_than_thirty_seconds() -> None:
    """A ping goes out, and its answer is missed; a sign of life goes out, and is not acknowledged."""
    assert PING_SECONDS * 2 <= 30
    assert UNACKNOWLEDGED_SECONDS < 30


def test_connections_inherit_when_they_break() -> None:
    (listener,) = listeners("127.0.0.1", 0, unacknowledged_seconds=1.5)
    with closing(listener):
        listener.listen()
        with socket.create_connection(listener.getsockname()), closing(listener.accept()[0]) as accepted:
            if sys.platform == "linux":  # elsewhere the system's own patience holds
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1_500


def own_network() -> list[str] | None:
    """The command that gives a program a network of its own; ``None`` where nobody lets us have one."""
    for flags in (["--net"], ["--user", "--map-root-user", "--net"]):
        command = ["unshare", *flags]
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return None


def test_a_stream_whose_client_has_lost_its_network_is_freed(own_file: str, tmp_path: Path) -> None:
    """Where no network of our own can be had to be pulled out, what the test before this one says must do."""
    network = own_network()
    if network is None:
        return
    arguments = [sys.executable, "-P", "-m", "tests.processes.vanishing", own_file, str(tmp_path), "1.5"]
    result = subprocess.run(
        [*network, *arguments],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("freed\n", 0), result
