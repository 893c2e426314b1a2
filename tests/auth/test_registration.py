"""Registering: at once, after a link in a mail, or not at all."""

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import ColumnElement, Table, func, select, update

from datasources.database.engine import Database
from datasources.database.tables.access import mail_links, outgoing_mails, sessions
from datasources.database.tables.gateway import memberships, organizations, users
from datasources.mail.folder import MailFolder, ReadMail
from tests.auth.visitor import GOOD, NO, Visitor, share_keys, trail
from tests.schema.in_process import in_process, statements
from tests.serving import ADA, Running, running

pytestmark = pytest.mark.anyio

NEW = "new@example.com"
REGISTER = """mutation ($input: RegisterInput!) {
  register(input: $input) { session { id } userErrors { code message field } }
}"""
SENT: dict[str, Any] = {"session": None, "userErrors": []}
"""The answer where a mail says how to go on, whether or not the address has an account."""
DEAD = "That link has been used, or has ended. Register again, or sign in."


@pytest.fixture(scope="module")
def confirming(gateway: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that wants addresses to be confirmed, on the same database; its mail goes to a folder."""
    folder = share_keys(gateway, tmp_path_factory.mktemp("confirming"))
    with running(gateway.database_url, folder, registration="confirmed", mail_transport="folder") as server:
        yield server


@pytest.fixture
def visitor(gateway: Running, request: pytest.FixtureRequest) -> Visitor:
    """Somebody new, from a place of the test's own: registrations are counted by place."""
    return somewhere(gateway, request.node.name)


def somewhere(gateway: Running, name: str) -> Visitor:
    """Somebody at a place that no other test comes from."""
    number = crc32(name.encode())
    return Visitor(gateway, f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1")


def register(visitor: Visitor, address: str = NEW, /, **more: object) -> dict[str, Any]:
    """The payload of a registration in which all is well but what a test says."""
    given = {"email": address, "password": GOOD, "name": "Nia", "organizationName": "Nia's Shop"}
    return visitor.run("register", **{**given, **more})


def fault(payload: dict[str, Any]) -> tuple[str, list[str] | None]:
    """The code and the field of the one user error."""
    assert payload["session"] is None
    (error,) = payload["userErrors"]
    return error["code"], error["field"]


async def count(database: Database, table: Table, *where: ColumnElement[bool]) -> int:
    """How many rows there are."""
    statement = select(func.count()).select_from(table).where(*where)
    async with database.writer.connect() as connection:
        found: int = (await connection.execute(statement)).scalar_one()
    return found


async def mails_to(gateway: Running, address: str, at_least: int) -> list[ReadMail]:
    """The mails to an address once there are so many, newest first."""
    folder = MailFolder(gateway.app.state.gateway.settings.mail_directory)
    begun = time.monotonic()
    while True:
        listed = [mail for mail in await folder.newest(1_000) if mail.to == address]
        if len(listed) >= at_least:
            return [mail for each in listed if (mail := await folder.read(each.id)) is not None]
        assert time.monotonic() - begun < 60, f"{len(listed)} mails to {address}"
        await asyncio.sleep(0.02)


def token_in(mail: ReadMail) -> str:
    """The token of the link in a mail."""
    found = re.search(r"/account/confirm#token=([A-Za-z0-9_-]{43})", mail.text)
    assert found is not None, mail.text
    return found[1]


async def test_who_registers_is_signed_in_as_owner_of_an_organization_of_their_own(
    visitor: Visitor, database: Database
) -> None:
    session = visitor.signed_in(
        "register",
        email="Nia.Okafor@Example.com",
        password=GOOD,
        name="  Nia  ",
        organizationName="  Crème & Co. ",
        capabilities=["SELLER", "BUYER", "SELLER"],
    )
    assert session["user"]["email"] == "Nia.Okafor@Example.com"
    assert session["user"]["name"] == "Nia"
    assert session["organization"]["name"] == "Crème & Co."
    assert session["organization"]["slug"] == "creme-co"
    assert session["organization"]["capabilities"] == ["SELLER", "BUYER"]
    mine = visitor.ask("{ viewer { memberships { role } } organization { members { user { email } } } }")["data"]
    assert mine["viewer"]["memberships"] == [{"role": "OWNER"}]
    assert mine["organization"]["members"] == [{"user": {"email": "Nia.Okafor@Example.com"}}]
    # In their own organization and in no other.
    assert visitor.ask("{ orders(first: 1) { totalCount } }")["data"]["orders"] == {"totalCount": 0}
    ada = visitor.gateway.data("{ organization { members { user { email } } } }", as_=ADA)
    assert "Nia.Okafor@Example.com" not in str(ada)
    (entry,) = [each for each in await trail(database, "account.registered") if each["actor"] == session["user"]["id"]]
    assert entry["organization_id"] == session["organization"]["id"]
    assert await count(database, outgoing_mails, outgoing_mails.c.user_id == session["user"]["id"]) == 1
    again = visitor.at(visitor.place).run("login", email="nia.okafor@example.com", password=GOOD)
    assert again["session"]["user"]["id"] == session["user"]["id"]


def test_without_saying_so_an_organization_buys(visitor: Visitor) -> None:
    payload = register(visitor, "buyer@example.com", name=None)
    assert payload["session"]["organization"]["capabilities"] == ["BUYER"]
    assert payload["session"]["user"]["name"] is None


def test_two_organizations_of_one_name_are_told_apart(visitor: Visitor) -> None:
    slugs = [
        register(visitor, f"twin{number}@example.com", organizationName=name)["session"]["organization"]["slug"]
        for number, name in enumerate(("Twin", "TWIN!", "Twin", "東京"))
    ]
    assert len(set(slugs)) == 4
    assert slugs[0] == "twin"
    assert all(slug.startswith("twin-") for slug in slugs[1:3])
    assert slugs[3].startswith("org-")


async def test_an_address_that_has_an_account_is_taken(visitor: Visitor, database: Database) -> None:
    before = await count(database, organizations), await count(database, users)
    for written in (ADA, ADA.upper()):
        assert fault(register(visitor, written)) == ("TAKEN", ["email"])
    assert before == (await count(database, organizations), await count(database, users))


async def test_of_several_who_register_one_address_at_once_one_does(visitor: Visitor, database: Database) -> None:
    before = await count(database, organizations)
    with ThreadPoolExecutor(6) as threads:
        clients = [visitor.at(f"2001:db8:ffff:{number}::1") for number in range(6)]
        answers = list(threads.map(lambda each: register(each, "race@example.com"), clients))
    assert sum(answer["session"] is not None for answer in answers) == 1
    assert [fault(answer) for answer in answers if answer["session"] is None] == [("TAKEN", ["email"])] * 5
    assert await count(database, organizations) == before + 1


WRONG: list[tuple[dict[str, object], tuple[str, list[str]]]] = [
    ({"password": "short"}, ("INVALID", ["password"])),
    ({"password": "x" * 257}, ("INVALID", ["password"])),
    ({"password": "aaaaaaaaaaaaaaaaaaaa"}, ("INVALID", ["password"])),
    ({"password": "qwertyuiopasdfghjkl"}, ("INVALID", ["password"])),
    ({"password": "tributary tributary"}, ("INVALID", ["password"])),
    ({"password": "new@example.com 1"}, ("INVALID", ["password"])),
    ({"password": "Nia's Shop, Nia's Shop"}, ("INVALID", ["password"])),
    ({"password": f"{GOOD}\0"}, ("INVALID", ["password"])),
    ({"organizationName": "  "}, ("REQUIRED", ["organizationName"])),
    ({"organizationName": "x" * 121}, ("INVALID", ["organizationName"])),
    ({"organizationName": "a\0b"}, ("INVALID", ["organizationName"])),
    ({"organizationName": "a\nb"}, ("INVALID", ["organizationName"])),
    ({"name": "x" * 121}, ("INVALID", ["name"])),
    ({"name": "a\0b"}, ("INVALID", ["name"])),
    ({"email": "a@" + "b" * 64 + ".com"}, ("INVALID", ["email"])),
    ({"email": '"a<b>"@example.com'}, ("INVALID", ["email"])),
]


@pytest.mark.parametrize(("given", "expected"), WRONG)
async def test_what_cannot_be_is_said_and_nothing_is_made(
    visitor: Visitor, database: Database, given: dict[str, object], expected: tuple[str, list[str]]
) -> None:
    before = await count(database, users)
    assert fault(register(visitor, **given)) == expected
    assert await count(database, users) == before


def test_everything_that_is_wrong_is_said_at_once(visitor: Visitor) -> None:
    payload = register(visitor, organizationName="", name="\n\t\x07")
    assert [error["field"] for error in payload["userErrors"]] == [["organizationName"], ["name"]]


def test_a_place_registers_so_many_and_then_waits(visitor: Visitor) -> None:
    answers = [register(visitor, f"many{number}@example.com") for number in range(11)]
    assert [answer["session"] is not None for answer in answers] == [True] * 10 + [False]
    (error,) = answers[-1]["userErrors"]
    assert error["code"] == "RATE_LIMITED"
    assert re.fullmatch(r"Too many attempts\. Try again in \d+ s\.", error["message"])
    # Also with another address of the same site, and nobody elsewhere is kept out.
    assert fault(register(visitor.at(visitor.place[:-1] + "abcd"), "next@example.com"))[0] == "RATE_LIMITED"
    assert register(somewhere(visitor.gateway, "elsewhere"), "next@example.com")["session"] is not None


def test_in_cookie_mode_the_tokens_are_in_cookies(visitor: Visitor) -> None:
    session = register(visitor, "cookies@example.com", cookie=True)["session"]
    assert (session["accessToken"], session["refreshToken"]) == ("", None)
    assert visitor.whoami(x_csrf_token=session["csrfToken"]) == "cookies@example.com"


def test_where_registering_is_closed_nobody_does(gateway: Running, tmp_path: Path) -> None:
    with running(gateway.database_url, tmp_path, registration="closed") as closed:
        visitor = Visitor(closed)
        assert fault(register(visitor, "closed@example.com")) == ("NOT_ALLOWED_IN_STATE", None)
        assert visitor.run("login", email="closed@example.com", password=GOOD) == NO
        payload = visitor.run("confirmRegistration", token="A" * 43, password=GOOD)
        assert fault(payload) == ("INVALID", ["token"])


async def test_where_it_is_to_be_confirmed_a_link_makes_the_account(confirming: Running, database: Database) -> None:
    visitor, email = somewhere(confirming, "confirms"), "confirms@example.com"
    assert register(visitor, email) == SENT
    assert await count(database, users, users.c.email_key == email) == 0
    assert visitor.run("login", email=email, password=GOOD) == NO
    (mail,) = await mails_to(confirming, email, 1)
    session = visitor.signed_in("confirmRegistration", token=token_in(mail), password=GOOD)
    assert (session["user"]["email"], session["organization"]["name"]) == (email, "Nia's Shop")
    assert visitor.whoami() == email
    verified = users.c.email_verified_at.is_not(None)
    assert await count(database, users, users.c.email_key == email, verified) == 1
    # Once: also when the address is free again some day.
    assert await count(database, mail_links, mail_links.c.email_key == email, mail_links.c.used_at.is_(None)) == 0
    payload = visitor.run("confirmRegistration", token=token_in(mail), password=GOOD)
    assert payload["userErrors"] == [{"code": "INVALID", "message": DEAD, "field": ["token"]}]
    assert visitor.run("login", email=email, password=GOOD)["session"] is not None


async def test_an_address_that_has_an_account_gets_another_mail_and_the_same_answer(
    confirming: Running, database: Database
) -> None:
    visitor = somewhere(confirming, "known")
    before = await count(database, users), await count(database, sessions)
    assert register(visitor, ADA) == SENT
    (mail,) = await mails_to(confirming, ADA, 1)
    assert "already" in mail.mail.subject
    assert "token=" not in mail.text
    assert before == (await count(database, users), await count(database, sessions))


async def test_known_or_not_an_address_makes_the_same_work(database_url: str, tmp_path: Path) -> None:
    async with in_process(database_url, tmp_path) as here:
        here.gateway.services.accounts.registrations._mode = "confirmed"
        ran = []
        for email in ("someone@example.com", "nobody-yet@example.com", "grace@example.com", "noor@example.com"):
            given = {"email": email, "password": GOOD, "name": "N", "organizationName": "O"}
            with statements() as found:
                answer = await here.post(REGISTER, {"input": given})
            assert answer == {"data": {"register": SENT}}
            ran.append([text.split()[0:3] for text in found])
        assert ran[0] == ran[1] == ran[2] == ran[3]
        assert len(ran[0]) > 3


async def test_a_stranger_cannot_have_somebody_confirm_an_account_with_the_strangers_password(
    confirming: Running, database: Database
) -> None:
    """Who reads the mail does not know the password, and so does not hand an account over by a click."""
    stranger, email = somewhere(confirming, "stranger"), "victim@example.com"
    assert register(stranger, email) == SENT
    token = token_in((await mails_to(confirming, email, 1))[0])
    victim = somewhere(confirming, "victim")
    wrong = victim.run("confirmRegistration", token=token, password="what I would choose")
    assert fault(wrong) == ("INVALID", ["password"])
    assert await count(database, users, users.c.email_key == email) == 0
    # It does not use the link up, but cannot be tried for ever.
    codes = [victim.run("confirmRegistration", token=token, password="x")["userErrors"][0]["code"] for _ in range(5)]
    assert codes == ["INVALID"] * 4 + ["RATE_LIMITED"]


async def test_a_link_that_has_ended_or_never_was_is_dead(confirming: Running, database: Database) -> None:
    visitor, email = somewhere(confirming, "late"), "late@example.com"
    register(visitor, email)
    token = token_in((await mails_to(confirming, email, 1))[0])
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(mail_links).where(mail_links.c.email_key == email).values(expires_at=past))
    for each in (token, "", "A" * 43, "é" * 43, "x" * 5_000):
        payload = visitor.run("confirmRegistration", token=each, password=GOOD)
        assert fault(payload) == ("INVALID", ["token"]), each
    assert await count(database, users, users.c.email_key == email) == 0


async def test_of_two_links_for_one_address_one_makes_the_account(confirming: Running, database: Database) -> None:
    visitor, email = somewhere(confirming, "twice"), "twice@example.com"
    for _ in range(2):
        register(visitor, email)
    tokens = [token_in(mail) for mail in await mails_to(confirming, email, 2)]
    with ThreadPoolExecutor(2) as threads:
        answers = list(
            threads.map(lambda token: replace(visitor).run("confirmRegistration", token=token, password=GOOD), tokens)
        )
    assert sorted(answer["session"] is not None for answer in answers) == [False, True]
    assert await count(database, users, users.c.email_key == email) == 1
    assert (
        await count(
            database, memberships, memberships.c.user_id.in_(select(users.c.id).where(users.c.email_key == email))
        )
        == 1
    )


async def test_mail_to_one_address_is_limited_and_nobody_is_told(confirming: Running, database: Database) -> None:
    email = "flooded@example.com"
    for number in range(5):
        assert register(somewhere(confirming, f"flood {number}"), email) == SENT
    assert await count(database, mail_links, mail_links.c.email_key == email) == 3


async def test_a_password_is_kept_as_a_hash_only(confirming: Running, database: Database) -> None:
    register(somewhere(confirming, "hash"), "hash@example.com")
    async with database.writer.connect() as connection:
        data = (await connection.execute(select(mail_links.c.data))).scalars().all()
    assert GOOD not in str(data)
    assert all(each["passwordHash"].startswith("$argon2id$") for each in data if "passwordHash" in each)
