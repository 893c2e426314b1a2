"""Another package's platform is plugged in by installing it, and by nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from datasources.database.events import EventPosition
from gateway.platforms import BUILT_IN, chosen
from schema.composition import compose
from tests.examples.package import SHOP, seen, shop_in
from tests.examples.shop import SECRET, Shop, businesses, migrate, next_data, subscribed
from tests.keys import make_keys
from tests.servers.process import free_port, scratch_folder
from tests.servers.process import running as process_running
from tests.serving import ADA, Running, running

ROOT = Path(__file__).parents[2]


def tributary(installed: Path, *arguments: str, **environment: str) -> list[str]:
    """The command line of a checkout into whose environment the package is installed."""
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(installed)])
    given = [f"{name}={value}" for name, value in environment.items()]
    return ["env", *given, sys.executable, "-P", "-m", "gateway", *arguments]


def test_it_is_run_from_the_command_line_like_those_built_in(
    installed: Path, database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    make_keys(tmp_path)
    environment = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path),
        "PORT": str(port),
        "SHOP_WEBHOOK_SECRET": SECRET,
    }
    # It has tables that the database lacks: the gateway says so, and makes them when it is told to.
    refused = subprocess.run(
        tributary(installed, "serve", **environment), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "shop_0001" in refused.stderr
    migrate = tributary(installed, "db", "migrate", **environment)
    said = [subprocess.run(migrate, cwd=tmp_path, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said == ["1 migrations applied.\n", "The database is up to date.\n"]

    def keys() -> list[str]:
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": "{ platforms { key } }"})
        return [platform["key"] for platform in answer.json()["data"]["platforms"]]

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
        except httpx.TransportError:
            return False

    built_in = [platform.key for platform in BUILT_IN]
    for named, expected in (("", [*built_in, "shop"]), ("billing,attribution", ["attribution", "billing"])):
        command = tributary(installed, "serve", "--quiet", PLATFORMS=named, **environment)
        with scratch_folder() as folder, process_running(command, folder, answers=answers):
            assert keys() == expected
            webhook = httpx.post(f"http://127.0.0.1:{port}/webhooks/shop")
            assert webhook.status_code == (403 if "shop" in expected else 404)


def test_where_it_is_not_chosen_there_is_no_trace_of_it(installed: Path) -> None:
    with seen(installed):
        everything, without = chosen(()), chosen([platform.key for platform in BUILT_IN])
    assert "hop" in compose(everything).sdl
    sdl = compose(without).sdl
    assert [line for line in sdl.splitlines() if "shop" in line.lower() and "barbershop" not in line.lower()] == []
    assert sdl == (ROOT / "schema.graphql").read_text(encoding="utf-8")


def test_it_works_unconfigured_and_says_what_it_lacks(installed: Path, seeded_sqlite: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    (tmp_path / "demo.db").write_bytes(seeded_sqlite.read_bytes())
    shop = shop_in(installed)
    migrate(url, [*BUILT_IN, shop])
    with running(url, tmp_path, platforms=[*BUILT_IN, shop]) as gateway:
        assert httpx.post(f"{gateway.url}/webhooks/shop", content=b"{}").status_code == 503
        [error] = gateway.query("{ shopPosts { id } }")["errors"]
        assert "SHOP_UPSTREAM_URL" in error["message"]
        assert status(gateway) == "NOT_CONFIGURED"


def test_what_it_wrote_stays_unseen_while_it_is_off(installed: Path, seeded_sqlite: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    (tmp_path / "demo.db").write_bytes(seeded_sqlite.read_bytes())
    node = "query ($id: ID!) { node(id: $id) { id } }"
    with seen(installed, SHOP_WEBHOOK_SECRET=SECRET):
        everything = chosen(())
        migrate(url, everything)
        with running(url, tmp_path, platforms=everything) as gateway:
            shop = Shop.of(gateway, ADA, "mugs", businesses(gateway, ADA)[0])
            with subscribed(gateway, ADA, "subscription { shopOrderPlaced { id cursor order { id } } }") as socket:
                shop.place("1", "2026-11-05T10:00:00Z")
                event = next_data(socket)["shopOrderPlaced"]
            for identity in (event["id"], event["order"]["id"]):
                assert gateway.data(node, {"id": identity}, as_=ADA)["node"] == {"id": identity}
    with running(url, tmp_path, platforms=BUILT_IN) as gateway:
        for identity in (event["id"], event["order"]["id"]):
            assert gateway.data(node, {"id": identity}, as_=ADA)["node"] is None
        # Who resumes where the shop was still on hears of what others do, and nothing of the shop.
        changed = "subscription ($after: String) { orderChanged(after: $after) { platform { key } order { id } } }"
        (home,) = gateway.data("{ viewer { memberships { organization { id } } } }", as_=ADA)["viewer"]["memberships"]
        cursors, organization = gateway.app.state.gateway.services.events.cursors, home["organization"]["id"]
        at = cursors.decode(organization, event["cursor"])
        before = cursors.encode(organization, EventPosition(0, at.position - 2))
        with subscribed(gateway, ADA, changed, after=before) as socket:
            order = move_an_order(gateway)
            assert next_data(socket)["orderChanged"] == {"platform": {"key": "messaging"}, "order": {"id": order}}


def move_an_order(gateway: Running) -> str:
    """Calls off an order that was placed in a conversation; returns its id."""
    pending = '{ orders(filter: {platforms: ["messaging"], status: [PENDING]}, first: 1) { nodes { id } } }'
    order: str = gateway.data(pending, as_=ADA)["orders"]["nodes"][0]["id"]
    cancel = "mutation ($id: ID!) { cancelOrder(input: {orderId: $id}) { order { id } } }"
    assert gateway.data(cancel, {"id": order}, as_=ADA) == {"cancelOrder": {"order": {"id": order}}}
    return order


def status(gateway: Running) -> str:
    """How the shop is doing."""
    shown = gateway.data("{ platforms { key health { status } } }")["platforms"]
    return {platform["key"]: str(platform["health"]["status"]) for platform in shown}["shop"]


def test_settings_that_cannot_be_stop_the_start_with_their_names(installed: Path, tmp_path: Path) -> None:
    environment = {
        "DATA_DIR": str(tmp_path),
        "SHOP_WEBHOOK_SECRET": "short",
        "SHOP_UPSTREAM_URL": "nowhere",
    }
    make_keys(tmp_path)
    refused = subprocess.run(
        tributary(installed, "serve", **environment), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "shop: SHOP_WEBHOOK_SECRET" in refused.stderr
    assert "shop: SHOP_UPSTREAM_URL" in refused.stderr
    assert "short" not in refused.stderr.replace("shorter", "")


def test_the_core_does_not_know_it() -> None:
    found = [
        path
        for folder in ("gateway", "schema", "resolvers", "datasources", "auth", "subscriptions", "migrations")
        for path in (ROOT / folder).rglob("*.py")
        if "tributary_shop" in path.read_text(encoding="utf-8")
    ]
    assert found == []
    assert (SHOP / "README.md").is_file()
