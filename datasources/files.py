"""Files that people send, kept in a folder under the hash of their content."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple


class FileTooLarge(Exception):
    """The file has more bytes than allowed."""


class StoredFile(NamedTuple):
    """What is known of a stored file; ``head`` is how it begins, for telling what it is."""

    sha256: str
    size: int
    head: bytes


HEAD_BYTES = 512


class FileStore:
    """A folder of files named by the SHA-256 of their content.

    A file is written beside and moved into place when it is whole and on the disk, so that a crash leaves either all of
    it or nothing under its name; the same content sent twice is kept once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredFile:
        """Stores what ``chunks`` yields; raises ``FileTooLarge`` and keeps nothing beyond ``max_bytes``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        digest, size, head = hashlib.sha256(), 0, b""
        descriptor, staged = tempfile.mkstemp(dir=self._folder, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise FileTooLarge
                    digest.update(chunk)
                    head = (head + chunk)[:HEAD_BYTES] if len(head) < HEAD_BYTES else head
                    await asyncio.to_thread(file.write, chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            target = self.path(digest.hexdigest())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise
        return StoredFile(digest.hexdigest(), size, head)

    def path(self, sha256: str) -> Path:
        """Where the content with this hash is."""
        return self._folder / sha256[:2] / sha256
