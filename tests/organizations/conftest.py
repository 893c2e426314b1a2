"""Two companies that know nothing of each other, before the gateway of the module."""

from collections.abc import AsyncIterator

import pytest

from datasources.database.engine import Database
from tests.organizations.company import Company, found
from tests.serving import Running


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
