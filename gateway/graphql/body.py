"""Reading a request's body within a size and a time."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NoReturn

from starlette.types import Receive

from gateway.graphql.masking import RequestError


class ClientGone(Exception):
    """The connection is closed; there is nobody to answer."""


class Body:
    """The body of one request, of at most ``max_bytes`` that arrive within ``seconds``."""

    def __init__(self, receive: Receive, headers: dict[str, str], *, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._declared = headers.get("content-length", "")
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def read(self) -> bytes:
        """The whole body; raises RequestError (408, 413) and ClientGone."""
        chunks = [chunk async for chunk in self.chunks()]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; raises RequestError (408, 413) and ClientGone."""
        if self._declared.isdecimal() and int(self._declared[:20]) > self._max_bytes:
            self._refuse()
        deadline = asyncio.get_running_loop().time() + self._seconds
        size = 0
        more = True
        while more:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
            except TimeoutError:
                raise RequestError.of("The body took too long to arrive.", status=408) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._max_bytes:
                self._refuse()
            more = message.get("more_body", False)
            yield chunk

    def _refuse(self) -> NoReturn:
        raise RequestError.of(f"The body is larger than {self._max_bytes} bytes.", status=413)
