"""What came of events is remembered for those who come back, but never more than the process can bear."""

from collections.abc import Callable

import pytest

from datasources.database.events import BEGINNING
from gateway.graphql import shared_execution
from tests.subscriptions.test_hand_out_races import (
    ORGANIZATIONS,
    PERSONS,
    SUBJECTS,
    Client,
    Selection,
    World,
    _nothing_left,
    _settled,
    world_of,
)

pytestmark = pytest.mark.anyio
__all__ = ["world_of"]

BOUND, ONE = 20_000, 1_100


async def test_all_subscriptions_together_have_a_bound(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many somebody opens, each with a selection of its own."""
    monkeypatch.setattr(shared_execution, "_REMEMBERED_BYTES_OF_ALL", BOUND)
    world = world_of(0)
    wanted = [Selection(ORGANIZATIONS[0], each, personal) for each in (None, *SUBJECTS) for personal in (True, False)]
    clients = [Client(world, each, PERSONS[0], slow=False) for each in wanted]
    for client in clients:
        client.begin(BEGINNING)
    for _ in range(100):
        world.happen(1)
        await _settled(world, clients)
    assert BOUND // 2 < world.fanout.remembered.bytes <= BOUND + ONE * len(clients)
    for client in clients:
        client.stop()
    await _nothing_left(world)
