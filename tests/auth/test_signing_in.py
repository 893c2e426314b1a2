"""Signing in: one answer and one amount of work for all that does not fit together."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text, update

from auth.access import Access
from auth.caller import Caller
from auth.passwords import Passwords
from auth.principal import MemberRole
from auth.rights import Rights
from auth.scopes import ROLE_SCOPES
from datasources.database.engine import Database
from datasources.database.tables.access import sessions
from datasources.database.tables.gateway import organizations, users
from gateway.demo import PASSWORD
from tests.auth.visitor import NO, Visitor, trail
from tests.orders.desk import VICTOR, add_viewer, count_of, organization_of
from tests.schema.in_process import in_process, statements
from tests.serving import ADA, GRACE, Running

pytestmark = pytest.mark.anyio

LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) { session { organization { name } accessToken } userErrors { code message field } }
}"""
NOOR, DISABLED, HASHLESS, DELETED = "noor@example.com", "marisol@example.com", "joao@example.com", "kenji@example.com"
RIGHT, WRONG = PASSWORD, "the password of nobody"


@pytest.fixture
async def some_cannot(database: Database) -> None:
    """Marisol's account is disabled, João's has no password, Kenji's is deleted."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(
            text("UPDATE users SET disabled_at = created_at WHERE email_key = :email"), {"email": DISABLED}
        )
        await connection.execute(
            text("UPDATE users SET password_hash = NULL WHERE email_key = :email"), {"email": HASHLESS}
        )
        await connection.execute(
            text("UPDATE users SET deleted_at = created_at WHERE email_key = :email"), {"email": DELETED}
        )


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that Argon2 computed against, one for each verification that did the work."""
    done: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, hash: str, password: str) -> bool:
        if hash.startswith("$argon2id$"):
            done.append(hash)
        return bool(verify(self, hash, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    return done


async def set_hash(database: Database, email: str, password_hash: str) -> None:
    """Gives a person another password, behind the back of everybody."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(users).where(users.c.email_key == email).values(password_hash=password_hash))


@pytest.fixture
async def grace(database: Database) -> AsyncIterator[str]:
    """Grace, whose password a test may change: she has hers back afterwards."""
    before = await hash_of(database, GRACE)
    yield GRACE
    await set_hash(database, GRACE, before)


async def hash_of(database: Database, email: str) -> str:
    """What is kept of a person's password."""
    async with database.writer.connect() as connection:
        statement = select(users.c.password_hash).where(users.c.email_key == email)
        return str((await connection.execute(statement)).scalar_one())


def cheap() -> Passwords:
    """Hashes as the gateways of tests do."""
    return Passwords(memory_kib=64, time_cost=1)


_TOLD = re.compile(r"^(INSERT INTO events|UPDATE users SET password_hash).*")
_places = count(1)


def login(gateway: Running, email: str, password: str, **more: str) -> dict[str, Any]:
    """What ``login`` answers, each time from another place: what is tried too often is told in ``test_throttle``."""
    number = next(_places)
    visitor = Visitor(gateway, f"2001:db8:{number:x}::1")
    found: dict[str, Any] = visitor.ask(LOGIN, {"input": {"email": email, "password": password, **more}})["data"]
    payload: dict[str, Any] = found["login"]
    return payload


async def test_what_does_not_fit_together_gets_one_answer_and_one_verification(
    gateway: Running, some_cannot: None, verifications: list[str]
) -> None:
    attempts = [
        (ADA, "wrong"),
        (ADA, ""),
        (ADA, PASSWORD + " "),
        (ADA, PASSWORD.upper()),
        (ADA, "x" * 10_000),
        *(
            (email, password)
            for email in ("nobody@example.com", DISABLED, HASHLESS, DELETED)
            for password in (RIGHT, WRONG, "")
        ),
    ]
    for number, (email, password) in enumerate(attempts, 1):
        assert login(gateway, email, password) == NO, (email, password)
        assert len(verifications) == number
    assert login(gateway, ADA, PASSWORD)["userErrors"] == []
    assert len(verifications) == len(attempts) + 1


async def test_an_account_whose_hash_is_none_costs_what_every_other_does(
    gateway: Running, database: Database, verifications: list[str]
) -> None:
    """Data that was seeded without a password has a mark for a hash; its people must not be told apart by the time."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(text("UPDATE users SET password_hash = '!' WHERE email_key = :e"), {"e": HASHLESS})
    assert login(gateway, HASHLESS, PASSWORD) == NO
    assert len(verifications) == 1


async def test_known_or_not_an_address_makes_the_same_statements(
    database_url: str, tmp_path: Path, some_cannot: None
) -> None:
    """In the same order; where an organization gets an event, what is nobody's writes to no row."""
    async with in_process(database_url, tmp_path) as here:
        ran = {}
        for email in (GRACE, "nobody@example.com", "nobody-else@example.com", DISABLED, HASHLESS, DELETED):
            for attempt in range(6):
                with statements() as found:
                    answer = await here.post(LOGIN, {"input": {"email": email, "password": WRONG}})
                code = answer["data"]["login"]["userErrors"][0]["code"]
                assert code == ("INVALID" if attempt < 5 else "RATE_LIMITED")
                # The first entry of a chain makes the row that is its head.
                if attempt > 0:
                    texts = [re.sub(r"\s+", " ", each)[:40] for each in found]
                    ran[email, attempt] = [_TOLD.sub("tell", each) for each in texts]
        for attempt in range(1, 6):
            kinds = {str(each) for (_, number), each in ran.items() if number == attempt}
            assert len(kinds) == 1, kinds


async def test_a_password_of_more_than_256_characters_fits_nobody(
    gateway: Running, database: Database, grace: str
) -> None:
    longest = "ü" * 256
    await set_hash(database, grace, cheap().hash_now(longest))
    assert login(gateway, grace, longest)["session"] is not None
    assert login(gateway, grace, longest + "x") == NO


async def test_a_password_is_the_same_from_every_keyboard(gateway: Running, database: Database, grace: str) -> None:
    """One writes é as one character, another as two; a third has a ligature."""
    await set_hash(database, grace, cheap().hash_now("caf\u00e9 fil de fer"))
    for typed in ("caf\u00e9 fil de fer", "cafe\u0301 fil de fer", "caf\u00e9 \ufb01l de fer"):
        assert login(gateway, grace, typed)["session"] is not None
    assert login(gateway, grace, "cafe fil de fer") == NO


async def test_a_hash_of_another_day_is_renewed_by_signing_in(gateway: Running, database: Database, grace: str) -> None:
    """The gateway's parameters have changed since; wrong passwords change nothing."""
    dated = Passwords(memory_kib=128, time_cost=2).hash_now(PASSWORD)
    await set_hash(database, grace, dated)
    assert login(gateway, grace, WRONG) == NO
    assert await hash_of(database, grace) == dated
    assert login(gateway, grace, PASSWORD)["session"] is not None
    renewed = await hash_of(database, grace)
    assert "m=64,t=1,p=1" in renewed
    assert login(gateway, grace, PASSWORD)["session"] is not None
    assert await hash_of(database, grace) == renewed


async def test_a_password_that_was_changed_meanwhile_opens_no_session(
    database_url: str, tmp_path: Path, grace: str
) -> None:
    """Between the check, which takes a while, and the session that follows on it."""
    async with in_process(database_url, tmp_path) as here:
        await set_hash(here.database, grace, cheap().hash_now(PASSWORD))
        sign_in = here.gateway.services.accounts.sign_in
        caller = Caller(address="203.0.113.77")
        checked = await sign_in.check(grace, PASSWORD, caller)
        assert checked is not None
        await set_hash(here.database, grace, cheap().hash_now("another password now"))
        async with here.database.scoped(await organization_of(here.database, grace)).transaction() as transaction:
            assert not await sign_in.confirm(transaction, checked, caller)


async def test_an_address_is_known_however_it_is_written(gateway: Running) -> None:
    assert login(gateway, "ADA@Example.COM", PASSWORD)["session"] is not None


async def test_a_person_signs_in_to_an_organization_of_their_own_only(gateway: Running, database: Database) -> None:
    scope = database.unscoped("tests look behind the gateway")
    ids = dict(await scope.fetch(select(organizations.c.name, organizations.c.id), lambda *cells: cells))
    first = login(gateway, NOOR, PASSWORD)["session"]["organization"]["name"]
    assert first in ("Papierflieger", "Casa Marea")
    for name in ("Papierflieger", "Casa Marea"):
        found = login(gateway, NOOR, PASSWORD, organizationId=ids[name])
        assert found["session"]["organization"] == {"name": name}
    opened = await count_of(database, sessions)
    for foreign in (ids["Lakeside Collective"], "org_" + "0" * 26, "", "nonsense"):
        assert login(gateway, NOOR, PASSWORD, organizationId=foreign) == NO
    assert await count_of(database, sessions) == opened


async def test_a_session_is_written_to_the_audit_trail_of_its_organization(
    gateway: Running, database: Database
) -> None:
    before = await trail(database, "session.opened")
    assert login(gateway, GRACE, PASSWORD)["session"] is not None
    (entry,) = (await trail(database, "session.opened"))[len(before) :]
    assert entry["organization_id"] == await organization_of(database, GRACE)
    assert (entry["risk"], entry["details"]) == ("LOW", {"method": "PASSWORD"})
    assert entry["address"].startswith("2001:db8:")


async def test_a_role_has_the_scopes_that_are_written_down(gateway: Running, database: Database) -> None:
    await add_viewer(database)
    behind = gateway.app.state.gateway.access
    access = Access(Rights(database, token_lifetime=timedelta(minutes=30)), behind.tokens, behind.cookies)
    for email, role in ((ADA, MemberRole.OWNER), (VICTOR, MemberRole.VIEWER)):
        principal = await access.authenticate(Caller({"authorization": f"Bearer {gateway.token(email)}"}))
        assert (principal.role, principal.scopes) == (role, ROLE_SCOPES[role])
    assert ROLE_SCOPES[MemberRole.VIEWER] < ROLE_SCOPES[MemberRole.MEMBER] < ROLE_SCOPES[MemberRole.ADMIN]


def test_the_demo_data_has_no_secret_in_a_file(seeded_sqlite: Path) -> None:
    """A password is in the database as a hash only."""
    assert PASSWORD.encode() not in seeded_sqlite.read_bytes()
