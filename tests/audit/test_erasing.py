"""A person's data goes, in every organization, and each chain stays provable."""

import contextlib

import pytest
from sqlalchemy import delete

from datasources.database.audit import NewAuditEntry, append_audit, erase_personal
from datasources.database.engine import Origin
from datasources.database.tables.access import audit_entries, audit_personal
from tests.audit.trail import HOME, Trail

pytestmark = pytest.mark.anyio

ADA, GRACE = Origin("203.0.113.7", "a browser", "usr_ada"), Origin("198.51.100.1", "a phone", "usr_grace")
NO_ONE = Origin("192.0.2.4", None, None)


async def sign_in(trail: Trail, organization: str | None, origin: Origin, email: str | None = None) -> None:
    """Leaves an entry as a sign-in does."""
    async with trail.database.scoped(organization, origin).transaction() as transaction:
        entry = NewAuditEntry(origin.user_id or "nobody", "session.opened", None, email=email)
        await append_audit(transaction, entry)


async def test_what_is_kept_aside_of_a_person_is_erased_everywhere_and_the_chains_hold(trail: Trail) -> None:
    first, second, third, *_ = trail.organizations
    for organization in (first, second, third):
        await sign_in(trail, organization, GRACE)
    for organization in (first, first, second):
        await sign_in(trail, organization, ADA)
    await sign_in(trail, None, NO_ONE, "ADA@example.com")
    await sign_in(trail, None, NO_ONE, "grace@example.com")

    async with trail.database.scoped(first, ADA).transaction() as transaction:
        await append_audit(transaction, NewAuditEntry("usr_ada", "account.deleted", "usr_ada"))
        assert await erase_personal(transaction, "usr_ada", email="ada@example.com") == 4

    aside = [dict(row) for each in (first, second, third, None) for row in await trail.rows(audit_personal, each)]
    assert {row["user_id"] for row in aside} == {"usr_grace", None}
    assert {row["email"] for row in aside} == {"grace@example.com", None}
    assert len(aside) == 4
    told = {
        each: [
            (row["actor"], row["details"])
            for row in await trail.rows(audit_entries, each)
            if row["action"] == "account.erased"
        ]
        for each in (first, second, third, None)
    }
    assert told == {
        first: [("usr_ada", {"count": 2})],
        second: [("usr_ada", {"count": 1})],
        third: [],
        None: [("usr_ada", {"count": 1})],
    }
    assert await trail.all_hold()
    assert [(await trail.verify(each)).erased for each in (first, second, third, None)] == [2, 1, 0, 1]


async def test_what_else_disappears_is_not_passed_off_as_erased(trail: Trail) -> None:
    first, *_ = trail.organizations
    for origin in (ADA, ADA, GRACE):
        await sign_in(trail, first, origin)
    async with trail.database.scoped(first, ADA).transaction() as transaction:
        await erase_personal(transaction, "usr_ada")
    assert await trail.all_hold()
    await trail.do(delete(audit_personal).where(audit_personal.c.user_id == "usr_grace"))
    (finding,) = (await trail.verify(first)).findings
    assert finding.kind == "PERSONAL"
    assert finding.text == "the personal data of 3 entries is gone, and of 2 it was erased"


async def test_an_erasure_that_is_undone_erases_nothing(trail: Trail) -> None:
    first, *_ = trail.organizations
    await sign_in(trail, first, ADA)
    with contextlib.suppress(ZeroDivisionError):
        async with trail.database.scoped(first).transaction() as transaction:
            assert await erase_personal(transaction, "usr_ada") == 1
            raise ZeroDivisionError
    assert len(await trail.rows(audit_personal, first)) == 1
    assert (await trail.verify(first)).entries == 1


async def test_who_left_nothing_is_noted_all_the_same(trail: Trail) -> None:
    first, *_ = trail.organizations
    async with trail.database.scoped(first).transaction() as transaction:
        assert await erase_personal(transaction, HOME.user_id or "") == 0
    (entry,) = await trail.rows(audit_entries, first)
    assert (entry["actor"], entry["action"], entry["details"]) == ("system", "account.erased", {"count": 0})
