"""The servers are real, apart for each test, and gone with the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as NotConnectedError

from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.process import ServerNotStartedError, running, scratch_folder
from tests.servers.redis import redis_server

pytestmark = pytest.mark.anyio

CHECKOUT = Path(__file__).parents[2]


async def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_postgres_is_utf8_with_the_c_locale_and_knows_trigrams(fresh_postgres: str) -> None:
    await rows(fresh_postgres, "CREATE EXTENSION pg_trgm")
    assert await rows(
        fresh_postgres,
        "SELECT pg_encoding_to_char(encoding), datcollate, similarity('hello', 'hello')::int "
        "FROM pg_database WHERE datname = current_database()",
    ) == [("UTF8", "C", 1)]


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_gets_an_empty_database(fresh_postgres: str, turn: int) -> None:
    await rows(fresh_postgres, "CREATE TABLE mine (id int)")
    assert await rows(fresh_postgres, "SELECT * FROM mine") == []


async def test_a_template_is_filled_once_and_copied_with_its_rows(postgres: PostgresServer) -> None:
    filled: list[str] = []
    with postgres.database() as prepared:
        await rows(prepared, "CREATE TABLE prices AS SELECT 42 AS cents")
        for _ in range(2):
            postgres.template("empty, from this test", filled.append)
        with postgres.database(like=prepared) as first, postgres.database(like=prepared) as second:
            await rows(first, "DELETE FROM prices")
            assert await rows(second, "SELECT cents FROM prices") == [(42,)]
    assert len(filled) == 1


async def test_a_database_goes_although_a_connection_was_left_open(postgres: PostgresServer) -> None:
    with postgres.database() as url:
        connection = await asyncpg.connect(url)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetch("SELECT 1")
    connection.terminate()


async def test_the_shared_database_takes_connections(postgres_url: str) -> None:
    assert await rows(postgres_url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_gets_an_empty_redis(fresh_redis: str, turn: int) -> None:
    async with AsyncRedis.from_url(fresh_redis) as client:
        assert await client.dbsize() == 0
        await client.set("mine", turn)
        assert await client.get("mine") == str(turn).encode()


def test_servers_named_by_variables_are_used(
    postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIBUTARY_TEST_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("TRIBUTARY_TEST_REDIS_URL", redis_url)
    with postgres_server() as server, server.database() as url:
        assert url.rpartition("/")[0] == postgres_url.rpartition("/")[0]
    with redis_server() as same:
        assert same == redis_url


def test_where_redis_is_missing_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIBUTARY_TEST_REDIS_URL", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerNotStartedError, match="apt-get install redis-server"), redis_server():
        pass


def test_a_server_that_ends_at_once_is_reported_with_its_log() -> None:
    with scratch_folder() as folder:
        broken = running(["/bin/sh", "-c", "echo no room; exit 3"], folder, answers=lambda: False)
        with pytest.raises(ServerNotStartedError, match="no room"), broken:
            pass


def test_a_server_goes_when_the_run_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIBUTARY_TEST_REDIS_URL", raising=False)
    program = (
        "import time; from tests.servers.redis import redis_server\n"
        "with redis_server() as url: print(url, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert len(list(tmp_path.iterdir())) == 1
        os.killpg(run.pid, signal.SIGKILL)
        run.stdout.read()  # the keeper has inherited it: this ends when the keeper has done its work
    assert list(tmp_path.iterdir()) == []
    with Redis.from_url(url) as client, pytest.raises(NotConnectedError):
        client.ping()
