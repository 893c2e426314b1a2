"""The fixtures that hand the servers to tests."""

from collections.abc import Iterator

import pytest

from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.redis import empty, redis_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of the run, for fixtures of any scope: ``with postgres.database(like=template) as url``."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A database that the whole run shares, empty at the start."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def fresh_postgres(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of the Redis of the run, with whatever other tests left in it."""
    with redis_server() as url:
        yield url


@pytest.fixture
def fresh_redis(redis_url: str) -> str:
    """The URL of a Redis without a key."""
    empty(redis_url)
    return redis_url
