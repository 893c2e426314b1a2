"""Signing in: one answer and one amount of work for all that does not fit together."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text

from auth.principal import MemberRole
from auth.scopes import ROLE_SCOPES
from datasources.database.engine import Database
from datasources.database.tables.access import audit_entries
from datasources.database.tables.gateway import organizations
from gateway.demo import PASSWORD
from tests.orders.desk import KENJI, VICTOR, add_viewer, count_of, organization_of
from tests.serving import ADA, GRACE, Running

pytestmark = pytest.mark.anyio

LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) { session { organization { name } accessToken } userErrors { code message field } }
}"""
NO = {
    "session": None,
    "userErrors": [{"code": "INVALID", "message": "That address and password do not fit together.", "field": None}],
}
NOOR, DISABLED, HASHLESS = "noor@example.com", "marisol@example.com", "joao@example.com"


@pytest.fixture
async def database(gateway: Running) -> AsyncIterator[Database]:
    """The database behind the gateway."""
    found = Database(gateway.database_url, pool_size=1)
    yield found
    await found.close()


@pytest.fixture
async def some_cannot(database: Database) -> None:
    """Marisol's account is disabled, João's has no password."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(
            text("UPDATE users SET disabled_at = created_at WHERE email_key = :email"), {"email": DISABLED}
        )
        await connection.execute(
            text("UPDATE users SET password_hash = NULL WHERE email_key = :email"), {"email": HASHLESS}
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


def login(gateway: Running, email: str, password: str, **more: str) -> dict[str, Any]:
    """What ``login`` answers."""
    found: dict[str, Any] = gateway.data(LOGIN, {"input": {"email": email, "password": password, **more}})["login"]
    return found


async def test_what_does_not_fit_together_gets_one_answer_and_one_verification(
    gateway: Running, some_cannot: None, verifications: list[str]
) -> None:
    attempts = [
        (ADA, "wrong"),
        (ADA, ""),
        (ADA, PASSWORD + " "),
        (ADA, PASSWORD.upper()),
        (ADA, "x" * 10_000),
        ("nobody@example.com", PASSWORD),
        ("nobody@example.com", "the password of nobody"),
        (DISABLED, PASSWORD),
        (DISABLED, "wrong"),
        (HASHLESS, PASSWORD),
        (HASHLESS, "the password of nobody"),
        (HASHLESS, ""),
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


async def test_a_password_of_more_than_256_characters_fits_nobody(gateway: Running, database: Database) -> None:
    longest = "ü" * 256
    hashed = gateway.app.state.gateway.services.sign_in._passwords.hash_now(longest)
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(
            text("UPDATE users SET password_hash = :hash WHERE email_key = :email"), {"hash": hashed, "email": KENJI}
        )
    assert login(gateway, KENJI, longest)["session"] is not None
    assert login(gateway, KENJI, longest + "x") == NO


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
    sessions = await count_of(database, audit_entries)
    for foreign in (ids["Lakeside Collective"], "org_" + "0" * 26, "", "nonsense"):
        assert login(gateway, NOOR, PASSWORD, organizationId=foreign) == NO
    assert await count_of(database, audit_entries) == sessions


async def test_a_session_is_written_to_the_audit_trail_of_its_organization(
    gateway: Running, database: Database
) -> None:
    scope = database.unscoped("tests look behind the gateway")
    sessions = (
        select(audit_entries.c.organization_id, audit_entries.c.details)
        .where(audit_entries.c.action == "session.opened")
        .order_by(audit_entries.c.at.desc())
    )
    before = await scope.fetch(sessions, lambda *cells: cells)
    assert login(gateway, GRACE, PASSWORD)["session"] is not None
    after = await scope.fetch(sessions, lambda *cells: cells)
    assert after == [(await organization_of(database, GRACE), {}), *before]


async def test_a_role_has_the_scopes_that_are_written_down(gateway: Running, database: Database) -> None:
    await add_viewer(database)
    verify = gateway.app.state.gateway.services.sign_in._tokens.verify
    for email, role in ((ADA, MemberRole.OWNER), (VICTOR, MemberRole.VIEWER)):
        principal = verify(gateway.token(email))
        assert (principal.role, principal.scopes) == (role, ROLE_SCOPES[role])
    assert ROLE_SCOPES[MemberRole.VIEWER] < ROLE_SCOPES[MemberRole.MEMBER] < ROLE_SCOPES[MemberRole.ADMIN]


def test_the_demo_data_has_no_secret_in_a_file(seeded_sqlite: Path) -> None:
    """A password is in the database as a hash only."""
    assert PASSWORD.encode() not in seeded_sqlite.read_bytes()
