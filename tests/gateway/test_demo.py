"""The demo: a file of its own, whole or not there, and no other database touched."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway import demo
from gateway.demo import DEMO_LOGINS, NotOurDatabase, prepare
from gateway.platforms import BUILT_IN
from gateway.settings import Settings
from schema.platform import Platform
from tests.gateway.program import PATIENCE_SECONDS, run, serving, start
from tests.servers.process import free_port
from tests.serving import LOGIN

BILLING = [platform for platform in BUILT_IN if platform.key == "billing"]


def settings_in(folder: Path) -> Settings:
    """The settings of a demo whose file is in this folder."""
    return Settings(_env_file=None, demo=True, data_dir=folder, database_url=f"sqlite:///{folder / 'demo.db'}")


async def made(folder: Path, platforms: Sequence[Platform] = BILLING) -> Path:
    """The file of a small demo in this folder."""
    await prepare(settings_in(folder), platforms, lambda _: None, scale=1)
    return folder / "demo.db"


def asked(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a database file answers."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_one_command_and_everybody_who_is_named_can_sign_in(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, port, "--demo") as process:
        for each in DEMO_LOGINS:
            variables = {"input": {"email": each.email, "password": each.password}}
            answer = httpx.post(f"{url}/graphql", json={"query": LOGIN, "variables": variables}, timeout=60).json()
            assert answer["data"]["login"]["userErrors"] == []
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert f"Tributary runs at {url}/graphql" in said
    for each in DEMO_LOGINS:
        assert each.email in said
        assert each.password in said
    kept = sorted(path.name for path in (tmp_path / "var").iterdir() if path.is_file())
    ours = [name for name in kept if not name.endswith(("-wal", "-shm"))]
    assert ours == ["audit-heads.jsonl", "demo.db", "secret-keys", "signing-key.pem"]


@pytest.mark.anyio
async def test_a_file_that_the_demo_made_is_used_again(tmp_path: Path) -> None:
    path = await made(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE organizations SET name = 'Changed by hand'")
    before = path.read_bytes()
    assert await made(tmp_path) == path
    assert path.read_bytes() == before


@pytest.mark.anyio
async def test_a_database_of_somebody_else_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE treasure (gold)")
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match="touches no other database"):
        await made(tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]  # noqa: ASYNC240 -- nothing else runs


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"", b"dear diary, " * 500])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "demo.db"
    path.write_bytes(content)
    with pytest.raises(NotOurDatabase):
        await made(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.anyio
async def test_seeding_that_fails_leaves_no_half_made_file_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(message: str) -> None:
        if "Casa Marea" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await prepare(settings_in(tmp_path), BILLING, stop, scale=1)
    assert not (tmp_path / "demo.db").exists()
    path = await made(tmp_path)
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]
    assert asked(path, "SELECT count(*) FROM organizations") == [(4,)]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, "secret-keys"]  # noqa: ASYNC240 -- nothing else runs


def test_a_demo_that_is_killed_while_it_makes_its_file_starts_again(tmp_path: Path) -> None:
    process = start(tmp_path, "serve", "--demo", "--scale", "5", "--port", str(free_port()))
    making = tmp_path / "var" / "demo.db.making"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (making.exists() and making.stat().st_size > 0):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "var" / "demo.db").exists()
    with serving(tmp_path, free_port(), "--demo", PLATFORMS="billing"):
        pass
    assert asked(tmp_path / "var" / "demo.db", "PRAGMA integrity_check") == [("ok",)]
    assert not making.exists()


def leave_a_log(path: Path) -> None:
    """Makes a database, and a write-ahead log beside it as a process leaves it that is killed."""
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode=WAL');"
        "c.execute('CREATE TABLE old (x)'); c.executemany('INSERT INTO old VALUES (?)', [('y' * 900,)] * 500);"
        "c.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False)


@pytest.mark.anyio
async def test_what_a_deleted_file_left_beside_it_does_not_get_into_the_new_one(tmp_path: Path) -> None:
    """A gateway was killed, and its demo deleted by hand: the write-ahead log stays, and would be played back."""
    path = tmp_path / "demo.db"
    leave_a_log(path)
    assert (tmp_path / "demo.db-wal").stat().st_size > 100_000
    path.unlink()
    await made(tmp_path)
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]
    assert asked(path, "SELECT count(*) FROM sqlite_master WHERE name = 'old'") == [(0,)]
    assert asked(path, "SELECT count(*) FROM organizations") == [(4,)]


def test_the_demo_listens_on_this_machine_only(tmp_path: Path) -> None:
    for address in ("0.0.0.0", "192.0.2.1"):  # noqa: S104 -- it is refused
        refused = run(tmp_path, "serve", "--demo", "--host", address)
        assert refused.returncode == 1
        assert "127.0.0.1 only" in refused.stderr
    other = run(tmp_path, "serve", "--demo", DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/production")
    assert other.returncode == 1
    assert "hunter2" not in other.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_mark_of_the_demo_is_no_mark_of_an_ordinary_database(seeded_sqlite: Path) -> None:
    assert asked(seeded_sqlite, "PRAGMA application_id") != [(demo._MARK,)]
