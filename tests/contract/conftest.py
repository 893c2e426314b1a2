"""Every platform that there is, those built in and one from outside, over the same data on each database."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from datasources.database.engine import Database
from gateway.platforms import BUILT_IN
from schema.composed import Composition
from schema.composition import compose
from schema.platform import Platform
from tests.contract.world import World, write_shop_orders
from tests.examples.package import SHOP, install, shop_in, wheel_of
from tests.examples.shop import migrate

KEYS = (*(platform.key for platform in BUILT_IN), "shop")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Platform]:
    """Every platform by its key."""
    target = tmp_path_factory.mktemp("installed")
    install(wheel_of(SHOP, tmp_path_factory.mktemp("wheel")), target)
    return {platform.key: platform for platform in (*BUILT_IN, shop_in(target))}


@pytest.fixture(scope="session")
def composition(registry: dict[str, Platform]) -> Composition:
    """All of them in one schema."""
    return compose(list(registry.values()))


@pytest.fixture(params=KEYS)
def platform(request: pytest.FixtureRequest, registry: dict[str, Platform]) -> Platform:
    """One platform after the other."""
    return registry[request.param]


@pytest.fixture(scope="module")
def filled(database_url: str, registry: dict[str, Platform]) -> str:
    """The demo data, and orders of the shop beside it."""
    migrate(database_url, list(registry.values()))
    asyncio.run(write_shop_orders(database_url, registry["shop"]))
    return database_url


@pytest.fixture
async def world(filled: str) -> AsyncIterator[World]:
    """The data as two organizations see it, and as nobody does."""
    database = Database(filled)
    try:
        yield await World.of(database)
    finally:
        await database.close()
