"""The desk before the gateway of the module."""

from collections.abc import AsyncIterator

import pytest

from tests.orders.desk import Desk, desk_at
from tests.serving import Running


@pytest.fixture
async def desk(gateway: Running) -> AsyncIterator[Desk]:
    """Ada, an owner, at a desk before the gateway."""
    async with desk_at(gateway) as found:
        yield found
