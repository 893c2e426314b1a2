"""Stored secrets are sealed anew under a new key, while gateways run, and whatever happens to who does it."""

import asyncio
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import Column, MetaData, Table, Text, insert, select, update

from datasources.database.columns import Sealed, primary_id
from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.sealed import keys_in_use, present_columns, reseal, sealed_columns
from datasources.database.tables.access import outgoing_mails
from datasources.database.tables.metadata import metadata
from datasources.file_lock import InUse, locked
from datasources.keyring import Keyring
from tests.gateway.inline import run_inline
from tests.gateway.program import PATIENCE_SECONDS, start
from tests.keys import make_keys
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.anyio


def _migrated(url: str) -> None:
    async def make() -> None:
        database = Database(url)
        try:
            await upgrade(database, BUILT_IN)
        finally:
            await database.close()

    asyncio.run(make())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own with all tables and nothing in them."""
    if request.param == "sqlite":
        _migrated(f"sqlite:///{tmp_path / 'sealed.db'}")
        yield f"sqlite:///{tmp_path / 'sealed.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("migrated", _migrated)) as found:
            yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a gateway, with its keys."""
    make_keys(tmp_path)
    return tmp_path


async def command(folder: Path, url: str, *arguments: str) -> CompletedProcess[str]:
    """Runs a command as an operator does."""
    settings = {"DATABASE_URL": url, "DATA_DIR": str(folder)}
    return await asyncio.to_thread(run_inline, *arguments, settings=settings)


async def rotate(folder: Path, url: str) -> CompletedProcess[str]:
    """Rotates the secret keys."""
    return await command(folder, url, "secrets", "rotate")


def _row(keyring: Keyring, text: str) -> dict[str, object]:
    identity = new_id("mai")
    return {
        "id": identity,
        "template": "welcome",
        "message_id": f"<{identity}@example.com>",
        "letter": keyring.seal(text, f"outgoing_mails.letter.{identity}"),
        "created_at": datetime.now(UTC),
        "attempts": 0,
    }


async def keep(url: str, keyring: Keyring, texts: list[str]) -> None:
    """Stores texts sealed."""
    database = Database(url, pool_size=1)
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(insert(outgoing_mails), [_row(keyring, text) for text in texts])
    await database.close()


async def stored(url: str) -> dict[str, str]:
    """What is stored sealed, by id."""
    database = Database(url, pool_size=1)
    scope = database.unscoped("tests look behind the gateway")
    found = await scope.fetch(select(outgoing_mails.c.id, outgoing_mails.c.letter), lambda *cells: cells)
    await database.close()
    return dict(found)


async def readable(url: str, keyring: Keyring) -> list[str]:
    """The texts that are stored, unsealed."""
    found = await stored(url)
    return sorted(keyring.unseal(text, f"outgoing_mails.letter.{identity}") for identity, text in found.items())


async def under(url: str) -> set[str]:
    """The ids of the keys that something is sealed under."""
    return {text.partition(".")[0] for text in (await stored(url)).values()}


async def first_is_under(url: str) -> str:
    """The id of the key that the first value is sealed under: it is the first to be sealed anew."""
    database = Database(url, pool_size=1)
    scope = database.unscoped("tests look behind the gateway")
    (found,) = await scope.fetch(select(outgoing_mails.c.letter).order_by(outgoing_mails.c.id).limit(1), str)
    await database.close()
    return found.partition(".")[0]


async def test_after_a_rotation_everything_is_under_the_new_key_and_reads_as_before(url: str, folder: Path) -> None:
    keyring = Keyring(folder / "secret-keys")
    texts = sorted(f"Grüße {number}" for number in range(250))
    await keep(url, keyring, texts)
    (first,) = keyring.key_ids
    done = await rotate(folder, url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sealed 250 values anew" in done.stdout
    after = Keyring(folder / "secret-keys")
    new, old = after.key_ids
    assert old == first
    assert await under(url) == {new}
    # Who had the keys before reads on, and seals under the new one from now on.
    assert await readable(url, keyring) == texts
    assert keyring.seal("x", "here").startswith(f"{new}.")
    again = await rotate(folder, url)
    assert "dropped 1 that nothing is sealed under" in again.stdout
    newest, kept = Keyring(folder / "secret-keys").key_ids
    assert kept == new
    assert await under(url) == {newest}
    assert await readable(url, keyring) == texts
    for line in (folder / "secret-keys").read_text().splitlines()[1:]:
        assert line.split()[2] not in done.stdout + again.stdout
    verified = await command(folder, url, "audit", "verify")
    assert verified.stdout == "Verified 2 entries of 1 chains.\n", verified


async def test_a_gateway_that_writes_meanwhile_loses_nothing(url: str, folder: Path) -> None:
    """Its own keyring was read before there was a new key; values change under the rotation's hands, too."""
    keyring = Keyring(folder / "secret-keys")
    await keep(url, keyring, [f"before {number}" for number in range(500)])
    stop = threading.Event()
    written: list[str] = []
    changed: dict[str, str] = {}
    victims = sorted(await stored(url))[::50]

    async def busy() -> None:
        database = Database(url, pool_size=1)
        while not stop.is_set():
            text = f"during {len(written)}"
            async with database.writer.connect() as connection, connection.begin():
                await connection.execute(insert(outgoing_mails), _row(keyring, text))
                identity = victims[len(written) % len(victims)]
                sealed = keyring.seal(f"changed by {text}", f"outgoing_mails.letter.{identity}")
                await connection.execute(
                    update(outgoing_mails).where(outgoing_mails.c.id == identity).values(letter=sealed)
                )
            written.append(text)
            changed[identity] = f"changed by {text}"
            await asyncio.sleep(0.002)
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(busy()))
    thread.start()
    try:
        done = await rotate(folder, url)
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done
    assert written
    texts = await readable(url, Keyring(folder / "secret-keys"))
    assert set(texts) >= set(written) | set(changed.values())
    assert len(texts) == 500 + len(written)
    assert await under(url) == {Keyring(folder / "secret-keys").key_ids[0]}


class Meddled(Keyring):
    """Somebody changes a value just when it was read to be sealed anew."""

    def __init__(self, folder: Path, file: Path) -> None:
        super().__init__(folder / "secret-keys")
        self._file = file

    def unseal(self, sealed: str, place: str) -> str:
        text = super().unseal(sealed, place)
        if text == "as it was":
            with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
                values = (self.seal("as somebody changed it", place), place.rpartition(".")[2])
                connection.execute("UPDATE outgoing_mails SET letter = ? WHERE id = ?", values)
        return text


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_what_somebody_changes_at_that_moment_stays_changed(url: str, folder: Path) -> None:
    keyring = Keyring(folder / "secret-keys")
    await keep(url, keyring, ["as it was", "left alone"])
    keyring.add_encryption_key()
    database = Database(url, pool_size=1)
    columns = await present_columns(database, [metadata])
    meddled = Meddled(folder, folder / "sealed.db")
    done = await reseal(database, meddled, columns, progress=lambda _: None)
    await database.close()
    assert (done.count, done.unreadable) == (1, [])
    assert await readable(url, keyring) == ["as somebody changed it", "left alone"]


async def test_a_rotation_that_is_killed_is_simply_begun_again(url: str, folder: Path) -> None:
    keyring = Keyring(folder / "secret-keys")
    texts = sorted(f"secret {number}" for number in range(2_000))
    await keep(url, keyring, texts)
    process = start(folder, "secrets", "rotate", DATABASE_URL=url, DATA_DIR=str(folder))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await first_is_under(url) == keyring.key_ids[0] and process.poll() is None:
        assert time.monotonic() < deadline, "nothing is sealed anew"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(await under(url)) == 2
    assert await readable(url, keyring) == texts
    done = await rotate(folder, url)
    assert (done.returncode, done.stderr) == (0, "")
    after = Keyring(folder / "secret-keys")
    assert await under(url) == {after.key_ids[0]}
    assert len(after.key_ids) == 2
    assert await readable(url, after) == texts


async def test_what_no_key_reads_is_told_and_left_as_it_is(url: str, folder: Path) -> None:
    keyring = Keyring(folder / "secret-keys")
    await keep(url, keyring, ["good", "moved", "foreign"])
    good, moved, foreign = sorted(await stored(url))
    database = Database(url, pool_size=1)
    values = {moved: (await stored(url))[good], foreign: "e0000000.AAAA"}
    async with database.writer.connect() as connection, connection.begin():
        for identity, letter in values.items():
            await connection.execute(
                update(outgoing_mails).where(outgoing_mails.c.id == identity).values(letter=letter)
            )
    await database.close()
    done = await rotate(folder, url)
    assert done.returncode == 1
    assert (
        f"no key reads what is stored at outgoing_mails.letter.{moved}, outgoing_mails.letter.{foreign}." in done.stderr
    )
    found = await stored(url)
    assert {identity: found[identity] for identity in values} == values
    newest = Keyring(folder / "secret-keys").key_ids[0]
    assert found[good].startswith(f"{newest}.")
    # The key that an unreadable value is under stays, for the value may be mended.
    assert (await rotate(folder, url)).returncode == 1
    assert len(Keyring(folder / "secret-keys").key_ids) == 3


async def test_one_rotation_at_a_time(folder: Path) -> None:
    before = (folder / "secret-keys").read_bytes()
    with locked(folder / "secret-keys.lock"):
        with pytest.raises(InUse), locked(folder / "secret-keys.lock"):
            pass
        refused = await rotate(folder, f"sqlite:///{folder / 'no.db'}")
    assert refused.returncode == 1
    assert "being rotated already" in refused.stderr
    assert (folder / "secret-keys").read_bytes() == before
    with locked(folder / "secret-keys.lock"):
        pass


async def test_the_columns_of_platforms_from_outside_are_found_too(url: str, folder: Path) -> None:
    outside = MetaData()
    table = Table("outside_secrets", outside, primary_id(), Column("key", Sealed), Column("note", Text))
    Table("outside_notes", outside, primary_id(), Column("note", Text))
    never_on = Table("never_on", outside, primary_id(), Column("key", Sealed))
    found = {f"{each.table.name}.{each.column.name}" for each in sealed_columns([metadata, outside, metadata])}
    assert found >= {"outgoing_mails.letter", "outside_secrets.key", "never_on.key"}
    assert never_on.name in {table.name for table in outside.sorted_tables}
    database = Database(url, pool_size=1)
    keyring = Keyring(folder / "secret-keys")
    async with database.writer.begin() as connection:
        await connection.run_sync(table.create)
        rows = [
            {"id": identity, "key": keyring.seal("ours", f"outside_secrets.key.{identity}")} for identity in ("a", "b")
        ]
        await connection.execute(insert(table), [*rows, {"id": "c", "key": None}])
    columns = await present_columns(database, [metadata, outside])
    assert {each.table.name for each in columns} >= {"outgoing_mails", "outside_secrets"}
    assert "never_on" not in {each.table.name for each in columns}
    (old,) = keyring.key_ids
    assert await keys_in_use(database, keyring.key_ids, columns) == {old}
    keyring.add_encryption_key()
    progress: list[int] = []
    done = await reseal(database, keyring, columns, progress=progress.append)
    assert (done.count, done.unreadable, progress[-1]) == (2, [], 2)
    assert await keys_in_use(database, [old], columns) == set()
    assert (await reseal(database, keyring, columns, progress=progress.append)).count == 0
    await database.close()
    wrong = MetaData()
    Table("no_id", wrong, Column("name", Text, primary_key=True), Column("key", Sealed))
    with pytest.raises(ValueError, match="no_id"):
        list(sealed_columns([wrong]))


async def test_the_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'no.db'}"
    made = await command(tmp_path / "var", url, "secrets", "create")
    assert (made.returncode, made.stderr) == (0, "")
    path = tmp_path / "var" / "secret-keys"
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_text()
    assert all(line.split()[2] not in made.stdout for line in content.splitlines()[1:])
    again = await command(tmp_path / "var", url, "secrets", "create")
    assert (again.returncode, path.read_text()) == (1, content)
    assert "already; they stay" in again.stderr
    missing = await command(tmp_path / "elsewhere", url, "secrets", "rotate")
    assert "Make them: tributary secrets create" in missing.stderr
