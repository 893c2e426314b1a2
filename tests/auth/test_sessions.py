"""Sessions: refreshed with tokens that work once, ended at once, here, everywhere and in other processes."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from auth.access import Access
from auth.accounts import Accounts
from auth.caller import Caller
from auth.key_format import PREFIX_LENGTH, new_secret
from auth.rights import Rights
from datasources.database.engine import Database
from datasources.database.ids import new_id
from datasources.database.tables.access import api_keys, refresh_tokens, sessions
from datasources.database.tables.gateway import memberships, organizations, users
from gateway.demo import PASSWORD
from tests.auth.visitor import OVER, Visitor, share_keys, trail
from tests.schema.in_process import in_process
from tests.serving import ADA, GRACE, Running, running

pytestmark = pytest.mark.anyio

NOOR = "noor@example.com"
"""Belongs to two organizations."""


@pytest.fixture
def visitor(gateway: Running) -> Visitor:
    """Somebody who has not signed in yet."""
    return Visitor(gateway)


@pytest.fixture(scope="module")
def beside(gateway: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Another process on the same database, with the same keys."""
    with running(gateway.database_url, share_keys(gateway, tmp_path_factory.mktemp("beside"))) as server:
        yield server


def login(visitor: Visitor, email: str = ADA, **more: object) -> dict[str, Any]:
    """Signs a seeded person in."""
    return visitor.signed_in("login", email=email, password=PASSWORD, **more)


async def set_session(database: Database, session_id: str, **values: object) -> None:
    """Lets a session be as if time had passed."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))


def until_refused(visitor: Visitor) -> float:
    """Waits until the gateway no longer knows the visitor; returns for how many seconds."""
    begun = time.monotonic()
    while visitor.whoami() is not None:
        assert time.monotonic() - begun < 60, "the token still holds"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_refresh_token_brings_the_next_tokens(visitor: Visitor) -> None:
    first = login(visitor)
    assert first["refreshToken"].startswith("trr_")
    second = visitor.signed_in("refreshSession", refreshToken=first["refreshToken"])
    assert second["id"] == first["id"]
    assert second["refreshToken"] != first["refreshToken"]
    assert (second["user"], second["organization"]) == (first["user"], first["organization"])
    assert visitor.whoami() == ADA
    third = visitor.signed_in("refreshSession", refreshToken=second["refreshToken"])
    assert third["id"] == first["id"]


async def test_only_digests_of_refresh_tokens_are_stored(visitor: Visitor, database: Database) -> None:
    token = login(visitor)["refreshToken"]
    async with database.writer.connect() as connection:
        rows = (await connection.execute(select(refresh_tokens))).fetchall()
    assert rows
    assert all(len(row.digest) == 32 for row in rows)
    assert token.encode() not in repr(rows).encode()


async def test_a_token_that_is_used_again_ends_the_whole_session(visitor: Visitor, database: Database) -> None:
    """Of the one who was robbed and the one who robbed them nobody can say who came first."""
    stolen = login(visitor)["refreshToken"]
    newest = visitor.signed_in("refreshSession", refreshToken=stolen)
    before = await trail(database, "session.reused_refresh_token")
    thief = visitor.at("198.51.100.66")
    assert thief.run("refreshSession", refreshToken=stolen) == OVER
    assert visitor.whoami() is None
    assert visitor.run("refreshSession", refreshToken=newest["refreshToken"]) == OVER
    (entry,) = (await trail(database, "session.reused_refresh_token"))[len(before) :]
    assert entry["target_id"] == newest["id"]
    assert (entry["risk"], entry["address"]) == ("HIGH", "198.51.100.66")
    assert entry["organization_id"] == newest["organization"]["id"]
    # Once is enough: the same again is nothing new.
    assert thief.run("refreshSession", refreshToken=stolen) == OVER
    assert len(await trail(database, "session.reused_refresh_token")) == len(before) + 1


def test_the_sessions_beside_it_are_left_alone(visitor: Visitor) -> None:
    beside, victim = visitor.at("203.0.113.2"), login(visitor)["refreshToken"]
    login(beside)
    grace = visitor.at("203.0.113.3")
    login(grace, GRACE)
    for _ in range(2):
        visitor.run("refreshSession", refreshToken=victim)
    assert (visitor.whoami(), beside.whoami(), grace.whoami()) == (None, ADA, GRACE)


def test_of_ten_who_come_at_once_with_one_token_one_gets_through(visitor: Visitor, beside: Running) -> None:
    """In two processes. The others look like thieves, so that nobody has a session after it: that is what strict is."""
    session = login(visitor)
    token = session["refreshToken"]
    with ThreadPoolExecutor(10) as threads:
        clients = [Visitor(each) for each in (visitor.gateway, beside) for _ in range(5)]
        answers = list(threads.map(lambda each: each.run("refreshSession", refreshToken=token), clients))
    won = [answer for answer in answers if answer["session"] is not None]
    assert len(won) == 1
    assert [answer for answer in answers if answer["session"] is None] == [OVER] * 9
    assert visitor.run("refreshSession", refreshToken=won[0]["session"]["refreshToken"]) == OVER
    until_refused(visitor)


async def test_whatever_is_wrong_with_a_refresh_token_the_answer_is_one(visitor: Visitor, database: Database) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired, over, ended = login(visitor), login(visitor), login(visitor)
    async with database.writer.connect() as connection, connection.begin():
        of = refresh_tokens.c.session_id == expired["id"]
        await connection.execute(update(refresh_tokens).where(of).values(expires_at=past))
    await set_session(database, over["id"], ends_at=past)
    visitor.token = ended["accessToken"]
    visitor.run("logout")
    tokens = [each["refreshToken"] for each in (expired, over, ended)]
    before = await trail(database, "session.reused_refresh_token")
    tokens += ["", "trr_", "trr_" + "A" * 43, "trr_" + "é" * 43, "x" * 10_000, ended["accessToken"], tokens[0][:-1]]
    stranger = visitor.at("203.0.113.9")
    for token in tokens:
        assert stranger.run("refreshSession", refreshToken=token) == OVER, token
    assert await trail(database, "session.reused_refresh_token") == before
    answer = stranger.run("refreshSession")
    assert [error["code"] for error in answer["userErrors"]] == ["REQUIRED"]


async def test_a_session_has_a_last_day_however_often_it_is_refreshed(visitor: Visitor, database: Database) -> None:
    session = login(visitor)
    soon = datetime.now(UTC) + timedelta(hours=1)
    await set_session(database, session["id"], ends_at=soon)
    visitor.signed_in("refreshSession", refreshToken=session["refreshToken"])
    statement = (
        select(refresh_tokens.c.expires_at)
        .where(refresh_tokens.c.session_id == session["id"], refresh_tokens.c.used_at.is_(None))
        .limit(1)
    )
    async with database.writer.connect() as connection:
        assert (await connection.execute(statement)).scalar_one() == soon


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_who_may_not_sign_in_may_not_go_on(visitor: Visitor, database: Database, column: str) -> None:
    email = "marisol@example.com"
    token = login(visitor, email)["refreshToken"]
    person = update(users).where(users.c.email_key == email)
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(person.values({column: users.c.created_at}))
    try:
        assert visitor.run("refreshSession", refreshToken=token) == OVER
    finally:
        async with database.writer.connect() as connection, connection.begin():
            await connection.execute(person.values({column: None}))
    # The refusal has used nothing up.
    visitor.signed_in("refreshSession", refreshToken=token)


async def test_a_refresh_may_go_on_in_another_organization_of_the_person(visitor: Visitor, database: Database) -> None:
    places = (
        select(memberships.c.organization_id)
        .join(users, users.c.id == memberships.c.user_id)
        .where(users.c.email_key == NOOR)
    )
    foreign = select(organizations.c.id).where(organizations.c.name == "Lakeside Collective")
    scope = database.unscoped("tests look behind the gateway")
    (not_noors,) = await scope.fetch(foreign, str)
    session = login(visitor, NOOR)
    (other,) = set(await scope.fetch(places, str)) - {session["organization"]["id"]}
    for made_up in (not_noors, "org_" + "0" * 26, "nonsense"):
        answer = visitor.run("refreshSession", refreshToken=session["refreshToken"], organizationId=made_up)
        assert answer["session"] is None
        assert [(error["code"], error["field"]) for error in answer["userErrors"]] == [
            ("NOT_FOUND", ["organizationId"])
        ]
    moved = visitor.signed_in("refreshSession", refreshToken=session["refreshToken"], organizationId=other)
    assert moved["organization"]["id"] == other
    assert visitor.ask("{ organization { id } }")["data"]["organization"] == {"id": other}
    # It stays there.
    assert visitor.signed_in("refreshSession", refreshToken=moved["refreshToken"])["organization"]["id"] == other


async def test_who_was_removed_from_the_organization_has_to_sign_in_again(visitor: Visitor, database: Database) -> None:
    session = login(visitor, NOOR)
    place = memberships.c.organization_id == session["organization"]["id"]
    person = memberships.c.user_id == session["user"]["id"]
    async with database.writer.connect() as connection, connection.begin():
        row = (await connection.execute(select(memberships).where(place, person))).one()
        await connection.execute(memberships.delete().where(place, person))
    try:
        assert visitor.run("refreshSession", refreshToken=session["refreshToken"]) == OVER
    finally:
        async with database.writer.connect() as connection, connection.begin():
            await connection.execute(memberships.insert().values(**row._mapping))


async def test_signing_out_ends_the_tokens_at_once(visitor: Visitor, database: Database) -> None:
    elsewhere, session = visitor.at("203.0.113.4"), login(visitor)
    login(elsewhere)
    assert visitor.run("logout") == {"userErrors": []}
    assert visitor.whoami() is None
    answer = visitor.post("{ viewer { email } }")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    visitor.token = None
    assert visitor.run("refreshSession", refreshToken=session["refreshToken"]) == OVER
    assert elsewhere.whoami() == ADA
    entry = (await trail(database, "session.ended"))[-1]
    assert (entry["actor"], entry["target_id"]) == (session["user"]["id"], session["id"])
    assert entry["organization_id"] == session["organization"]["id"]


async def test_signing_out_everywhere_ends_all_that_the_person_has(visitor: Visitor, database: Database) -> None:
    others = [visitor.at(f"203.0.113.{number}") for number in (5, 6)]
    tokens = [login(each)["refreshToken"] for each in others]
    grace = visitor.at("203.0.113.7")
    login(grace, GRACE)
    session = login(visitor)
    assert visitor.run("logout", everywhere=True) == {"userErrors": []}
    assert [each.whoami() for each in (visitor, *others)] == [None] * 3
    assert grace.whoami() == GRACE
    for token in tokens:
        assert visitor.at("203.0.113.8").run("refreshSession", refreshToken=token) == OVER
    entry = (await trail(database, "session.ended"))[-1]
    assert entry["details"]["reason"] == "LOGOUT_EVERYWHERE"
    assert session["id"] in entry["details"]["sessions"]
    left = select(func.count()).where(sessions.c.user_id == session["user"]["id"], sessions.c.ended_at.is_(None))
    assert await database.unscoped("tests look behind the gateway").fetch(left, int) == [0]


def test_who_is_nobody_cannot_sign_out(visitor: Visitor) -> None:
    answer = visitor.ask("mutation { logout(input: {}) { userErrors { code } } }")
    assert answer["data"] == {"logout": None}
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_api_key_is_nobody_who_could_sign_out(visitor: Visitor, database: Database) -> None:
    secret = new_secret()
    session = login(visitor)
    key = {
        "id": new_id("key"),
        "name": "Tests",
        "prefix": secret[:PREFIX_LENGTH],
        "digest": sha256(secret.encode()).digest(),
        "scopes": [],
        "created_by": session["user"]["id"],
        "created_at": datetime.now(UTC),
    }
    async with database.scoped(session["organization"]["id"]).transaction() as transaction:
        await transaction.insert(api_keys, [key])
    machine = Visitor(visitor.gateway, token=secret)
    answer = machine.ask("mutation { logout(input: {everywhere: true}) { userErrors { code } } }")
    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == ({"logout": None}, "FORBIDDEN")
    assert visitor.whoami() == ADA


async def test_who_came_with_a_token_of_another_issuer_signs_out_there(database_url: str, tmp_path: Path) -> None:
    """Here they have no session; what else they have here they can end all the same."""
    async with in_process(database_url, tmp_path) as here:
        signed_in = await here.person(GRACE)
        outsider = replace(signed_in, session_id=None)
        query = "mutation ($all: Boolean!) { logout(input: {everywhere: $all}) { userErrors { code } } }"
        answer = await here.data(query, {"all": False}, as_=outsider)
        assert answer == {"logout": {"userErrors": [{"code": "NOT_ALLOWED_IN_STATE"}]}}
        token = await here.token(GRACE)
        viewer = {"viewer": {"email": GRACE}}
        assert (await here.post("{ viewer { email } }", token=token))["data"] == viewer
        assert await here.data(query, {"all": True}, as_=outsider) == {"logout": {"userErrors": []}}
        assert (await here.post("{ viewer { email } }", token=token)).get("data") is None


def test_a_session_that_ends_in_one_process_ends_in_the_others(visitor: Visitor, beside: Running) -> None:
    there = Visitor(beside)
    session = login(visitor)
    there.token = visitor.token
    assert there.whoami() == ADA
    visitor.run("logout")
    until_refused(there)
    # And a process that starts afterwards knows it as well.
    assert session["id"] in visitor.gateway.app.state.gateway.access.rights._ended


async def test_what_is_open_goes_on_when_its_session_is_refreshed(visitor: Visitor, database: Database) -> None:
    """A socket is asked about again when the token ends that it began with; the newest token of the session counts."""
    session = login(visitor)
    behind = visitor.gateway.app.state.gateway.access
    access = Access(Rights(database, token_lifetime=timedelta(minutes=30)), behind.tokens, behind.cookies)
    principal = await access.authenticate(Caller({"authorization": f"Bearer {session['accessToken']}"}))
    past = replace(principal, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    await set_session(database, session["id"], access_until=past.expires_at)
    assert await access.renew(past) is None
    visitor.signed_in("refreshSession", refreshToken=session["refreshToken"])
    renewed = await access.renew(past)
    assert renewed is not None
    assert renewed.expires_at is not None
    assert renewed.expires_at > datetime.now(UTC) + timedelta(minutes=29)
    visitor.run("logout")
    assert await access.renew(past) is None


async def test_what_has_had_its_time_is_swept_and_nothing_else(visitor: Visitor, database: Database) -> None:
    accounts: Accounts = visitor.gateway.app.state.gateway.services.accounts
    long_ago = datetime.now(UTC) - timedelta(days=40)
    gone, kept = login(visitor), login(visitor)
    await set_session(database, gone["id"], ended_at=long_ago)
    async with database.writer.connect() as connection, connection.begin():
        spent = refresh_tokens.c.session_id == kept["id"]
        row = (await connection.execute(select(refresh_tokens).where(spent))).one()
        old = {**row._mapping, "digest": b"old", "expires_at": long_ago}
        await connection.execute(refresh_tokens.insert().values(**old))
    await replace(accounts, database=database).sweep()
    ids = select(sessions.c.id)
    left = Counter(await database.unscoped("tests look behind the gateway").fetch(ids, str))
    assert (left[gone["id"]], left[kept["id"]]) == (0, 1)
    digests = await database.unscoped("tests look behind the gateway").fetch(select(refresh_tokens.c.digest), bytes)
    assert b"old" not in digests
    visitor.signed_in("refreshSession", refreshToken=kept["refreshToken"])
