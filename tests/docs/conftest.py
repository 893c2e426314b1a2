"""One demo for the pages that ask it, over the demo data that other tests use too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.demo import Demo, checkout, seeded, stopped_afterwards


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory, seeded_sqlite: Path) -> Iterator[Demo]:
    made = checkout(tmp_path_factory.mktemp("docs") / "checkout")
    seeded(made, seeded_sqlite)
    with stopped_afterwards(made):
        started = made.run("./tributary serve --demo")
        assert started.returncode == 0, started.stderr
        yield made
