"""Files that people send, kept in a folder under the hash of their content."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, NamedTuple


class FileTooLarge(Exception):
    """The file has more bytes than allowed."""


class FileRefused(Exception):
    """The file is of no kind that is kept."""


class StoredFile(NamedTuple):
    """What is known of a stored file."""

    sha256: str
    size: int
    content_type: str


HEAD_BYTES = 512


async def _bounded(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    left = max_bytes
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise FileTooLarge
        yield chunk


def _accepted(content_type: str | None) -> str:
    if content_type is None:
        raise FileRefused
    return content_type


class FileStore:
    """A folder of files named by the SHA-256 of their content.

    A file is written beside and moved into place when it is whole and on the disk, so that a crash leaves either all of
    it or nothing under its name; the same content sent twice is kept once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(
        self, chunks: AsyncIterator[bytes], *, max_bytes: int, content_type_of: Callable[[bytes], str | None]
    ) -> StoredFile:
        """Stores what ``chunks`` yields.

        ``content_type_of`` says what it is by how it begins, its first 512 bytes. Raises ``FileRefused`` when that is
        ``None``, and ``FileTooLarge`` beyond ``max_bytes``; nothing is kept of such a file.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        digest, size, head = hashlib.sha256(), 0, b""
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".incoming-", delete=False) as file:
            try:
                async for chunk in _bounded(chunks, max_bytes):
                    size += len(chunk)
                    digest.update(chunk)
                    head = (head + chunk)[:HEAD_BYTES]
                    await asyncio.to_thread(file.write, chunk)
                content_type = _accepted(content_type_of(head))
                await asyncio.to_thread(self._settle, file, digest.hexdigest())
            except BaseException:
                Path(file.name).unlink()  # noqa: ASYNC240 -- as quick as the call that opened it
                raise
        return StoredFile(digest.hexdigest(), size, content_type)

    def _settle(self, file: IO[bytes], sha256: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(file.name).replace(target)

    def path(self, sha256: str) -> Path:
        """Where the content with this hash is."""
        return self._folder / sha256[:2] / sha256
