"""The desk at which orders move, and the transports over which that is told."""

from collections.abc import AsyncIterator

import pytest

from tests.orders.desk import Desk, desk_at
from tests.serving import Running
from tests.subscriptions.streams import TRANSPORTS, Subscribe


@pytest.fixture
async def desk(gateway: Running) -> AsyncIterator[Desk]:
    """Ada, an owner, at a desk before the gateway."""
    async with desk_at(gateway) as found:
        yield found


@pytest.fixture(params=sorted(TRANSPORTS))
def subscribe(request: pytest.FixtureRequest) -> Subscribe:
    """Opens a subscription: once over a WebSocket, once over server-sent events."""
    return TRANSPORTS[request.param]
