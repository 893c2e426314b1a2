"""The command line, each command as a person runs it: what it says, what it leaves, and how it ends."""

import asyncio
import json
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.demo import PASSWORD
from tests.gateway.program import PATIENCE_SECONDS, ROOT, environment, run, serving, start
from tests.servers.process import free_port
from tests.serving import LOGIN

SECRET = "hunter2"


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Asserts that a command failed with a line of its own, and without a traceback or a secret."""
    assert result.returncode == 1, result
    assert result.stderr.startswith("tributary: ")
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr + result.stdout
    for word in words:
        assert word in result.stderr


def test_from_an_empty_folder_to_a_gateway_and_back(tmp_path: Path) -> None:
    """What the guide says: a key, the tables, made-up data, a gateway; and away with it all."""
    refused(run(tmp_path, "serve"), "there is no signing key at var/signing-key.pem", "tributary key create-signing")

    made = run(tmp_path, "key", "create-signing")
    assert (made.returncode, made.stderr) == (0, "")
    key = tmp_path / "var" / "signing-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    refused(run(tmp_path, "key", "create-signing"), "already; it stays")
    assert key.read_bytes() == before
    refused(run(tmp_path, "serve"), "there are no secret keys at var/secret-keys", "tributary secrets create")
    assert run(tmp_path, "secrets", "create").returncode == 0
    assert stat.S_IMODE((tmp_path / "var" / "secret-keys").stat().st_mode) == 0o600

    for arguments in (("serve",), ("db", "seed")):
        refused(run(tmp_path, *arguments), "the database lacks 7 migrations", "tributary db migrate")
    assert run(tmp_path, "db", "migrate").stdout == "7 migrations applied.\n"
    seeded = run(tmp_path, "db", "seed", "--scale", "1", "--password", "a pass phrase", PLATFORMS="billing")
    assert seeded.returncode == 0, seeded
    assert "a pass phrase" not in seeded.stdout + seeded.stderr
    refused(run(tmp_path, "db", "seed"), "already has 4 organizations")

    port = free_port()
    with serving(tmp_path, port, "--quiet", PLATFORMS="billing"):
        variables = {"input": {"email": "ada@example.com", "password": "a pass phrase"}}
        url = f"http://127.0.0.1:{port}"
        answer = httpx.post(f"{url}/graphql", json={"query": LOGIN, "variables": variables}, timeout=60).json()
        assert answer["data"]["login"]["userErrors"] == []
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok", "live": 0}

    assert run(tmp_path, "db", "migrate").stdout == "The database is up to date.\n"
    refused(run(tmp_path, "db", "reset"), "Say --yes")
    assert run(tmp_path, "db", "reset", "--yes").returncode == 0
    assert run(tmp_path, "db", "migrate").stdout == "7 migrations applied.\n"


def test_the_schema_is_printed_as_it_is_committed(tmp_path: Path) -> None:
    committed = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    printed = run(tmp_path, "schema", "print")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.rstrip() == committed.rstrip()
    checked = run(tmp_path, "schema", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    part = run(tmp_path, "schema", "print", PLATFORMS="billing")
    assert "type CreditPurchase " in part.stdout
    assert "type ServiceOrder " not in part.stdout


def test_mistakes_in_the_settings_end_a_command_with_all_of_them(tmp_path: Path) -> None:
    wrong = run(tmp_path, "serve", PORT=SECRET, DATABASE_URL=f"mysql://u:{SECRET}@h/n", PAGE_LIMIT="0")
    refused(wrong, "PORT: ", "DATABASE_URL: ", "PAGE_LIMIT: ")
    refused(run(tmp_path, "serve", PLATFORMS="nothing-of-the-kind", DEMO="1"), "nothing-of-the-kind")
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL=postgresql://u:{SECRET}@127.0.0.1:1/n\n")
    refused(run(tmp_path, "db", "migrate"), "the database at DATABASE_URL cannot be used")


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    refused(run(tmp_path, "db", "migrate", DATABASE_URL="sqlite:///notes.txt"), "cannot be used")
    assert (tmp_path / "notes.txt").read_text() == "not a database, " * 100


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["db"], ["serve", "--scale", "0"], ["serve", "--scale", "101"], ["serve", "--port", "x"]]
)
def test_wrong_usage_is_told_with_the_right_one(tmp_path: Path, arguments: list[str]) -> None:
    result = run(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: tributary")
    assert list(tmp_path.iterdir()) == []


def test_the_script_works_from_any_folder_and_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "on the path"
    link.symlink_to(ROOT / "tributary")
    asked = subprocess.run(
        [link, "--help"], cwd=tmp_path, env=environment({}), capture_output=True, text=True, check=True
    )
    assert asked.stdout.startswith("usage: tributary")


@pytest.mark.anyio
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_is_told_to_stop_sends_its_clients_elsewhere(
    tmp_path: Path, seeded_sqlite: Path, how: signal.Signals
) -> None:
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    run(tmp_path, "key", "create-signing")
    run(tmp_path, "secrets", "create")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, port, DATABASE_URL="sqlite:///demo.db") as process:
        variables = {"input": {"email": "ada@example.com", "password": PASSWORD}}
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            login = await client.post(f"{url}/graphql", json={"query": LOGIN, "variables": variables})
            token = f"Bearer {login.json()['data']['login']['session']['accessToken']}"
            headers = {"authorization": token, "accept": "text/event-stream"}
            body = {"query": "subscription { orderChanged { cursor } }"}
            async with (
                client.stream("POST", f"{url}/graphql", json=body, headers=headers) as stream,
                connect(
                    f"ws://127.0.0.1:{port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
                ) as socket,
            ):
                await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
                await socket.recv()
                await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": body}))
                while (await client.get(f"{url}/healthz")).json()["live"] < 2:  # noqa: ASYNC110 -- another process
                    await asyncio.sleep(0.01)
                process.send_signal(how)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    with pytest.raises(ConnectionClosed) as closed:
                        await socket.recv()
                    rest = [line async for line in stream.aiter_lines() if line.startswith(("event", "data"))]
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "Server is shutting down")
                assert rest == []  # no "complete": the client is to come again
        # well within the ten seconds after which a deployment loses patience
        assert await asyncio.to_thread(process.wait, 8) in (0, -how)
        assert "Traceback" not in await asyncio.to_thread(lambda: process.communicate()[0])


def test_a_port_that_is_taken_is_told(tmp_path: Path, seeded_sqlite: Path) -> None:
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    run(tmp_path, "key", "create-signing")
    run(tmp_path, "secrets", "create")
    port = free_port()
    with serving(tmp_path, port, DATABASE_URL="sqlite:///demo.db"):
        second = start(tmp_path, "serve", "--port", str(port), DATABASE_URL="sqlite:///demo.db")
        said = second.communicate(timeout=PATIENCE_SECONDS)[0]
        assert second.returncode != 0
        assert "address already in use" in said
        assert "Traceback" not in said
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
