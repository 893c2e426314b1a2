"""Brings the database to the revisions of the branches in use, and back.

Revisions are Alembic's: a file each with ``upgrade`` and ``downgrade``, a branch per platform, and a dependency on the
gateway's tables. Which ones a database has is kept here as the set of all of them, not as Alembic's heads: a head
stands for everything that it depends on, so that a platform which is unplugged would take the gateway's own revision
out of sight with it. Kept as a set, what belongs to an absent platform is simply left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, Text, bindparam, delete, insert, inspect, select, text

from datasources.database.engine import Database
from datasources.database.tables import access as _access  # noqa: F401 -- its tables are of the gateway's branch
from datasources.database.tables import attribution, billing, gateway, marketplace, messaging
from datasources.database.tables import webhooks as _webhooks  # noqa: F401 -- as those of access
from datasources.database.tables.metadata import metadata

R = TypeVar("R")

MIGRATIONS = Path(__file__).parents[2] / "migrations"

applied_revisions = Table("applied_revisions", MetaData(), Column("revision", Text, primary_key=True))
"""Every revision that the database has, of every branch."""

_LOCK = int.from_bytes(b"tributry")
"""What processes that start at once agree to wait for on PostgreSQL."""


@dataclass(frozen=True)
class Branch:
    """The revisions of one platform.

    ``path`` is the folder of its revisions, the first of which carries ``branch_labels = (name,)`` and depends on
    ``gateway_0001``. ``metadata`` holds its tables when it comes from outside; the built-in ones share one.
    """

    name: str
    path: Path
    metadata: MetaData | None


BUILT_IN: tuple[Branch, ...] = tuple(
    Branch(tables.__name__.rpartition(".")[2], MIGRATIONS / tables.__name__.rpartition(".")[2], metadata)
    for tables in (gateway, attribution, messaging, marketplace, billing)
)
"""The gateway's own branch, which every other one needs, and those of the platforms in this repository."""


async def upgrade(database: Database, branches: Sequence[Branch]) -> None:
    """Applies what ``branches`` have and the database has not: all of it, or nothing when anything fails.

    Processes that start at the same time wait for each other. Alembic's operations are global to a process, so a
    process upgrades one database at a time. Raises ``LookupError`` when a branch needs one that is not among them.
    """
    scripts = _scripts(branches)
    await _locked(database, lambda connection: _upgrade(connection, scripts))


async def pending(database: Database, branches: Sequence[Branch]) -> list[str]:
    """The revisions that ``upgrade`` would apply, in its order; raises as it does."""
    scripts = _scripts(branches)
    async with database.writer.connect() as connection:
        applied = await connection.run_sync(_applied)
    return [script.revision for script in scripts if script.revision not in applied]


async def downgrade(database: Database, branches: Sequence[Branch]) -> None:
    """Takes back every revision of ``branches``, with the data in their tables: all of them, or none.

    Raises ``LookupError`` when the database has revisions of other branches, which may need the tables.
    """
    scripts = _scripts(branches)
    await _locked(database, lambda connection: _downgrade(connection, scripts))


async def reset(database: Database, branches: Sequence[Branch] = BUILT_IN) -> None:
    """Drops everything of ours, data and all; raises as ``downgrade`` does and then leaves all in place."""
    await downgrade(database, branches)


def _scripts(branches: Sequence[Branch]) -> list[Script]:
    """The revisions of ``branches``, each after those that it needs."""
    directory = ScriptDirectory(MIGRATIONS, version_locations=[branch.path for branch in branches])
    names = {branch.name for branch in branches}
    try:
        scripts = list(directory.walk_revisions())[::-1]
    except KeyError as error:
        raise LookupError(f"a revision needs {error}, whose branch is not among {', '.join(sorted(names))}") from error
    missing = names - {label for script in scripts for label in script.branch_labels}
    if missing:
        raise LookupError(f"no revisions for the branch {', '.join(sorted(missing))}")
    return scripts


async def _locked(database: Database, work: Callable[[Connection], R]) -> R:
    """Runs ``work`` in one transaction that no other process's overlaps.

    On SQLite the transaction itself does that, for the writing engine takes the write lock when it begins.
    """
    async with database.writer.connect() as connection, connection.begin():
        if database.dialect == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        return await connection.run_sync(work)


def _applied(connection: Connection) -> set[str]:
    if not inspect(connection).has_table(applied_revisions.name):
        return set()
    return set(connection.scalars(select(applied_revisions.c.revision)))


def _upgrade(connection: Connection, scripts: Sequence[Script]) -> None:
    applied_revisions.create(connection, checkfirst=True)
    applied = _applied(connection)
    with Operations.context(MigrationContext.configure(connection)):
        for script in scripts:
            if script.revision not in applied:
                script.module.upgrade()
                connection.execute(insert(applied_revisions), {"revision": script.revision})


def _downgrade(connection: Connection, scripts: Sequence[Script]) -> None:
    applied = _applied(connection)
    unknown = applied - {script.revision for script in scripts}
    if unknown:
        raise LookupError(f"the database also has {', '.join(sorted(unknown))}, of branches that are not named")
    with Operations.context(MigrationContext.configure(connection)):
        for script in reversed(scripts):
            if script.revision in applied:
                script.module.downgrade()
                connection.execute(
                    delete(applied_revisions).where(applied_revisions.c.revision == bindparam("gone")),
                    {"gone": script.revision},
                )
    applied_revisions.drop(connection, checkfirst=True)


def built_in_branch(name: str) -> Branch:
    """The branch of a platform in this repository; raises ``StopIteration`` when there is none."""
    return next(branch for branch in BUILT_IN if branch.name == name)
