"""Invitations: a link that goes to one address, works once, and makes a member of whoever reads the mail there."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from auth import invitations as limits
from datasources.database.engine import Database
from datasources.database.tables.access import invitations, sessions
from datasources.database.tables.gateway import users
from tests.auth.visitor import trail
from tests.organizations.company import (
    PASSWORD,
    Company,
    Member,
    add_person,
    letters_to,
    rows,
    token_sent_to,
)
from tests.serving import Running

pytestmark = pytest.mark.anyio
CHOSEN = "a quiet lamp over water"
GONE = (
    "INVALID",
    ["token"],
    "This invitation was accepted or withdrawn, or has ended. Ask for a new one.",
)


@pytest.fixture
def guest(gateway: Running) -> Member:
    """Somebody who has not signed in."""
    return Member(gateway)


async def account(database: Database, email: str) -> list[dict[str, object]]:
    """The accounts with an address."""
    return await rows(database, users, users.c.email_key == email.lower())


async def test_somebody_without_an_account_gets_one_by_the_link(
    gateway: Running, database: Database, acme: Company, other: Company, guest: Member
) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    email = "Greta.New@example.com"
    sent = owner.do("inviteMember", email=email, role="MEMBER")["invitation"]
    assert (sent["email"], sent["role"], sent["invitedBy"]) == (email, "MEMBER", {"id": owner.id})
    (letter,) = await letters_to(gateway, database, email)
    assert f"{owner.email[:4]} invites you" in letter
    assert "Acme" in letter
    token = await token_sent_to(gateway, database, email)
    assert token not in str(await rows(database, invitations))
    # Nobody reads the link from the API, and nobody elsewhere reads the invitation.
    assert token not in str(owner.sees(f'{{ node(id: "{sent["id"]}") {{ ... on Invitation {{ id email role }} }} }}'))
    assert stranger.sees(f'{{ node(id: "{sent["id"]}") {{ id }} }}')["data"] == {"node": None}
    assert guest.refused("acceptInvitation", token=token)[:2] == ("REQUIRED", ["password"])
    assert guest.refused("acceptInvitation", token=token, password="short")[:2] == ("INVALID", ["password"])
    assert guest.refused("acceptInvitation", token=token, password=CHOSEN, name="a\nb")[:2] == ("INVALID", ["name"])
    assert await account(database, email) == []
    session = guest.do("acceptInvitation", token=token, password=CHOSEN, name="Greta")["session"]
    assert session["organization"]["id"] == acme.id
    assert session["user"]["name"] == "Greta"
    assert (await acme.roles())[session["user"]["id"]] == "MEMBER"
    (row,) = await account(database, email)
    assert row["email_verified_at"] is not None
    greta = Member(gateway, token=session["accessToken"])
    assert greta.sees()["data"] == {"viewer": {"id": row["id"]}, "organization": {"id": acme.id}}
    assert guest.run("login", email=email.lower(), password=CHOSEN)["userErrors"] == []
    # The link is used up, for her too.
    for each in (guest, greta):
        assert each.refused("acceptInvitation", token=token, password=CHOSEN, name="Greta") == GONE
    assert owner.sees("{ organization { invitations { id } } }")["data"] == {"organization": {"invitations": []}}
    (accepted,) = await acme.audited("invitation.accepted")
    assert (accepted["actor"], accepted["target_id"]) == (row["id"], sent["id"])
    (invited,) = await acme.audited("invitation.sent")
    assert (invited["email"], invited["details"], invited["risk"]) == (email.lower(), {"role": "MEMBER"}, "LOW")
    assert email.lower() not in str(invited["details"]).lower()


async def test_somebody_with_an_account_proves_that_it_is_theirs(
    gateway: Running, database: Database, acme: Company, guest: Member
) -> None:
    owner = await acme.member("OWNER")
    await add_person(database, "usr_" + acme.id[4:], "Hugo@example.com")
    owner.do("inviteMember", email="hugo@EXAMPLE.com", role="ADMIN")
    token = await token_sent_to(gateway, database, "hugo@EXAMPLE.com")
    opened = len(await rows(database, sessions))
    assert guest.refused("acceptInvitation", token=token)[:2] == ("REQUIRED", ["password"])
    assert guest.refused("acceptInvitation", token=token, password=CHOSEN)[:2] == ("INVALID", ["password"])
    assert list((await acme.roles()).values()) == ["OWNER"]
    assert len(await rows(database, sessions)) == opened
    assert (await trail(database, "session.refused"))[-1]["email"] == "hugo@example.com"
    session = guest.do("acceptInvitation", token=token, password=PASSWORD, name="ignored")["session"]
    assert (await acme.roles())[session["user"]["id"]] == "ADMIN"
    (row,) = await account(database, "hugo@example.com")
    assert (row["id"], row["name"]) == ("usr_" + acme.id[4:], "Hugo")
    assert row["email_verified_at"] is not None


async def test_a_password_for_an_invitation_is_guessed_no_faster_than_at_a_sign_in(
    gateway: Running, database: Database, acme: Company, guest: Member
) -> None:
    owner = await acme.member("OWNER")
    email = f"{acme.id}@example.com"
    await add_person(database, "usr_" + acme.id[4:], email)
    owner.do("inviteMember", email=email, role="VIEWER")
    token = await token_sent_to(gateway, database, email)
    codes = [guest.refused("acceptInvitation", token=token, password=f"guess {n}")[0] for n in range(7)]
    assert codes[:5] == ["INVALID"] * 5
    assert codes[-1] == "RATE_LIMITED"
    assert guest.refused("acceptInvitation", token=token, password=PASSWORD)[0] == "RATE_LIMITED"
    assert guest.run("login", email=email, password=PASSWORD)["userErrors"][0]["code"] == "RATE_LIMITED"
    assert list((await acme.roles()).values()) == ["OWNER"]


async def test_who_is_signed_in_joins_without_a_password_and_nobody_else_does(
    gateway: Running, database: Database, acme: Company, other: Company
) -> None:
    owner, wanted = await acme.member("OWNER"), await other.member("MEMBER")
    somebody = await other.member("MEMBER")
    program = acme.program(owner, "members:admin", "orders:read")
    owner.do("inviteMember", email=wanted.email.upper(), role="VIEWER")
    token = await token_sent_to(gateway, database, wanted.email.upper())
    code, place, message = somebody.refused("acceptInvitation", token=token, password=PASSWORD)
    assert (code, place) == ("NOT_ALLOWED_IN_STATE", ["token"])
    assert wanted.email not in message.lower()
    refusal = program.sees(
        "mutation ($t: String!) { acceptInvitation(input: {token: $t}) { userErrors { code } } }", {"t": token}
    )
    assert refusal["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert list((await acme.roles()).values()) == ["OWNER"]
    session = wanted.do("acceptInvitation", token=token)["session"]
    assert session["organization"]["id"] == acme.id
    assert (await acme.roles())[wanted.id] == "VIEWER"
    assert (await other.roles())[wanted.id] == "MEMBER"
    # What they had before goes on, and reaches both by naming them.
    assert wanted.sees()["data"]["organization"] == {"id": other.id}
    assert wanted.acting_for(acme.id).sees()["data"]["organization"] == {"id": acme.id}


async def test_who_is_a_member_already_keeps_their_role(gateway: Running, database: Database, acme: Company) -> None:
    """Invited, and then added by other means before the link was followed."""
    owner = await acme.member("OWNER")
    email = f"{acme.id}@example.com"
    owner.do("inviteMember", email=email, role="ADMIN")
    token = await token_sent_to(gateway, database, email)
    member = await acme.member("VIEWER", email)
    assert owner.refused("inviteMember", email=email.upper(), role="ADMIN")[:2] == ("CONFLICT", ["email"])
    assert member.do("acceptInvitation", token=token)["session"] is not None
    assert (await acme.roles())[member.id] == "VIEWER"


async def test_inviting_again_ends_the_link_before(
    gateway: Running, database: Database, acme: Company, guest: Member
) -> None:
    owner, admin = await acme.member("OWNER"), await acme.member("ADMIN")
    first = owner.do("inviteMember", email="again@example.com", role="VIEWER")["invitation"]
    old = await token_sent_to(gateway, database, "again@example.com")
    second = admin.do("inviteMember", email="AGAIN@example.com", role="MEMBER")["invitation"]
    new = await token_sent_to(gateway, database, "AGAIN@example.com")
    pending = owner.sees("{ organization { invitations { id role } } }")["data"]["organization"]["invitations"]
    assert pending == [{"id": second["id"], "role": "MEMBER"}]
    assert guest.refused("acceptInvitation", token=old, password=CHOSEN, name="A") == GONE
    withdrawn = admin.do("withdrawInvitation", id=second["id"])["invitation"]
    assert withdrawn["withdrawnAt"] is not None
    assert guest.refused("acceptInvitation", token=new, password=CHOSEN, name="A") == GONE
    for identity in (first["id"], second["id"], "inv_" + "0" * 26, "nonsense"):
        assert owner.refused("withdrawInvitation", id=identity)[:2] == ("NOT_FOUND", ["id"])
    assert [entry["actor"] for entry in await acme.audited("invitation.withdrawn")] == [admin.id]
    assert await account(database, "again@example.com") == []


async def test_an_invitation_ends_after_a_week_and_with_nothing_but_its_token(
    gateway: Running, database: Database, acme: Company, guest: Member
) -> None:
    owner = await acme.member("OWNER")
    sent = owner.do("inviteMember", email="late@example.com", role="VIEWER")["invitation"]
    lasts = datetime.fromisoformat(sent["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=6) < lasts <= timedelta(days=7)
    token = await token_sent_to(gateway, database, "late@example.com")
    for wrong in ("", "x", token[:-1], token + "A", token[:-1] + "ä", token.swapcase(), "\0" * 43, sent["id"]):
        assert guest.refused("acceptInvitation", token=wrong, password=CHOSEN, name="L") == GONE
    async with database.writer.connect() as connection, connection.begin():
        past = update(invitations).where(invitations.c.id == sent["id"]).values(expires_at=datetime.now(UTC))
        await connection.execute(past)
    assert guest.refused("acceptInvitation", token=token, password=CHOSEN, name="L") == GONE
    assert owner.sees("{ organization { invitations { id } } }")["data"] == {"organization": {"invitations": []}}


async def test_of_many_who_follow_a_link_at_once_one_joins(
    gateway: Running, database: Database, acme: Company, other: Company
) -> None:
    owner, wanted = await acme.member("OWNER"), await other.member("MEMBER")
    owner.do("inviteMember", email=wanted.email, role="VIEWER")
    token = await token_sent_to(gateway, database, wanted.email)
    answers = await asyncio.gather(
        *(asyncio.to_thread(wanted.answer, "acceptInvitation", token=token) for _ in range(8))
    )
    assert [each["data"]["acceptInvitation"]["session"] is not None for each in answers].count(True) == 1
    assert len(await acme.audited("invitation.accepted")) == 1


async def test_of_many_who_make_an_account_by_one_link_at_once_one_does(
    gateway: Running, database: Database, acme: Company, guest: Member
) -> None:
    owner = await acme.member("OWNER")
    email = f"{acme.id}@example.com"
    owner.do("inviteMember", email=email, role="VIEWER")
    token = await token_sent_to(gateway, database, email)
    answers = await asyncio.gather(
        *(
            asyncio.to_thread(guest.answer, "acceptInvitation", token=token, password=f"{CHOSEN} {n}", name="G")
            for n in range(5)
        )
    )
    assert [each["data"]["acceptInvitation"]["session"] is not None for each in answers].count(True) == 1, answers
    assert len(await account(database, email)) == 1


async def test_who_may_invite_to_which_role(gateway: Running, database: Database, acme: Company) -> None:
    people = {role: await acme.member(role) for role in ("OWNER", "ADMIN", "MEMBER", "VIEWER")}
    for own, person in people.items():
        for role in people:
            email = f"{own}-{role}-{acme.id}@example.com".lower()
            if own == "OWNER" or (own == "ADMIN" and role != "OWNER"):
                assert person.do("inviteMember", email=email, role=role)["invitation"]["role"] == role
            else:
                assert person.denied("inviteMember", email=email, role=role) == "FORBIDDEN"
                assert await letters_to(gateway, database, email) == []
    risks = {entry["details"]["role"]: entry["risk"] for entry in await acme.audited("invitation.sent")}
    assert risks == {"OWNER": "MEDIUM", "ADMIN": "MEDIUM", "MEMBER": "LOW", "VIEWER": "LOW"}


async def test_an_organization_cannot_be_used_to_pester_people(
    gateway: Running, database: Database, acme: Company, other: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_PENDING", 3)
    owner, elsewhere = await acme.member("OWNER"), await other.member("OWNER")
    for _ in range(limits.MOST_A_DAY_TO_ADDRESS):
        owner.do("inviteMember", email="pestered@example.com", role="VIEWER")
    letters = len(await letters_to(gateway, database, "pestered@example.com"))
    assert owner.refused("inviteMember", email="pestered@example.com", role="VIEWER")[:2] == ("RATE_LIMITED", ["email"])
    for number in range(2):
        owner.do("inviteMember", email=f"one-{number}@example.com", role="VIEWER")
    assert owner.refused("inviteMember", email="one-2@example.com", role="VIEWER")[0] == "QUOTA_EXCEEDED"
    monkeypatch.setattr(limits, "MOST_A_DAY", 7)
    monkeypatch.setattr(limits, "MOST_PENDING", 100)
    assert owner.refused("inviteMember", email="one-2@example.com", role="VIEWER")[0] == "RATE_LIMITED"
    assert len(await letters_to(gateway, database, "pestered@example.com")) == letters
    assert await letters_to(gateway, database, "one-2@example.com") == []
    assert elsewhere.do("inviteMember", email="one-2@example.com", role="VIEWER")["invitation"] is not None
    assert owner.refused("inviteMember", email="nobody@made-up.invalid", role="VIEWER")[:2] == ("INVALID", ["email"])


async def test_the_session_can_be_in_cookies(gateway: Running, database: Database, acme: Company) -> None:
    owner = await acme.member("OWNER")
    email = f"{acme.id}@example.com"
    owner.do("inviteMember", email=email, role="VIEWER")
    token = await token_sent_to(gateway, database, email)
    page = Member(gateway)
    session = page.do("acceptInvitation", token=token, password=CHOSEN, name="P", cookie=True)["session"]
    assert (session["accessToken"], session["refreshToken"]) == ("", None)
    headers = {"x_csrf_token": session["csrfToken"]}
    assert page.whoami(**headers) == email
