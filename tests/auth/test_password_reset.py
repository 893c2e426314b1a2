"""A forgotten password: one answer and one amount of work for every address, and a link that works once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from datasources.database.engine import Database
from datasources.database.tables.access import mail_links
from gateway.demo import PASSWORD
from tests.auth.newcomers import Newcomer, change_user, letters_to, newcomer, newest_token, user_row
from tests.auth.visitor import GOOD, NO, Visitor, trail
from tests.serving import GRACE, Running

pytestmark = pytest.mark.anyio

BETTER = "nine owls argue about tea"
ASKED: dict[str, Any] = {"userErrors": []}
LINK_OVER = {
    "session": None,
    "userErrors": [
        {
            "code": "INVALID",
            "message": "That link has been used, has ended, or a newer one was sent. Have another one sent.",
            "field": ["token"],
        }
    ],
}
ASK = """mutation ($input: RequestPasswordResetInput!) {
  requestPasswordReset(input: $input) { userErrors { code message field } }
}"""


@pytest.fixture
def ada(gateway: Running) -> Newcomer:
    """Somebody with an account, signed in."""
    return newcomer(gateway)


def forget(visitor: Visitor, email: str) -> dict[str, Any]:
    """What ``requestPasswordReset`` answers."""
    found: dict[str, Any] = visitor.ask(ASK, {"input": {"email": email}})["data"]["requestPasswordReset"]
    return found


def nobody_at(gateway: Running, place: str) -> Visitor:
    """Somebody who has not signed in."""
    return Visitor(gateway, place)


async def test_a_link_in_a_mail_brings_a_new_password_and_a_session(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    other_device = ada.elsewhere()
    graces = Visitor(gateway, "192.0.2.200")
    graces.signed_in("login", email=GRACE, password=PASSWORD)
    stranger = nobody_at(gateway, "192.0.2.10")
    assert forget(stranger, ada.email.upper()) == ASKED
    (letter,) = await letters_to(gateway, database, ada.email, "reset_password")
    assert "30 minutes" in letter.text
    token = await newest_token(gateway, database, ada.email)
    assert len(token) == 43

    session = stranger.signed_in("resetPassword", token=token, password=BETTER)
    assert session["user"]["id"] == ada.id
    assert session["organization"]["id"] == ada.organization_id
    assert session["refreshToken"].startswith("trr_")
    assert stranger.whoami() == ada.email
    # Everybody else who was signed in as her is out at once, and only as her.
    assert ada.visitor.whoami() is None
    assert other_device.whoami() is None
    assert graces.whoami() == GRACE
    assert stranger.run("login", email=ada.email, password=GOOD) == NO
    assert stranger.at("192.0.2.11").run("login", email=ada.email, password=BETTER)["userErrors"] == []
    assert (await user_row(database, ada.id))["email_verified_at"] is not None
    (changed,) = await letters_to(gateway, database, ada.email, "password_changed")
    assert "reset-password" in changed.text
    assert "token=" not in changed.text
    entries = [entry for entry in await trail(database, "account.password_reset") if entry["target_id"] == ada.id]
    assert [(each["organization_id"], each["risk"], each["address"]) for each in entries] == [
        (ada.organization_id, "MEDIUM", "192.0.2.10")
    ]


async def test_a_link_works_once_and_only_the_newest_one(gateway: Running, database: Database, ada: Newcomer) -> None:
    visitor = nobody_at(gateway, "192.0.2.20")
    forget(visitor, ada.email)
    first = await newest_token(gateway, database, ada.email)
    forget(visitor, ada.email)
    second = await newest_token(gateway, database, ada.email)
    assert first != second
    assert visitor.run("resetPassword", token=first, password=BETTER) == LINK_OVER
    assert visitor.run("resetPassword", token=second, password=BETTER)["userErrors"] == []
    for used in (first, second):
        assert visitor.run("resetPassword", token=used, password=GOOD) == LINK_OVER
    assert visitor.run("login", email=ada.email, password=BETTER)["userErrors"] == []


async def test_a_link_ends_after_half_an_hour(gateway: Running, database: Database, ada: Newcomer) -> None:
    visitor = nobody_at(gateway, "192.0.2.30")
    forget(visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    scope = database.unscoped("tests look behind the gateway")
    (expires_at,) = await scope.fetch(
        select(func.max(mail_links.c.expires_at, type_=mail_links.c.expires_at.type)).where(
            mail_links.c.user_id == ada.id
        ),
        lambda moment: moment,
    )
    assert timedelta(minutes=29) < expires_at - datetime.now(UTC) <= timedelta(minutes=30)
    async with database.writer.connect() as connection, connection.begin():
        over = update(mail_links).where(mail_links.c.user_id == ada.id).values(expires_at=datetime.now(UTC))
        await connection.execute(over)
    for password in (BETTER, "short"):
        assert visitor.run("resetPassword", token=token, password=password) == LINK_OVER
    assert ada.visitor.whoami() == ada.email


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 4_000, "ü" * 43, "trr_" + "A" * 43])
def test_what_is_no_link_is_answered_as_one_that_is_over(gateway: Running, token: str) -> None:
    assert nobody_at(gateway, "192.0.2.40").run("resetPassword", token=token, password=BETTER) == LINK_OVER


@pytest.mark.parametrize("password", ["", "short", "x" * 300, "aaaaaaaaaaaaaaaaaaaaaa", "qwertyuiopasdfghjkl"])
async def test_a_password_that_may_not_be_leaves_the_link_and_the_sessions(
    gateway: Running, database: Database, ada: Newcomer, password: str
) -> None:
    visitor = nobody_at(gateway, "192.0.2.41")
    await change_user(database, ada.id, email_verified_at=None)
    forget(ada.visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    refused = visitor.run("resetPassword", token=token, password=password)
    assert refused["session"] is None
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [("INVALID", ["password"])]
    assert ada.visitor.whoami() == ada.email
    assert (await user_row(database, ada.id))["email_verified_at"] is None
    assert visitor.run("resetPassword", token=token, password=BETTER)["userErrors"] == []


async def test_an_address_with_an_account_and_one_without_get_one_answer_and_one_amount_of_work(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    barred, gone = newcomer(gateway), newcomer(gateway)
    await change_user(database, barred.id, disabled_at=datetime.now(UTC))
    await change_user(database, gone.id, deleted_at=datetime.now(UTC))
    # The first entry in the gateway's chain begins it, and costs more.
    assert forget(nobody_at(gateway, "192.0.2.49"), "first.of.all@example.com") == ASKED
    counts = {}
    for number, email in enumerate((ada.email, "nobody.here@example.com", barred.email, gone.email)):
        with gateway.statements() as found:
            assert forget(nobody_at(gateway, f"192.0.2.{50 + number}"), email) == ASKED
        counts[email] = [" ".join(statement.split()[:3]) for statement in found]
    assert counts[ada.email]
    assert all(each == counts[ada.email] for each in counts.values()), counts
    for email in ("nobody.here@example.com", barred.email, gone.email):
        assert await letters_to(gateway, database, email, "reset_password") == []
    assert len(await letters_to(gateway, database, ada.email, "reset_password")) == 1
    asked = [entry["email"] for entry in await trail(database, "account.password_reset_requested")]
    assert {ada.email.lower(), "nobody.here@example.com"} <= set(asked)


async def test_an_account_that_was_disabled_meanwhile_is_not_opened_by_its_link(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    forget(ada.visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    before = (await user_row(database, ada.id))["password_hash"]
    await change_user(database, ada.id, disabled_at=datetime.now(UTC))
    assert nobody_at(gateway, "192.0.2.60").run("resetPassword", token=token, password=BETTER) == LINK_OVER
    assert (await user_row(database, ada.id))["password_hash"] == before


async def test_whoever_asks_too_often_is_not_told_and_sends_no_more_mail(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    for number in range(8):
        assert forget(nobody_at(gateway, f"192.0.2.{100 + number}"), ada.email) == ASKED
    flood = len(await letters_to(gateway, database, ada.email, "reset_password"))
    assert flood <= 4
    # From where she signs in, she still gets hers.
    assert forget(ada.visitor, ada.email) == ASKED
    assert len(await letters_to(gateway, database, ada.email, "reset_password")) == flood + 1
    token = await newest_token(gateway, database, ada.email)
    assert ada.visitor.run("resetPassword", token=token, password=BETTER)["userErrors"] == []


async def test_an_account_without_a_password_gets_its_first_one_by_a_link(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    await change_user(database, ada.id, password_hash=None)
    visitor = nobody_at(gateway, "192.0.2.70")
    forget(visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    assert visitor.signed_in("resetPassword", token=token, password=BETTER)["user"]["id"] == ada.id


async def test_a_page_gets_the_session_as_cookies(gateway: Running, database: Database, ada: Newcomer) -> None:
    forget(ada.visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    page = nobody_at(gateway, "192.0.2.80")
    session = page.run("resetPassword", token=token, password=BETTER, cookie=True)["session"]
    assert (session["accessToken"], session["refreshToken"]) == ("", None)
    assert page.whoami(x_csrf_token=session["csrfToken"]) == ada.email


async def test_the_place_of_a_reset_is_familiar(gateway: Running, database: Database, ada: Newcomer) -> None:
    """So whoever hammers the account from elsewhere does not keep its person out there."""
    forget(ada.visitor, ada.email)
    token = await newest_token(gateway, database, ada.email)
    home = nobody_at(gateway, "192.0.2.90")
    assert home.run("resetPassword", token=token, password=BETTER)["userErrors"] == []
    answers = [
        nobody_at(gateway, f"192.0.2.{130 + number // 4}").run("login", email=ada.email, password="wrong")
        for number in range(24)
    ]
    assert answers[-1]["userErrors"][0]["code"] == "RATE_LIMITED"
    assert home.run("login", email=ada.email, password=BETTER)["userErrors"] == []
