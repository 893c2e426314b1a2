"""The database behind the gateway of the module."""

from collections.abc import AsyncIterator

import pytest

from datasources.database.engine import Database
from tests.serving import Running


@pytest.fixture
async def database(gateway: Running) -> AsyncIterator[Database]:
    """For looking behind the gateway, and for changing what nobody could from before it."""
    found = Database(gateway.database_url, pool_size=2)
    yield found
    await found.close()
