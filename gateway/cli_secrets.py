"""``tributary secrets``: the keys that stored secrets are sealed under."""

import argparse
from typing import Any

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database
from datasources.database.sealed import Resealed, keys_in_use, present_columns, reseal
from datasources.file_lock import InUse, locked
from datasources.keyring import Keyring
from gateway.commands import CommandFailed, branches, keyring_of, on_database, say
from gateway.settings import Settings, load

_MORE_PASSES = 4
"""How often what was written meanwhile is looked for."""
_ROWS_BETWEEN_WORDS = 10_000


def add_commands(commands: Any) -> None:
    """Adds ``secrets`` to the commands (what ``add_subparsers`` returns)."""
    secrets = commands.add_parser("secrets", help="the keys that stored secrets are sealed under")
    actions = secrets.add_subparsers(required=True, metavar="command")
    actions.add_parser("create", help="make the keys where there are none").set_defaults(run=_create)
    rotate = actions.add_parser("rotate", help="make a new key, and seal all that is stored under it; gateways may run")
    rotate.set_defaults(run=_rotate)


def _create(_: argparse.Namespace) -> None:
    settings = load()
    if settings.keyring_file.exists():
        raise CommandFailed(f"there are secret keys at {settings.keyring_file} already; they stay")
    Keyring.at(settings.keyring_file, create=True)
    say(f"Made {settings.keyring_file}. Keep a copy: without it no stored secret can be read.")


def _rotate(_: argparse.Namespace) -> None:
    settings = load()
    keyring = keyring_of(settings)
    rotation = _Rotation(settings, keyring)
    try:
        with locked(keyring.path.with_name(f"{keyring.path.name}.lock")):
            on_database(settings, rotation.run, audited=True)
    except InUse:
        raise CommandFailed("the secret keys are being rotated already. Wait for that to end.") from None
    rotation.conclude()


class _Rotation:
    """One rotation. It may be killed at any moment: beginning again leaves all readable, and ends what was begun."""

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        self._settings = settings
        self._keyring = keyring
        self._told = 0
        self._unreadable: Resealed | None = None

    async def run(self, database: Database) -> None:
        """Makes the key, seals everything anew, and drops the keys that are not needed."""
        keyring = self._keyring
        metadatas = [branch.metadata for branch in branches(self._settings) if branch.metadata is not None]
        columns = await present_columns(database, metadatas)
        new = keyring.add_encryption_key()
        say(f"Made the key {new}. Sealing under it what is stored in {len(columns)} columns …")
        done = await reseal(database, keyring, columns, progress=self._progress)
        count = done.count
        for _ in range(_MORE_PASSES):
            if not done.count:
                break
            done = await reseal(database, keyring, columns, progress=self._progress)
            count += done.count
        # The one before the new one stays: something may be sealed under it that is not committed yet.
        old = keyring.key_ids[2:]
        dropped = frozenset(old) - await keys_in_use(database, old, columns)
        details = {"key": new, "resealed": count, "dropped": sorted(dropped)}
        async with database.scoped(None).transaction() as transaction:
            await append_audit(transaction, NewAuditEntry("operator", "secrets.rotated", None, "MEDIUM", details))
        if dropped:
            keyring.drop_encryption_keys(dropped)
        gone = f", and dropped {len(dropped)} that nothing is sealed under" if dropped else ""
        say(f"Sealed {count} values anew{gone}. Keep a copy of {keyring.path}; back-ups need the one of their time.")
        self._unreadable = done if done.unreadable else None

    def conclude(self) -> None:
        """Raises ``CommandFailed`` when there was something that no key could read."""
        if self._unreadable is not None:
            places = ", ".join(self._unreadable.unreadable)
            more = f" and {self._unreadable.more_unreadable} more" if self._unreadable.more_unreadable else ""
            raise CommandFailed(
                f"no key reads what is stored at {places}{more}. It is left as it is; if the keys of its time are in a "
                "back-up, put their lines into the file of the keys and rotate again."
            )

    def _progress(self, count: int) -> None:
        if count - self._told >= _ROWS_BETWEEN_WORDS:
            self._told = count
            say(f"{count} …")
