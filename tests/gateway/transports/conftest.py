"""Running endpoints for tests that need no special limits."""

from collections.abc import Iterator

import pytest

from tests.gateway.transports.server import Gateway, gateway


@pytest.fixture(scope="session")
def server() -> Iterator[Gateway]:
    """An endpoint that tests share; each may count on the others leaving nothing open on it."""
    with gateway() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[Gateway]:
    """An endpoint for one test, whose resolvers it can watch, or which it can close."""
    with gateway() as running:
        yield running
