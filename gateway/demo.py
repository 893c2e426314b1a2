"""The demo: a SQLite file of its own with made-up data, for trying the gateway on one's own machine."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from auth.passwords import Passwords
from datasources.database.engine import Database, async_url
from datasources.database.migrate import BUILT_IN, Branch, upgrade
from datasources.database.seed import seed
from datasources.keyring import Keyring
from gateway.pages import DemoLogin
from gateway.settings import Settings
from schema.platform import Platform

PASSWORD = "tributary demo"  # noqa: S105 -- public: printed at the start, and good on this machine only
DEMO_LOGINS = (
    DemoLogin("Ada (owner)", "ada@example.com", PASSWORD),
    DemoLogin("Grace (another organization)", "grace@example.com", PASSWORD),
)
_MARK = int.from_bytes(b"trib")
"""SQLite's application id of a file that the demo made."""

_QUERIES = (
    ("open to everybody", "{ prompts(first: 3) { nodes { title price { amount currency } rating } } }"),
    ("as Ada", "{ businesses(first: 2) { nodes { name campaigns(first: 2) { nodes { name status } } } } }"),
    ("as Ada", "{ orders(first: 3) { nodes { number status total { amount currency } customer { name } } } }"),
)


class NotOurDatabase(Exception):
    """The demo was pointed at a database that it did not make."""


def branches_of(platforms: Sequence[Platform]) -> list[Branch]:
    """The tables of the gateway and of these platforms."""
    return [BUILT_IN[0], *(platform.branch for platform in platforms if platform.branch is not None)]


async def prepare(
    settings: Settings, platforms: Sequence[Platform], tell: Callable[[str], None], *, scale: int
) -> None:
    """Makes the demo's file and fills it, unless it is there already.

    It is made beside and moved into place when it is whole. Raises ``NotOurDatabase`` for a file without the demo's
    mark.
    """
    path = Path(str(async_url(settings.database_url).database))
    if path.exists():  # noqa: ASYNC240 -- before the server runs
        if not _made_by_us(path):
            message = f"{path} was not made by the demo, which touches no other database. Unset DATABASE_URL."
            raise NotOurDatabase(message)
        await _update(path, platforms)
    else:
        tell(f"Making demo data in {path} …")
        staged = path.with_name(f"{path.name}.making")
        for left in (staged, path):
            # The log of a file that is gone would be played into the new one.
            for suffix in ("", "-wal", "-shm"):
                left.with_name(left.name + suffix).unlink(missing_ok=True)
        audit_key = Keyring.at(settings.keyring_file, create=True).derived("audit trail")
        await _make(staged, platforms, tell, scale=scale, audit_key=audit_key)
        with closing(sqlite3.connect(staged)) as connection:
            connection.execute(f"PRAGMA application_id = {_MARK}")
        staged.replace(path)


def _made_by_us(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.DatabaseError:  # not a database at all
            return False
    return bool(mark == _MARK)


async def _update(path: Path, platforms: Sequence[Platform]) -> None:
    """Brings a file that an older gateway made to the tables of this one."""
    database = Database(f"sqlite:///{path}")
    try:
        await upgrade(database, branches_of(platforms))
    finally:
        await database.close()


async def _make(
    path: Path, platforms: Sequence[Platform], tell: Callable[[str], None], *, scale: int, audit_key: bytes
) -> None:
    database = Database(f"sqlite:///{path}", audit_key=audit_key)
    try:
        await upgrade(database, branches_of(platforms))
        keys = {platform.key for platform in platforms}
        today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        password_hash = Passwords().hash_now(PASSWORD)
        await seed(database, password_hash=password_hash, scale=scale, now=today, platforms=keys, progress=tell)
    finally:
        await database.close()


def greeting(settings: Settings) -> str:
    """What the demo says when it runs: where it is, who can sign in, and what to try."""
    lines = [
        "",
        f"  Tributary runs at {settings.base_url}/graphql (open it in a browser for GraphiQL)",
        "  The data is made up. Sign in as one of:",
        *(f"    {login.email} with the password “{login.password}”: {login.label}" for login in DEMO_LOGINS),
        "  Three queries to try:",
        *(f"    {who:<17} {query}" for who, query in _QUERIES),
        "",
    ]
    return "\n".join(lines)
