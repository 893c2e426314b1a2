"""Reading a request's body within a size and a time."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NoReturn

from starlette.types import Message, Receive

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
        self._size = 0

    async def read(self) -> bytes:
        """The whole body; raises RequestError (408, 413) and ClientGone."""
        self._check_declared_size()
        chunks: list[bytes] = []
        more = True
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await self._receive()
                    chunks.append(self._chunk(message))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _too_slow() from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; raises RequestError (408, 413) and ClientGone."""
        self._check_declared_size()
        deadline = asyncio.get_running_loop().time() + self._seconds
        more = True
        while more:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
            except TimeoutError:
                raise _too_slow() from None
            more = message.get("more_body", False)
            yield self._chunk(message)

    def _check_declared_size(self) -> None:
        if self._declared.isdecimal() and int(self._declared[:20]) > self._max_bytes:
            self._refuse_size()

    def _chunk(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._max_bytes:
            self._refuse_size()
        return chunk

    def _refuse_size(self) -> NoReturn:
        raise RequestError.of(f"The body is larger than {self._max_bytes} bytes.", status=413)


def _too_slow() -> RequestError:
    return RequestError.of("The body took too long to arrive.", status=408)
