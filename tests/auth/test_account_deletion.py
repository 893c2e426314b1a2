"""The end of an account: the person goes everywhere at once, and what the books need stays without them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import bindparam, func, insert, or_, select, text

from auth.principal import MemberRole
from auth.scopes import ROLE_SCOPES
from datasources.database.audit_verify import verify_chain
from datasources.database.columns import Id
from datasources.database.engine import Database
from datasources.database.tables.access import (
    api_keys,
    audit_personal,
    familiar_places,
    identities,
    invitations,
    mail_links,
    outgoing_mails,
    sessions,
)
from datasources.database.tables.gateway import memberships, organizations
from datasources.database.tables.metadata import metadata
from gateway.demo import PASSWORD
from tests.auth.newcomers import Newcomer, announced, change_user, join, letters_to, newcomer, user_row
from tests.auth.visitor import GOOD, NO, Visitor, trail
from tests.serving import GRACE, Running

pytestmark = pytest.mark.anyio

GONE: dict[str, Any] = {"userErrors": []}
MAKE_KEY = """mutation { createApiKey(input: {name: "till", scopes: ["orders:read"]}) {
  apiKey { id } secret userErrors { message } } }"""
INVITE = """mutation ($email: EmailAddress!) { inviteMember(input: {email: $email, role: MEMBER}) {
  invitation { id } userErrors { message } } }"""


@pytest.fixture
def ada(gateway: Running) -> Newcomer:
    """Somebody with an account, alone in her organization."""
    return newcomer(gateway)


def leave(person: Newcomer, password: str = GOOD) -> dict[str, Any]:
    """The payload of ``deleteAccount``."""
    return person.act("deleteAccount", password=password)


async def rows_of(database: Database, statement: Any, **parameters: object) -> list[Any]:
    """What the database has, whoever's it is."""
    scope = database.unscoped("tests look behind the gateway")
    return await scope.fetch(statement, lambda *cells: cells if len(cells) > 1 else cells[0], parameters)


async def places(database: Database, user_id: str) -> list[str]:
    """The organizations of a person."""
    return await rows_of(
        database,
        select(memberships.c.organization_id).where(memberships.c.user_id == bindparam("u", type_=Id)),
        u=user_id,
    )


async def whole_database(database: Database) -> str:
    """Every row of every table, as text."""
    found = []
    async with database.writer.connect() as connection:
        for table in metadata.sorted_tables:
            rows = await connection.execute(text(f"SELECT * FROM {table.name}"))  # noqa: S608 -- names of our tables
            found.append(f"{table.name}: {[tuple(row) for row in rows.fetchall()]}")
    return "\n".join(found)


def told(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    """The codes and places of the user errors."""
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def test_a_person_goes_and_leaves_a_pseudonym(gateway: Running, database: Database, ada: Newcomer) -> None:
    ada.act("updateProfile", name="Adelheid Xq", bio="Adelheid of Xq", website="https://example.com/xq")
    other_device = ada.elsewhere()
    secret = ada.visitor.ask(MAKE_KEY)["data"]["createApiKey"]["secret"]
    ada.visitor.at("192.0.2.9").run("login", email=ada.email, password="wrong")
    ada.visitor.ask(INVITE, {"email": "friend@example.com"})
    scopes = '", "'.join(sorted(ROLE_SCOPES[MemberRole.ADMIN]))
    hand = ada.visitor.ask(MAKE_KEY.replace("orders:read", scopes))["data"]["createApiKey"]["secret"]
    invited = Visitor(gateway, token=hand).ask(INVITE, {"email": "stranger@example.com"})
    assert invited["data"]["inviteMember"]["userErrors"] == []
    async with database.writer.connect() as connection, connection.begin():
        about = {
            "issuer": "https://issuer.example",
            "subject": "ada-xq",
            "user_id": ada.id,
            "linked_at": datetime.now(UTC),
        }
        await connection.execute(insert(identities), about)
    assert await announced(database, ada.id) == 0
    assert leave(ada) == GONE
    assert await announced(database, ada.id) > 0
    everything = await whole_database(database)

    assert ada.visitor.whoami() is None
    assert other_device.whoami() is None
    refused = Visitor(gateway, token=secret).ask("{ organization { id } }")
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert ada.visitor.run("login", email=ada.email, password=GOOD) == NO
    row = await user_row(database, ada.id)
    assert row["email"] == row["email_key"] == f"deleted-{ada.id}@deleted.invalid"
    assert row["deleted_at"] is not None
    cleared = ("password_hash", "name", "avatar_url", "bio", "company", "website", "email_verified_at")
    assert {row[name] for name in cleared} == {None}
    assert (row["skills"], row["interests"], row["preferences"]) == ([], [], {})
    assert await places(database, ada.id) == []
    for table in (identities, familiar_places, mail_links):
        statement = select(func.count()).select_from(table).where(table.c.user_id == bindparam("u", type_=Id))
        assert await rows_of(database, statement, u=ada.id) == [0], table.name
    assert None not in await rows_of(
        database, select(sessions.c.ended_at).where(sessions.c.user_id == bindparam("u", type_=Id)), u=ada.id
    )
    # Nothing of her is left anywhere, but in the last mail to her, which is sealed, and goes when it is sent.
    for trace in (ada.email, ada.email.lower(), "Adelheid", "ada-xq", ada.visitor.place):
        assert trace not in everything, trace
    (last,) = await letters_to(gateway, database, ada.email, "account_deleted")
    assert "Adelheid" in last.text
    waiting = (
        select(func.count())
        .select_from(outgoing_mails)
        .where(outgoing_mails.c.user_id == bindparam("u", type_=Id), outgoing_mails.c.sent_at.is_(None))
    )
    assert await rows_of(database, waiting, u=ada.id) == [0]
    # The organization stays for the books, closed.
    (name,) = await rows_of(
        database,
        select(organizations.c.name).where(organizations.c.id == bindparam("o", type_=Id)),
        o=ada.organization_id,
    )
    assert name.startswith("Haus")
    open_ones = (
        select(func.count())
        .select_from(invitations)
        .where(invitations.c.organization_id == bindparam("o", type_=Id), invitations.c.withdrawn_at.is_(None))
    )
    assert await rows_of(database, open_ones, o=ada.organization_id) == [0]
    deleted = [entry for entry in await trail(database, "account.deleted") if entry["target_id"] == ada.id]
    assert [(each["organization_id"], each["risk"], each["address"]) for each in deleted] == [
        (ada.organization_id, "HIGH", None)
    ]


async def test_nobody_else_is_touched(gateway: Running, database: Database, ada: Newcomer) -> None:
    other = newcomer(gateway)
    secret = other.visitor.ask(MAKE_KEY)["data"]["createApiKey"]["secret"]
    graces = Visitor(gateway, "192.0.2.202")
    graces.signed_in("login", email=GRACE, password=PASSWORD)
    aside = select(func.count()).select_from(audit_personal).where(audit_personal.c.user_id == bindparam("u", type_=Id))
    before = (await user_row(database, other.id), await rows_of(database, aside, u=other.id))
    leave(ada)
    assert (await user_row(database, other.id), await rows_of(database, aside, u=other.id)) == before
    assert other.visitor.whoami() == other.email
    assert graces.whoami() == GRACE
    assert Visitor(gateway, token=secret).ask("{ organization { id } }")["data"]["organization"]["id"] == (
        other.organization_id
    )


async def test_the_wrong_password_deletes_nothing(database: Database, ada: Newcomer) -> None:
    before = await user_row(database, ada.id)
    assert told(leave(ada, "wrong")) == [("INVALID", ["password"])]
    assert [told(leave(ada, "wrong")) for _ in range(10)][-1] == [("RATE_LIMITED", None)]
    assert told(leave(ada)) == [("RATE_LIMITED", None)]
    assert await user_row(database, ada.id) == before
    assert ada.visitor.whoami() == ada.email
    assert await places(database, ada.id) == [ada.organization_id]


async def test_the_last_owner_hands_on_first(gateway: Running, database: Database, ada: Newcomer) -> None:
    member = newcomer(gateway)
    await join(database, member.id, ada.organization_id, "ADMIN")
    before = await user_row(database, ada.id)
    refused = leave(ada)
    assert told(refused) == [("CONFLICT", None)]
    assert "Haus" in refused["userErrors"][0]["message"]
    assert await user_row(database, ada.id) == before
    assert ada.visitor.whoami() == ada.email
    # A member who is no owner goes without a word, and so does an owner who is not the last.
    promote = ada.act("changeMemberRole", userId=member.id, role="OWNER")
    assert promote == {"userErrors": []}
    assert leave(ada) == GONE
    assert sorted(await places(database, member.id)) == sorted([member.organization_id, ada.organization_id])
    there = member.visitor.ask(
        "{ organization { members { user { id } role } } }", x_organization_id=ada.organization_id
    )
    assert there["data"]["organization"]["members"] == [{"user": {"id": member.id}, "role": "OWNER"}]


async def test_an_owner_who_cannot_sign_in_is_no_successor(gateway: Running, database: Database, ada: Newcomer) -> None:
    barred = newcomer(gateway)
    await join(database, barred.id, ada.organization_id, "OWNER")
    await change_user(database, barred.id, disabled_at=datetime.now(UTC))
    assert told(leave(ada)) == [("CONFLICT", None)]


async def test_of_two_last_owners_who_leave_at_once_one_stays(gateway: Running, database: Database) -> None:
    for _ in range(3):
        ada, eve, member = newcomer(gateway), newcomer(gateway), newcomer(gateway)
        await join(database, eve.id, ada.organization_id, "OWNER")
        await join(database, member.id, ada.organization_id, "MEMBER")
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(leave, (ada, eve)))
        assert sorted(told(answer) for answer in answers) == [[], [("CONFLICT", None)]]
        owners = select(func.count()).where(
            memberships.c.organization_id == bindparam("o", type_=Id), memberships.c.role == "OWNER"
        )
        assert await rows_of(database, owners, o=ada.organization_id) == [1]


async def test_the_keys_and_invitations_of_a_member_go_with_them(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    admin = newcomer(gateway)
    await join(database, admin.id, ada.organization_id, "ADMIN")
    theirs = admin.visitor.ask(MAKE_KEY, x_organization_id=ada.organization_id)["data"]["createApiKey"]
    hers = ada.visitor.ask(MAKE_KEY)["data"]["createApiKey"]
    assert leave(admin) == GONE
    state = dict(
        await rows_of(
            database,
            select(api_keys.c.id, api_keys.c.revoked_at).where(
                or_(*(api_keys.c.id == each["apiKey"]["id"] for each in (theirs, hers)))
            ),
        )
    )
    assert state[theirs["apiKey"]["id"]] is not None
    assert state[hers["apiKey"]["id"]] is None
    assert Visitor(gateway, token=hers["secret"]).ask("{ organization { id } }")["data"]["organization"] is not None


async def test_who_has_no_password_is_told_how_to_get_one(database: Database, ada: Newcomer) -> None:
    await change_user(database, ada.id, password_hash=None)
    assert told(leave(ada, "")) == [("REQUIRED", ["password"])]
    assert (await user_row(database, ada.id))["deleted_at"] is None


def test_the_address_is_free_again(gateway: Running, ada: Newcomer) -> None:
    assert leave(ada) == GONE
    again = newcomer(gateway, email=ada.email)
    assert again.id != ada.id
    assert again.visitor.whoami() == ada.email


async def test_the_audit_trail_stays_whole(database: Database, gateway: Running, ada: Newcomer) -> None:
    ada.elsewhere()
    leave(ada)
    erased = [entry for entry in await trail(database, "account.erased") if entry["target_id"] == ada.id]
    assert erased
    assert sum(entry["details"]["count"] for entry in erased) > 0
    left = select(func.count()).select_from(audit_personal).where(audit_personal.c.user_id == bindparam("u", type_=Id))
    assert await rows_of(database, left, u=ada.id) == [0]
    key = gateway.app.state.gateway.services.database.audit_key
    keyed = Database(gateway.database_url, pool_size=1, audit_key=key)
    try:
        assert (await verify_chain(keyed, ada.organization_id)).holds
    finally:
        await keyed.close()


def test_cookies_are_taken_back(gateway: Running, ada: Newcomer) -> None:
    page = ada.visitor.at("192.0.2.33")
    session = page.run("login", email=ada.email, password=GOOD, cookie=True)["session"]
    answer = page.ask(
        "mutation ($p: String!) { deleteAccount(input: {password: $p}) { userErrors { code } } }",
        {"p": GOOD},
        x_csrf_token=session["csrfToken"],
    )
    assert answer["data"]["deleteAccount"] == GONE
    assert page.cookies == {}
