"""``tributary key`` beside a gateway that runs: what it makes holds there, and what it ends is over there."""

import asyncio
from collections.abc import Awaitable, Callable
from subprocess import CompletedProcess

import pytest

from datasources.database.engine import Database
from datasources.database.tables.access import api_keys
from tests.auth.visitor import trail
from tests.gateway.inline import run_inline
from tests.organizations.company import Company, closed, rows, said, socket_of, until
from tests.serving import Running

pytestmark = pytest.mark.anyio
Command = Callable[..., Awaitable[CompletedProcess[str]]]


@pytest.fixture
def command(gateway: Running) -> Command:
    """Runs a command on the database and the keys of the gateway."""
    folder = str(gateway.app.state.gateway.settings.data_dir)
    settings = {"DATABASE_URL": gateway.database_url, "DATA_DIR": folder}

    async def call(*arguments: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(run_inline, *arguments, settings=settings)

    return call


async def test_an_operator_makes_lists_and_ends_a_key(
    gateway: Running, database: Database, acme: Company, command: Command
) -> None:
    owner = await acme.member("OWNER")
    made = await command(
        "key", "create", "--organization", acme.id, "--name", "import", "--scopes", "orders:read, businesses:read"
    )
    assert (made.returncode, made.stderr) == (0, "")
    secret = made.stdout.splitlines()[-1]
    program = acme.holder(secret)
    assert program.sees()["data"]["organization"] == {"id": acme.id}
    (key,) = owner.sees("{ organization { apiKeys { id name scopes createdBy { id } } } }")["data"]["organization"][
        "apiKeys"
    ]
    assert (key["name"], key["scopes"], key["createdBy"]) == ("import", ["businesses:read", "orders:read"], None)
    listed = (await command("key", "list", "--organization", acme.id)).stdout
    assert key["id"] in listed
    assert secret[:16] in listed
    assert secret[16:] not in listed
    async with socket_of(program) as socket:
        assert (await said(socket))["data"]["organization"] == {"id": acme.id}
        ended = await command("key", "revoke", key["id"])
        assert ended.stdout == f"{key['id']} does not hold any more.\n"
        assert (await closed(socket))[0] == 4403
    await until(lambda: "errors" in program.sees("{ __typename }"))
    assert "was revoked on" in (await command("key", "list", "--organization", acme.id)).stdout
    assert [entry["actor"] for action in ("key.created", "key.revoked") for entry in await trail(database, action)] == [
        "operator",
        "operator",
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_mistakes_are_told_and_make_nothing(database: Database, acme: Company, command: Command) -> None:
    wanted = ["--name", "x", "--scopes", "orders:read"]
    for arguments, word in (
        (["create", "--organization", "org_x", *wanted], "there is no organization org_x"),
        (
            ["create", "--organization", acme.id, "--name", "x", "--scopes", "everything"],
            "There is no scope everything",
        ),
        (["create", "--organization", acme.id, "--name", "", "--scopes", "orders:read"], "A name has 1 to 100"),
        (["create", "--organization", acme.id, *wanted, "--days", "0"], "--days is from 1 to 366"),
        (["create", "--organization", acme.id, *wanted, "--days", "367"], "--days is from 1 to 366"),
        (["revoke", "key_x"], "there is no API key key_x"),
        (["list", "--organization", "org_x"], "there is no organization org_x"),
    ):
        refused = await command("key", *arguments)
        assert refused.returncode == 1, arguments
        assert refused.stderr.startswith(f"tributary: {word}"), refused.stderr
        assert "Traceback" not in refused.stderr
    assert await rows(database, api_keys, api_keys.c.organization_id == acme.id) == []
