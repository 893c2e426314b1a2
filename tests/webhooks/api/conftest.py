"""Two companies before a gateway whose webhooks may be sent to this machine."""

from collections.abc import AsyncIterator, Iterator

import pytest

from datasources.database.engine import Database
from tests.organizations.company import Company, found
from tests.serving import Running, running


@pytest.fixture(scope="module")
def gateway(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway over the demo data, one on each database."""
    with running(database_url, tmp_path_factory.mktemp("gateway"), webhook_networks=("127.0.0.0/8",)) as server:
        yield server


@pytest.fixture
async def database(gateway: Running) -> AsyncIterator[Database]:
    """For looking behind the gateway, and for changing what nobody could from before it."""
    opened = Database(gateway.database_url, pool_size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def acme(gateway: Running, database: Database) -> Company:
    """A company without anybody yet."""
    return await found(gateway, database, "Acme")


@pytest.fixture
async def other(gateway: Running, database: Database) -> Company:
    """Another one."""
    return await found(gateway, database, "Other")
