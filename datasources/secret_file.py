"""Writing a file of secrets: whole or not at all, and for its owner only."""

import os
import tempfile
from pathlib import Path


def write_secret_file(path: Path, text: str, *, replace: bool) -> None:
    """Writes ``text`` (ASCII) to the disk; without ``replace`` a file that is there stays, also one made just now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # for its owner only
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            staged.replace(path)
        else:
            try:
                os.link(staged, path)
            except FileExistsError:
                return
    finally:
        staged.unlink(missing_ok=True)
