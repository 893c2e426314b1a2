"""``tributary audit verify`` as a person runs it: what it says, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from datasources.audit_heads import HeadsFile
from datasources.database.audit import GATEWAY_CHAIN
from datasources.database.audit_reading import all_heads
from datasources.database.tables.access import audit_entries
from datasources.keyring import Keyring
from tests.audit.trail import Trail, trail_at
from tests.gateway.program import run

HEADS = "audit-heads.jsonl"


def on_trail(url: str, keyring: Keyring, work: Callable[[Trail], Awaitable[None]]) -> None:
    """Does something with the trail of a database; entries that are there go."""

    async def opened() -> None:
        async with trail_at(url, keyring.derived("audit trail")) as trail:
            await work(trail)

    asyncio.run(opened())


async def keep(keyring: Keyring, trail: Trail, path: Path) -> None:
    """Keeps the heads as they are now."""
    HeadsFile(path, keyring.derived("audit heads")).append(await all_heads(trail.database))


def test_the_whole_trail_holds_until_somebody_touches_it(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}
    refused = run(tmp_path, "audit", "verify", **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there are no secret keys" in refused.stderr
    keyring = Keyring.at(tmp_path / "secret-keys", create=True)

    names: list[str] = []

    async def write(trail: Trail) -> None:
        names.extend(trail.organizations[:2])
        for organization in (*names, None):
            await trail.write_ten(organization)
        await keep(keyring, trail, tmp_path / HEADS)

    on_trail(database_url, keyring, write)
    whole = run(tmp_path, "audit", "verify", **settings)
    assert (whole.returncode, whole.stderr, whole.stdout) == (0, "", "Verified 30 entries of 3 chains.\n")
    one = run(tmp_path, "audit", "verify", "--organization", GATEWAY_CHAIN, "--heads", HEADS, **settings)
    beside = "Verified 10 entries of 1 chains beside 3 heads that were kept elsewhere.\n"
    assert (one.returncode, one.stderr, one.stdout) == (0, "", beside)

    async def cut_back(trail: Trail) -> None:
        for organization in (*names, None):
            await trail.write_ten(organization)
        await keep(keyring, trail, tmp_path / HEADS)
        fourth = (await trail.rows(audit_entries, names[0]))[3]["id"]
        await trail.change(audit_entries, fourth, actor="usr_else")
        await trail.do("DELETE FROM audit_heads WHERE organization_id = 'gateway'")

    on_trail(database_url, keyring, cut_back)
    with (tmp_path / HEADS).open("a") as file:
        file.write('{"at":"2026-01-01","organization":"org_a","sequence":9,"hash":"","mac":""}\n{"at":"20')
    found = run(tmp_path, "audit", "verify", "--heads", HEADS, **settings)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    lines = found.stderr.splitlines()
    assert f"line 7 of {HEADS}: FORGED: it was not written by this gateway" in lines
    assert any(line.startswith(f"{names[0]} 4: ALTERED: entry aud_") for line in lines)
    assert "gateway: HEAD: the head of the chain is missing" in lines
    assert any(line.startswith(f"{names[1]} 10: REWRITTEN: ") for line in lines)
    assert lines[-1].startswith("tributary: the audit trail is not as it was written: ")
    assert f"line 8 of {HEADS} breaks off" in found.stdout
    assert found.stdout.endswith("Verified 30 entries of 3 chains beside 6 heads that were kept elsewhere.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--organization", "org_none"], "there is no audit trail of org_none"),
        (["--heads", "nowhere.jsonl"], "the heads at nowhere.jsonl cannot be read (FileNotFoundError)"),
    ],
)
def test_what_is_not_there_is_told(database_url: str, tmp_path: Path, arguments: list[str], words: str) -> None:
    Keyring.at(tmp_path / "secret-keys", create=True)
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}
    refused = run(tmp_path, "audit", "verify", *arguments, **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
