"""A door for tests of what no database changes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Running, running

OTHER_SITE, LISTED_SITE = "https://evil.example.com", "https://app.example.com"
EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"


@pytest.fixture(scope="session")
def door(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway on SQLite that lets the pages of one other site and of one browser extension in."""
    folder = tmp_path_factory.mktemp("door")
    shutil.copy(seeded_sqlite, folder / "demo.db")
    with running(f"sqlite:///{folder / 'demo.db'}", folder, allowed_origins=f"{LISTED_SITE},{EXTENSION}") as server:
        yield server
