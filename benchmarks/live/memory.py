"""What a subscriber that waits for events costs in memory."""

import asyncio
from collections.abc import Mapping
from typing import Any

from benchmarks.live.audience import Audience
from benchmarks.load import post, send
from benchmarks.servers import Server

_FIRST = 50
"""Sockets that come and go before anything is measured: what a server sets up once is not the sockets'."""
_SETTLE_SECONDS = 1.0


async def bytes_per_socket(server: Server, sockets: int, query: str, token: str, event: Mapping[str, Any]) -> float:
    """How much a server grows by each socket that is connected, initialised and subscribed, and has had an event.

    Raises what ``Audience.gather`` raises.
    """
    with Audience(server.port, query, token) as some:
        await some.gather(min(_FIRST, sockets), event)
    before = await _settled(server)
    with Audience(server.port, query, token) as audience:
        await audience.gather(sockets, event)
        return (await _settled(server) - before) / sockets


async def _settled(server: Server) -> int:
    await asyncio.sleep(_SETTLE_SECONDS)
    await send(server.port, [post("/settle", {})], 1)
    return server.resident_bytes()
