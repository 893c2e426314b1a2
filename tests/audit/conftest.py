"""A trail of each test's own, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.audit.trail import Trail, trail_at


@pytest.fixture
async def trail(database_url: str) -> AsyncIterator[Trail]:
    """A trail without an entry, and organizations that may write to it."""
    async with trail_at(database_url) as found:
        yield found
