"""The example package, installed once; and a gateway that found it, on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.platforms import chosen
from tests.examples.package import SHOP, install, seen, wheel_of
from tests.examples.shop import SECRET, RestApi, migrate, rest_api
from tests.serving import Running, running


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package is installed."""
    target = tmp_path_factory.mktemp("installed")
    install(wheel_of(SHOP, tmp_path_factory.mktemp("wheel")), target)
    return target


@pytest.fixture(scope="module")
def api() -> Iterator[RestApi]:
    """The shop's REST API."""
    with rest_api() as found:
        yield found


@pytest.fixture(scope="module")
def shop_gateway(
    installed: Path, api: RestApi, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with all that is installed, the shop among it, over the demo data."""
    settings = {"SHOP_WEBHOOK_SECRET": SECRET, "SHOP_UPSTREAM_URL": api.url, "SHOP_UPSTREAM_TIMEOUT": "2"}
    with seen(installed, **settings):
        migrate(database_url, chosen(()))
        with running(database_url, tmp_path_factory.mktemp("shop")) as server:
            yield server
