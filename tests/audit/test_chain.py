"""Writing: whatever happens at once, is undone or breaks off, each chain is whole, and tells of what was done."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select

from datasources.database.audit import (
    ACCESS_ACTIONS,
    MissingAuditKey,
    NewAuditEntry,
    append_audit,
)
from datasources.database.engine import Database, UnstorableText
from datasources.database.events import EventRow
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal
from tests.audit.log import events_of
from tests.audit.trail import HOME, KEY, Trail
from tests.gateway.program import PATIENCE_SECONDS, environment

pytestmark = pytest.mark.anyio

WRITER = Path(__file__).with_name("writer.py")


async def test_what_is_written_verifies_each_organization_for_itself_and_the_gateway_too(trail: Trail) -> None:
    first, second, *_ = trail.organizations
    for organization in (first, second, None):
        await trail.write_ten(organization)
    for organization in (first, second, None):
        report = await trail.verify(organization)
        assert (report.holds, report.entries, report.older, report.erased) == (True, 10, 0, 0)
        assert [row["sequence"] for row in await trail.rows(audit_entries, organization)] == list(range(1, 11))


async def test_writers_that_meet_leave_one_chain_each_number_once(trail: Trail) -> None:
    """Of two processes (two pools of connections), for two organizations and the gateway, from the first entry on."""
    first, second, *_ = trail.organizations
    other = Trail(Database(trail.database.url.render_as_string(hide_password=False), audit_key=KEY), trail.raw, ())
    try:
        writers = [
            each.write(organization, *["order.moved"] * 5, origin=HOME)
            for each in (trail, other)
            for organization in (first, second, None)
            for _ in range(3)
        ]
        await asyncio.gather(*writers)
    finally:
        await other.database.close()
    for organization in (first, second, None):
        assert [row["sequence"] for row in await trail.rows(audit_entries, organization)] == list(range(1, 31))
        moments = [row["at"] for row in await trail.rows(audit_entries, organization)]
        assert moments == sorted(moments)
    assert await trail.all_hold()


async def test_what_is_undone_is_not_in_the_trail(trail: Trail) -> None:
    organization = trail.organizations[0]
    await trail.write(organization, "order.moved")
    before = await trail.head(organization)
    with contextlib.suppress(ZeroDivisionError):
        async with trail.database.scoped(organization).transaction() as transaction:
            await append_audit(transaction, NewAuditEntry("usr_a", "session.opened", None))
            raise ZeroDivisionError
    assert await trail.head(organization) == before
    await trail.write(organization, "order.moved")
    assert (await trail.verify(organization)).entries == 2
    assert await trail.all_hold()


async def test_entries_of_one_transaction_stand_in_their_order_and_cost_one_look_at_the_head(trail: Trail) -> None:
    organization = trail.organizations[0]
    costs = []
    for count in (1, 5):
        statements: list[str] = []
        trail.database.observers.append(statements.append)
        async with trail.database.scoped(organization, HOME).transaction() as transaction:
            ids = [await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None)) for _ in range(count)]
        trail.database.observers.clear()
        costs.append(len([each for each in statements if "audit_heads" in each]))
        assert [row["id"] for row in await trail.rows(audit_entries, organization)][-count:] == ids
    assert costs[1] == 2 < costs[0]
    assert await trail.all_hold()


async def test_the_first_entry_vouches_for_those_from_before_the_chain(trail: Trail) -> None:
    organization = trail.organizations[0]
    await trail.write_ten(organization)
    await trail.do(
        audit_personal.delete(),
        audit_heads.delete(),
        audit_entries.update().values(sequence=None, hash=None, personal_digest=None),
    )
    report = await trail.verify(organization)
    assert (report.holds, report.entries, report.older) == (True, 0, 10)
    (identity,) = await trail.write(organization, "order.moved")
    report = await trail.verify(organization)
    assert (report.holds, report.entries, report.older) == (True, 1, 10)

    await trail.save()
    row = next(row for row in await trail.rows(audit_entries, organization) if row["sequence"] is None)
    older, forged = row["id"], {**row, "id": identity[:-4] + "0000"}
    for tampering in (
        audit_entries.delete().where(audit_entries.c.id == older),
        audit_entries.update().where(audit_entries.c.id == older).values(actor="usr_other"),
        audit_entries.insert().values(forged),
    ):
        await trail.do(tampering)
        assert await trail.kinds(organization) == [("ALTERED", 1)]
        await trail.restore()
    await trail.do(audit_entries.update().where(audit_entries.c.id == older).values(hash="0" * 64))
    assert await trail.kinds(organization) == [("OLDER", None)]


async def test_what_is_about_access_is_an_event_of_the_organization_and_nothing_else_is(trail: Trail) -> None:
    organization = trail.organizations[0]
    scope = trail.database.scoped(organization)
    seen = len(await events_of(scope))
    about_access = [f"{beginning}something" for beginning in sorted(ACCESS_ACTIONS)]
    ids = await trail.write(organization, "order.moved", *about_access, "payment.refunded")
    await trail.write(None, *about_access)
    found: list[EventRow] = (await events_of(scope))[seen:]
    assert [(each.type, each.platform_key, each.subject_id) for each in found] == [
        ("SecurityEvent", "tributary", identity) for identity in ids[1:-1]
    ]
    everything = await trail.database.unscoped("tests look").fetch(select(func.count()).select_from(audit_entries), int)
    assert everything == [len(ids) + len(about_access)]


async def test_details_that_would_not_come_back_as_they_went_in_are_refused(trail: Trail) -> None:
    organization = trail.organizations[0]
    for details, refusal in (
        ({"rate": 0.1}, TypeError),
        ({"at": object()}, TypeError),
        ({"among": [{"others": "\0"}]}, UnstorableText),
    ):
        with pytest.raises(refusal):
            async with trail.database.scoped(organization).transaction() as transaction:
                await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None, "LOW", details))
    odd = {"ü": ["\U0001f600", -(2**62), True, None], "a": {"nested": [], "": "\n"}}
    async with trail.database.scoped(organization).transaction() as transaction:
        await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None, "LOW", odd))
    assert (await trail.verify(organization)).entries == 1
    assert await trail.all_hold()


async def test_without_the_key_nothing_is_written_and_nothing_verified(trail: Trail) -> None:
    keyless = Database(trail.database.url.render_as_string(hide_password=False))
    try:
        with pytest.raises(MissingAuditKey):
            async with keyless.scoped(trail.organizations[0]).transaction() as transaction:
                await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None))
    finally:
        await keyless.close()
    await trail.write(trail.organizations[0], "order.moved")
    trail.database.audit_key = bytes(32)
    assert await trail.kinds(trail.organizations[0]) == [("ALTERED", 1)]


def writing(url: str, organization: str) -> subprocess.Popen[bytes]:
    """A process that writes without end."""
    arguments = [sys.executable, "-P", str(WRITER), url, KEY.hex(), organization]
    return subprocess.Popen(arguments, env=environment({}), stdout=subprocess.PIPE)


async def test_a_writer_that_is_killed_leaves_whole_chains(trail: Trail) -> None:
    draw = Random(int.from_bytes(os.urandom(4), "big"))  # noqa: S311 -- when to strike
    url = trail.database.url.set(drivername=trail.database.dialect).render_as_string(hide_password=False)
    organization = trail.organizations[0]
    written = 0
    for _ in range(3):
        with writing(url, organization) as writer:
            assert writer.stdout is not None
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(draw.randrange(1, 40)):
                    assert await asyncio.to_thread(writer.stdout.readline), "the writer ended by itself"
                    written += 1
            writer.kill()
        assert await trail.all_hold()
        assert (await trail.verify(organization)).entries >= written
    await trail.write(organization, "order.moved")
    assert await trail.all_hold()
