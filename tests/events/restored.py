"""A database as it is after a restore into another PostgreSQL cluster, whose transaction ids are far lower."""

import asyncio
from collections.abc import Awaitable, Callable
from subprocess import CompletedProcess
from typing import Any

from sqlalchemy import Table, select, update

from datasources.database.engine import Database
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import (
    event_horizons,
    webhook_deliveries,
    webhook_endpoints,
    webhook_reader,
    webhook_replays,
)
from tests.gateway.inline import run_inline

PLACES = (events, webhook_deliveries, webhook_endpoints, webhook_replays, webhook_reader, event_horizons)
LONGER = 1_000_000_000
"""So many transactions more than this cluster has the other one had."""


async def restore_elsewhere(database: Database) -> None:
    """Makes all ids of transactions those of a cluster that has run for longer; SQLite has none."""
    if database.dialect == "postgresql":
        async with database.writer.connect() as connection, connection.begin():
            for table in PLACES:
                ids = [column for column in table.c if column.name in ("tx", "since_tx", "until_tx")]
                await connection.execute(update(table).values({column: column + LONGER for column in ids}))
            running = select(webhook_endpoints.c.id, webhook_endpoints.c.since_running)
            for endpoint_id, ids in (await connection.execute(running)).all():
                shifted = update(webhook_endpoints).values(since_running=[each + LONGER for each in ids])
                await connection.execute(shifted.where(webhook_endpoints.c.id == endpoint_id))


async def let_go(database: Database) -> None:
    """Leaves the database to a command that wants it for itself; what is asked later connects anew."""
    if database.dialect == "postgresql":
        await database.close()


async def everything(database: Database) -> dict[str, list[Any]]:
    """All that has to do with places of the log, as it is stored."""
    async with database.writer.connect() as connection:
        return {table.name: await _rows(connection.execute, table) for table in PLACES}


async def _rows(execute: Callable[[Any], Awaitable[Any]], table: Table) -> list[Any]:
    return [tuple(row) for row in await execute(select(table).order_by(*table.primary_key.columns))]


async def after_restore(url: str, *arguments: str, **settings: str) -> CompletedProcess[str]:
    """Runs ``db after-restore`` on a database."""
    given = {"DATABASE_URL": url, **settings}
    return await asyncio.to_thread(run_inline, "db", "after-restore", *arguments, settings=given)
