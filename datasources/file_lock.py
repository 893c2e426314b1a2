"""One process at a time, on one machine: a lock that ends with the process that holds it, however that ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InUse(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of this file, which is made where there is none; raises ``InUse``.

    Only POSIX has such locks (flock); elsewhere nothing is held.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 -- there is none on Windows

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse from None
        yield
    finally:
        os.close(descriptor)
