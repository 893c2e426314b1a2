"""What every test runs under: asyncio alone, no clock in property tests, the guards and the servers."""

import pytest
from hypothesis import settings

pytest_plugins = ["tests.guards", "tests.servers.fixtures", "tests.serving"]

# A slow machine is no failure: no property test is timed.
settings.register_profile("untimed", deadline=None, print_blob=True)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked ``anyio`` run on asyncio, as the service does."""
    return "asyncio"
