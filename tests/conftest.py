"""What every test runs under: asyncio alone, no clock in property tests, the guards and the servers."""

import gc
import os
from collections import Counter

import pytest
from hypothesis import settings

pytest_plugins = ["tests.guards", "tests.servers.fixtures", "tests.serving"]

# A slow machine is no failure: no property test is timed.
settings.register_profile("untimed", deadline=None, print_blob=True)
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few tests first: theirs take longest, and at the end no processor is to wait for one of them."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path])


def pytest_collection_finish() -> None:
    """Leaves alone what stays to the end: modules, schemas, thousands of tests. Looking through it took a fifth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, for tests wait for servers, browsers and processes that they started."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked ``anyio`` run on asyncio, as the service does."""
    return "asyncio"
