"""The event log after its database was restored from a back-up, so that what is kept goes on and new events are seen.

Places of the log have the transaction ids of a PostgreSQL cluster. In another cluster, whose ids are lower, restored
events would be invisible, new ones would sort before old ones, and whoever knows a place would wait there for as long
as the old cluster had run. So everything is moved to transaction id 0, which comes before those of any cluster, and
all events get new positions in the order that they have: then each place has one that means the same, also where
transactions overlapped. The positions are those of a new era (see ``EventPosition.era``), by which cursors from before
are known.

On SQLite places stay as they are, and the counter of positions goes ahead instead: else a cursor that a client has from
after the back-up would hide that many new events.
"""

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Select,
    String,
    Subquery,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy import text as sql

from datasources.database.columns import Big
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.events import ERA
from datasources.database.tables.gateway import events
from datasources.database.tables.webhooks import (
    event_horizons,
    webhook_deliveries,
    webhook_endpoints,
    webhook_reader,
    webhook_replays,
)
from datasources.database.webhook_reader import read_to_the_end

AHEAD = 1_000_000_000
"""How far ahead the counter of positions goes on SQLite: more events than happen between a back-up and a loss."""

_LOOKS, _LOOK_SECONDS = 10, 0.2
"""A connection that was just closed is still listed for a moment."""


class GatewayRuns(Exception):
    """Somebody else is connected to the database as the gateway's user; ``connections`` says how many."""

    def __init__(self, connections: int) -> None:
        super().__init__(f"{connections} other connections")
        self.connections = connections


_PLACES: tuple[tuple[Table, str, str], ...] = (
    (webhook_deliveries, "tx", "position"),
    (webhook_endpoints, "since_tx", "since_position"),
    (webhook_replays, "tx", "position"),
    (webhook_replays, "until_tx", "until_position"),
    (webhook_reader, "tx", "position"),
    (event_horizons, "tx", "position"),
)
"""Where places of the log are kept beside it: tables with the names of both columns."""

_sequences = Table("sqlite_sequence", MetaData(), Column("name", Text), Column("seq", Big))
_sessions = Table(
    "pg_stat_activity", MetaData(), Column("pid", Integer), Column("datname", String), Column("usename", String)
)
_BASE = bindparam("base", type_=Big)
_LAST = select(func.coalesce(func.max(events.c.position), 0))
_LOCK = sql(f"LOCK TABLE {', '.join(sorted({events.name, *(table.name for table, *_ in _PLACES)}))} IN EXCLUSIVE MODE")
_OWN_PID: Select[Any] = select(func.pg_backend_pid())
_OTHERS = select(func.count()).where(
    _sessions.c.datname == func.current_database(),
    _sessions.c.usename == cast(func.current_user(), String()),
    _sessions.c.pid != func.pg_backend_pid(),
    _sessions.c.pid != bindparam("mine", type_=Integer()),
)
_SEQUENCE = func.pg_get_serial_sequence(events.name, "position")
_NEXT_POSITION: Select[Any] = select(func.nextval(_SEQUENCE))
_GO_ON_AFTER: Select[Any] = select(func.setval(_SEQUENCE, bindparam("last", type_=Big)))
_NONE_RUNNING = update(webhook_endpoints).values(since_running=[])

_COUNTER = select(_sequences.c.seq).where(_sequences.c.name == events.name)
_COUNT_FROM = update(_sequences).where(_sequences.c.name == events.name).values(seq=bindparam("last", type_=Big))
_COUNT_AT_ALL = insert(_sequences).values(name=events.name, seq=bindparam("last", type_=Big))


async def skip_positions(database: Database) -> bool:
    """On SQLite: has the next event come ``AHEAD`` of all; ``False`` when it does already."""
    async with _everywhere(database).transaction() as transaction:
        (last,) = await transaction.fetch(_LAST, int)
        counted = await transaction.fetch(_COUNTER, int)
        if counted and counted[0] >= last + AHEAD:
            return False
        await transaction.execute(_COUNT_FROM if counted else _COUNT_AT_ALL, {"last": last + AHEAD})
    return True


async def renumber(database: Database, now: datetime, *, anyway: bool = False) -> int | None:
    """On PostgreSQL: moves the log and all places of it into a new era; returns how many events it has.

    ``None`` when this cluster's transaction ids are ahead of all that is kept, so that it need not be; ``anyway`` does
    it all the same. What webhooks have not read gets its deliveries first. Raises ``GatewayRuns``.
    """
    scope = _everywhere(database)
    async with scope.transaction() as transaction:
        await _make_sure_nobody_is_here(scope, transaction)
        await transaction.connection.execute(_LOCK)
        (needed,) = await transaction.fetch(_ahead_of_this_cluster(), bool)
        if not (needed or anyway):
            return None
        # While the transactions that an endpoint waits for can still be told from others.
        await read_to_the_end(transaction, now)
        (last,) = await transaction.fetch(_LAST, int)
        (following,) = await transaction.fetch(_NEXT_POSITION, int)
        base = (max(last, following) // ERA + 1) * ERA
        for table, tx, position in _PLACES:
            await transaction.execute(_move_places(table, tx, position), {"base": base})
        await transaction.execute(_NONE_RUNNING)
        count = await transaction.execute(_move_events(), {"base": base})
        await transaction.fetch(_GO_ON_AFTER, int, {"last": base + count})
    return count


def _everywhere(database: Database) -> Scope:
    return database.unscoped("a database that was restored has the places of all organizations")


async def _make_sure_nobody_is_here(scope: Scope, transaction: Transaction) -> None:
    (mine,) = await transaction.fetch(_OWN_PID, int)
    others = 0
    for _ in range(_LOOKS):
        (others,) = await scope.fetch(_OTHERS, int, {"mine": mine})
        if not others:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise GatewayRuns(others)


def _ahead_of_this_cluster() -> Select[Any]:
    """Whether a place has a transaction id that this cluster has not come to."""
    newest: list[ColumnElement[int]] = [func.max(events.c.tx)]
    for table, tx, _ in _PLACES:
        # An endpoint begins at the first id that had not ended when it was made, all others at one that had.
        newest.append(func.max(table.c[tx]) - (1 if table is webhook_endpoints else 0))
    reached = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text()), Big)
    greatest = func.greatest(*(func.coalesce(select(each).scalar_subquery(), 0) for each in newest))
    return select(cast(greatest >= reached, Boolean()))


def _ranked(*others: Select[Any]) -> Subquery:
    """Places with how many events there are up to each; of the log's own, or of ``others``."""
    counted = union_all(
        select(events.c.tx.label("tx"), events.c.position.label("position"), literal(1).label("events")), *others
    ).subquery()
    up_to = func.sum(counted.c.events).over(order_by=(counted.c.tx, counted.c.position))
    return select(counted, cast(up_to, Big).label("up_to")).subquery()


def _move_places(table: Table, tx: str, position: str) -> Update:
    own_tx, own_position = table.c[tx], table.c[position]
    ranked = _ranked(select(own_tx, own_position, literal(0)).distinct())
    return (
        update(table)
        .where(own_tx == ranked.c.tx, own_position == ranked.c.position, ranked.c.events == 0)
        .values({own_tx: 0, own_position: _BASE + ranked.c.up_to})
    )


def _move_events() -> Update:
    ranked = _ranked()
    return update(events).where(events.c.position == ranked.c.position).values(tx=0, position=_BASE + ranked.c.up_to)
