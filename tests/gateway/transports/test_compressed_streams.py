"""Event streams for clients that take gzip: each event is there at once, and much fewer bytes are sent."""

import json
import zlib
from collections.abc import AsyncIterator

import pytest

from tests.gateway.transports.live import live
from tests.gateway.transports.server import http_client, until

pytestmark = pytest.mark.anyio

COUNT = 100
NOTED = "subscription { noted { number cursor text(length: 1000) } }"


def order(number: int) -> str:
    """What an event of an order tells, in JSON, with what differs from one to the next."""
    return json.dumps(
        {
            "from": "PENDING",
            "to": "PAYMENT_SUBMITTED",
            "order": {
                "__typename": "ServiceOrder",
                "id": f"ord_{number * 7_919 + 1_000_003:026}",
                "number": f"SO-{number}",
                "status": "PAYMENT_SUBMITTED",
                "total": {"amount": f"{number % 90 + 10}.00", "currency": "EUR"},
                "placedAt": f"2026-01-{number % 28 + 1:02}T10:{number % 60:02}:00Z",
                "business": {"id": "bus_00000000000000000000000001", "name": "Lighthouse Bakery"},
                "customer": {"id": f"cus_{number % 9:026}", "name": "Marisol Vega", "email": "marisol@example.com"},
            },
        }
    )


class Stream:
    """The frames of a stream, and how many bytes came for them."""

    def __init__(self, chunks: AsyncIterator[bytes], *, compressed: bool) -> None:
        self._chunks = chunks
        self._decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS) if compressed else None
        self._content = b""
        self.bytes = 0

    async def next(self) -> str:
        """The next frame that is no heartbeat, from what has come and not a byte more."""
        while True:
            while b"\n\n" not in self._content:
                chunk = await anext(self._chunks)
                self.bytes += len(chunk)
                self._content += chunk if self._decompressor is None else self._decompressor.decompress(chunk)
            frame, _, self._content = self._content.partition(b"\n\n")
            if not frame.startswith(b":"):
                return frame.decode()


async def bytes_of_many(accept_encoding: str | None, *, compressed: bool) -> int:
    """How many bytes a hundred events take, one after the other."""
    with live() as server:
        headers = {"authorization": "Bearer ada", "accept": "text/event-stream"}
        async with http_client() as client:
            request = client.build_request("POST", server.url, json={"query": NOTED}, headers=headers)
            del request.headers["accept-encoding"]
            if accept_encoding is not None:
                request.headers["accept-encoding"] = accept_encoding
            response = await client.send(request, stream=True)
            assert response.headers.get("content-encoding") == ("gzip" if compressed else None)
            assert response.headers["vary"] == "accept-encoding"
            stream = Stream(response.aiter_raw(), compressed=compressed)
            await until(lambda: server.endpoint.live == 1)
            for number in range(COUNT):
                await server.note(order(number))
                frame = await stream.next()
                assert json.loads(frame.partition("data: ")[2])["data"]["noted"]["text"] == order(number)
            await response.aclose()
        return stream.bytes


async def test_events_are_compressed_and_come_at_once_for_who_asks_for_gzip() -> None:
    plain = await bytes_of_many(None, compressed=False)
    small = await bytes_of_many("br;q=1.0, gzip;q=0.8", compressed=True)
    assert small * 4 < plain
    for unwilling in ("br", "gzip;q=0", "identity"):
        assert await bytes_of_many(unwilling, compressed=False) == plain


async def test_an_error_and_the_end_of_a_compressed_stream_are_whole() -> None:
    with live() as server:
        async with server.events(NOTED, authorization="Bearer ada", accept_encoding="gzip") as stream:
            assert stream.response.headers["content-encoding"] == "gzip"
            await until(lambda: server.endpoint.live == 1)
            await server.on_loop(server.doorman.end("ada"))
            refusal, last = await stream.rest()
            assert "UNAUTHENTICATED" in refusal
            assert last == "event: complete\ndata:"
