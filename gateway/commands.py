"""What the commands share: how they speak, how they fail, and how they reach the database."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TextIO

from datasources.database import migrate
from datasources.database.engine import Database
from datasources.keyring import Keyring
from gateway.demo import branches_of
from gateway.platforms import chosen
from gateway.settings import Settings


class CommandFailed(Exception):
    """The command cannot be done; the message says why and what to do."""


def say(text: str, *, file: TextIO | None = None) -> None:
    """Writes a line at once."""
    print(text, file=file or sys.stdout, flush=True)


def keyring_of(settings: Settings) -> Keyring:
    """The secret keys of the gateway; raises ``KeyringError`` without them."""
    return Keyring.at(settings.keyring_file, create=False)


def on_database(settings: Settings, work: Callable[[Database], Awaitable[None]], *, audited: bool = False) -> None:
    """Runs ``work`` on the gateway's database; with ``audited`` it can write to the audit trail.

    Raises ``CommandFailed`` when the database cannot be used, ``KeyringError`` when the trail has no key.
    """
    audit_key = keyring_of(settings).derived("audit trail") if audited else None

    async def run() -> None:
        database = Database(settings.database_url, pool_size=1, audit_key=audit_key)
        try:
            await _reach(database)
            if audited:
                await check_migrated(database, settings)
            await work(database)
        finally:
            await database.close()

    asyncio.run(run())


async def _reach(database: Database) -> None:
    try:
        await database.ping()
    except Exception as error:  # noqa: BLE001 -- whatever the driver raises
        # Its words may hold parts of the address, and a password is one of them.
        message = f"the database at DATABASE_URL cannot be used ({type(error).__name__})"
        raise CommandFailed(message) from None


def branches(settings: Settings) -> list[migrate.Branch]:
    """The tables of the gateway and of the platforms that are on."""
    return branches_of(chosen(settings.platforms))


async def check_migrated(database: Database, settings: Settings) -> None:
    """Raises ``CommandFailed`` when tables are missing or old."""
    missing = await migrate.pending(database, branches(settings))
    if missing:
        message = f"the database lacks {len(missing)} migrations ({missing[0]} …). Run: tributary db migrate"
        raise CommandFailed(message)
