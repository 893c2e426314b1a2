"""Who the people of an outside issuer are here: new, of an organization, or somebody who has an account already."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from auth.errors import IdentityNotLinked, InvalidToken, IssuerUnreachable
from auth.oidc_people import made_up_address
from auth.rights import Rights
from datasources.database.access import standing_of
from datasources.database.engine import Origin
from datasources.database.ids import new_id
from datasources.database.tables.access import (
    audit_entries,
    audit_personal,
    identities,
    mail_links,
    outside_organizations,
    sessions,
)
from datasources.database.tables.gateway import memberships, organizations, users
from tests.oidc.conftest import Door, OpenDoor, refusal, settings_of
from tests.oidc.forge import Forge
from tests.oidc.issuer import MockIssuer
from tests.serving import ADA, GRACE

pytestmark = pytest.mark.anyio


async def rows(door: Door, statement: Any) -> list[Any]:
    """What is in the database."""
    async with door.database.writer.connect() as connection:
        return list((await connection.execute(statement)).mappings().all())


async def change(door: Door, statement: Any) -> None:
    """Changes the database behind the gateway's back."""
    async with door.database.writer.connect() as connection, connection.begin():
        await connection.execute(statement)


async def counts(door: Door) -> dict[str, int]:
    """How many there are of what signing in may make."""
    tables = (users, memberships, organizations, identities, outside_organizations, mail_links, audit_entries)
    return {
        table.name: (await rows(door, select(func.count().label("n")).select_from(table)))[0]["n"] for table in tables
    }


async def user(door: Door, **known: str) -> Any:
    """The one person of this."""
    (found,) = await rows(door, select(users).where(*(users.c[name] == value for name, value in known.items())))
    return found


async def roles(door: Door, user_id: str) -> dict[str, str]:
    """What a person is where."""
    standing = await standing_of(door.database, user_id)
    assert standing is not None
    return dict(standing.roles)


async def audited(door: Door, action: str, actor: str) -> list[Any]:
    """The entries of a person about one thing."""
    found = select(audit_entries).where(audit_entries.c.action == action, audit_entries.c.actor == actor)
    return await rows(door, found.order_by(audit_entries.c.at))


def person(forge: Forge, subject: str, email: object = ..., *, verified: object = True, **claims: Any) -> str:
    """A token for somebody."""
    told = {"sub": subject, "email": email, "email_verified": verified, **claims}
    return forge.sign(forge.claims(**told), "EdDSA")


async def test_somebody_new_gets_an_account_and_an_organization_of_their_own(door: Door, forge: Forge) -> None:
    origin = Origin("192.0.2.7", "a browser")
    token = person(forge, "auth0|nova", "Nova@Example.com", name="Nova Lindqvist")
    proof = await door.issuers.verify(token, origin)
    found = await user(door, id=proof.user_id)
    assert (found["email"], found["email_key"], found["name"]) == (
        "Nova@Example.com",
        "nova@example.com",
        "Nova Lindqvist",
    )
    assert found["email_verified_at"] is not None
    assert found["password_hash"] is None
    assert (found["skills"], found["interests"], found["preferences"]) == ([], [], {})
    ((organization_id, role),) = (await roles(door, proof.user_id)).items()
    (organization,) = await rows(door, select(organizations).where(organizations.c.id == organization_id))
    assert (role, organization["name"]) == ("OWNER", "Nova Lindqvist")
    (entry,) = await audited(door, "identity.seen_first", proof.user_id)
    assert (entry["organization_id"], entry["details"]) == (
        organization_id,
        {"issuer": forge.issuer, "organization_made": True},
    )
    (aside,) = await rows(door, select(audit_personal).where(audit_personal.c.entry_id == entry["id"]))
    assert (aside["user_id"], aside["address"], aside["email"]) == (proof.user_id, "192.0.2.7", None)
    before = await counts(door)
    later = person(forge, "auth0|nova", "other@example.com", name="Somebody Else", jti="later")
    assert (await door.issuers.verify(later)).user_id == proof.user_id
    assert await counts(door) == before
    assert (await user(door, id=proof.user_id))["email"] == "Nova@Example.com"


async def test_two_first_requests_at_once_make_one_person(open_door: OpenDoor, forge: Forge) -> None:
    """Of one process and of two, with one token and with several that say different things."""
    for number in range(4):
        doors = open_door(), open_door()
        before = await counts(doors[0])
        tokens = [
            person(forge, f"auth0|twin-{number}", f"twin-{number}@example.com"),
            person(forge, f"auth0|twin-{number}", f"twin-{number}@example.com", jti="another"),
            person(forge, f"auth0|twin-{number}", email_verified=False),
        ]
        found = await asyncio.gather(*(door.issuers.verify(token) for door in doors for token in tokens * 2))
        assert len({proof.user_id for proof in found}) == 1
        after = await counts(doors[1])
        made = {name: after[name] - before[name] for name in after}
        assert made == {
            "users": 1,
            "memberships": 1,
            "organizations": 1,
            "identities": 1,
            "outside_organizations": 0,
            "mail_links": 0,
            "audit_entries": 1,
        }


@pytest.mark.parametrize(
    ("email", "verified"),
    [
        (..., True),
        ("free@example.com", False),
        ("free@example.com", "true"),
        ("free@example.com", 1),
        ("free@example.com", ...),
        (ADA, False),
        (ADA, "true"),
        (["free@example.com"], True),
        ("no address", True),
        ("free@example", True),
        ("a" * 65 + "@example.com", True),
        ("free@example.com\n", True),
        ("who@outside.invalid", True),
        ("\u212aate@example.com", True),
    ],
)
async def test_an_address_that_is_not_verified_or_none_is_not_taken(
    open_door: OpenDoor, forge: Forge, email: object, verified: object
) -> None:
    door = open_door(userinfo=False)
    subject = f"auth0|{email!r}-{verified!r}"[:200]
    proof = await door.issuers.verify(person(forge, subject, email, verified=verified))
    found = await user(door, id=proof.user_id)
    assert found["email"] == found["email_key"] == made_up_address(proof.user_id)
    assert found["email"].endswith("@outside.invalid")
    assert found["email_verified_at"] is None
    assert door.mails == []


async def test_the_same_name_at_two_issuers_is_two_people(
    open_door: OpenDoor, forge: Forge, other_issuer: MockIssuer, keys: list[dict[str, Any]]
) -> None:
    other_issuer.serve(keys)
    door = open_door(settings_of(other_issuer.url))
    elsewhere = Forge(other_issuer.url, keys)
    found = [await door.issuers.verify(person(each, "auth0|same")) for each in (forge, elsewhere)]
    assert found[0].user_id != found[1].user_id
    assert {*await roles(door, found[0].user_id)}.isdisjoint(await roles(door, found[1].user_id))


async def test_the_issuer_is_asked_who_somebody_new_is_whose_token_does_not_say(
    issuer: MockIssuer, door: Door, forge: Forge
) -> None:
    told = {"sub": "auth0|quiet", "email": "quiet@example.com", "email_verified": True, "name": "Quiet"}
    issuer.serve(issuer.keys, userinfo=told)
    proofs = [await door.issuers.verify(person(forge, "auth0|quiet", jti=str(number))) for number in range(3)]
    found = await user(door, email_key="quiet@example.com")
    assert ({proof.user_id for proof in proofs}, found["name"]) == ({found["id"]}, "Quiet")
    assert issuer.asked("/userinfo") == 1
    await door.issuers.verify(person(forge, "auth0|loud", "loud@example.com"))
    assert issuer.asked("/userinfo") == 1


async def test_what_the_issuer_says_of_somebody_else_is_not_heard(issuer: MockIssuer, door: Door, forge: Forge) -> None:
    told = {"sub": "auth0|else", "email": "else@example.com", "email_verified": True}
    issuer.serve(issuer.keys, userinfo=told)
    proof = await door.issuers.verify(person(forge, "auth0|mixed-up"))
    assert (await user(door, id=proof.user_id))["email"].endswith(".invalid")


async def test_a_token_that_may_not_ask_is_of_somebody_without_an_address(
    issuer: MockIssuer, door: Door, forge: Forge
) -> None:
    issuer.serve(issuer.keys, userinfo={"error": "insufficient_scope"}, userinfo_status=403)
    proof = await door.issuers.verify(person(forge, "machine@clients"))
    assert (await user(door, id=proof.user_id))["email"].endswith(".invalid")


@pytest.mark.parametrize("status", [500, 429, 302])
async def test_nobody_is_made_while_the_issuer_cannot_say_who_it_is(
    issuer: MockIssuer, door: Door, forge: Forge, status: int
) -> None:
    """Else somebody who has an account would get a second one, for ever."""
    told = {"sub": f"auth0|later-{status}", "email": f"later-{status}@example.com", "email_verified": True}
    issuer.serve(issuer.keys, userinfo=told, userinfo_status=status)
    before = await counts(door)
    token = person(forge, f"auth0|later-{status}")
    with pytest.raises(IssuerUnreachable, match="Try again in a minute"):
        await door.issuers.verify(token)
    assert await counts(door) == before
    issuer.serve(issuer.keys, userinfo=told)
    proof = await door.issuers.verify(token)
    assert (await user(door, id=proof.user_id))["email"] == f"later-{status}@example.com"


async def test_claims_may_have_other_names(open_door: OpenDoor, forge: Forge) -> None:
    door = open_door(
        email_claim="https://acme.example/email",
        email_verified_claim="https://acme.example/verified",
        name_claim="https://acme.example/name",
    )
    told = {
        "https://acme.example/email": "spaced@example.com",
        "https://acme.example/verified": True,
        "https://acme.example/name": "Spaced",
    }
    proof = await door.issuers.verify(person(forge, "auth0|spaced", "no@example.com", **told))
    found = await user(door, id=proof.user_id)
    assert (found["email"], found["name"]) == ("spaced@example.com", "Spaced")


async def test_everybody_of_an_issuer_may_join_one_organization(open_door: OpenDoor, forge: Forge) -> None:
    """Once: who was removed from it does not come back by signing in."""
    lakeside, _ = await homes(open_door())
    door = open_door(organization_id=lakeside, role="VIEWER")
    proof = await door.issuers.verify(person(forge, "auth0|joiner", "joiner@example.com"))
    assert proof.home_id == lakeside
    assert await roles(door, proof.user_id) == {lakeside: "VIEWER"}
    (entry,) = await audited(door, "identity.seen_first", proof.user_id)
    assert entry["organization_id"] == lakeside
    await change(door, memberships.delete().where(memberships.c.user_id == proof.user_id))
    again = await open_door(organization_id=lakeside).issuers.verify(person(forge, "auth0|joiner"))
    assert (again.user_id, again.home_id) == (proof.user_id, lakeside)
    assert await roles(door, proof.user_id) == {}


async def test_an_organization_that_is_not_there_lets_nobody_in(
    open_door: OpenDoor, forge: Forge, caplog: pytest.LogCaptureFixture
) -> None:
    missing = new_id("org")
    door = open_door(organization_id=missing)
    before = await counts(door)
    await refusal(door, person(forge, "auth0|homeless", "homeless@example.com"))
    assert await counts(door) == before
    assert missing in caplog.text


async def test_organizations_of_the_issuer_are_made_when_they_are_first_seen(open_door: OpenDoor, forge: Forge) -> None:
    door = open_door(organization_claim="org_id")
    first, second, other = [
        await door.issuers.verify(person(forge, f"auth0|{name}", org_id=key))
        for name, key in (("first", "org_acme"), ("second", "org_acme"), ("other", "org_umbrella"))
    ]
    assert first.home_id == second.home_id is not None
    assert other.home_id != first.home_id
    assert await roles(door, first.user_id) == {first.home_id: "OWNER"}
    assert await roles(door, second.user_id) == {first.home_id: "MEMBER"}
    assert await roles(door, other.user_id) == {other.home_id: "OWNER"}
    # A second organization that others made does not let them in, and nothing is taken for it.
    visiting = await door.issuers.verify(person(forge, "auth0|second", org_id="org_umbrella"))
    assert (visiting.user_id, visiting.home_id) == (second.user_id, other.home_id)
    assert await roles(door, second.user_id) == {first.home_id: "MEMBER"}
    # One that nobody has seen is theirs.
    founding = await door.issuers.verify(person(forge, "auth0|second", org_id="org_new"))
    assert await roles(door, second.user_id) == {first.home_id: "MEMBER", founding.home_id: "OWNER"}
    for wrong in (..., "", 7, ["org_acme"], "org\0acme", "x" * 256):
        await refusal(door, person(forge, "auth0|first", org_id=wrong))


async def test_two_first_people_of_an_organization_make_one(open_door: OpenDoor, forge: Forge) -> None:
    doors = open_door(organization_claim="org_id"), open_door(organization_claim="org_id")
    tokens = [person(forge, f"auth0|founder-{number}", org_id="org_rush") for number in range(6)]
    found = await asyncio.gather(*(doors[number % 2].issuers.verify(token) for number, token in enumerate(tokens)))
    assert len({proof.home_id for proof in found}) == 1
    theirs = [(await roles(doors[0], proof.user_id)).values() for proof in found]
    assert sorted(role for each in theirs for role in each) == ["MEMBER"] * 5 + ["OWNER"]


async def homes(door: Door) -> tuple[str, str]:
    """The organizations of Ada and Grace."""
    found = [next(iter(await roles(door, (await user(door, email_key=email))["id"]))) for email in (ADA, GRACE)]
    return found[0], found[1]


async def ask_to_link(door: Door, token: str) -> str:
    """What is said to somebody whose address has an account."""
    with pytest.raises(IdentityNotLinked) as refused:
        await door.issuers.verify(token)
    return str(refused.value)


async def test_somebody_who_has_an_account_is_let_in_once_they_confirm_it(
    issuer: MockIssuer, open_door: OpenDoor, forge: Forge
) -> None:
    door = open_door()
    ada, before = await user(door, email_key=ADA), await counts(door)
    token = person(forge, "auth0|ada", "Ada@Example.com")
    message = await ask_to_link(door, token)
    assert "Follow the link in the mail" in message
    assert ADA not in message.lower()
    (mail,) = door.mails
    assert (mail.template, mail.to, mail.user_id) == ("link_identity", ADA, ada["id"])
    assert mail.values["link"].startswith("https://app.example.com/account/link-identity#token=")
    assert {name: mail.values[name] for name in ("name", "provider", "lifetime")} == {
        "name": ada["name"],
        "provider": "Acme Login",
        "lifetime": "1 day",
    }
    after = await counts(door)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "mail_links": 1,
        "audit_entries": 1,
    }
    entry = (await audited(door, "identity.link_requested", ada["id"]))[-1]
    assert (entry["organization_id"], entry["details"]) == ((await homes(door))[0], {"issuer": forge.issuer})
    assert await open_door().issuers.confirm(door.link()) == ada["id"]
    proof = await door.issuers.verify(token)
    assert proof.user_id == ada["id"]
    now = await user(door, email_key=ADA)
    assert now["password_hash"] == ada["password_hash"], "her address was proven before"
    linked = (await audited(door, "identity.linked", ada["id"]))[-1]
    assert (linked["organization_id"], linked["risk"]) == ((await homes(door))[0], "HIGH")
    assert linked["details"] == {"issuer": forge.issuer, "password_removed": False}
    assert await door.issuers.confirm(door.link()) is None, "a link works once"


async def test_somebody_is_mailed_once_an_hour_and_nothing_is_done_meanwhile(
    issuer: MockIssuer, open_door: OpenDoor, forge: Forge
) -> None:
    doors = open_door(), open_door()
    tokens = [person(forge, "auth0|insistent", GRACE, jti=str(number)) for number in range(8)]
    await asyncio.gather(*(ask_to_link(doors[number % 2], token) for number, token in enumerate(tokens)))
    assert len(doors[0].mails + doors[1].mails) == 1
    before = await counts(doors[0])
    statements: list[str] = []
    doors[0].database.observers.append(statements.append)
    await ask_to_link(doors[0], tokens[0])
    assert len(statements) == 1, "a look whether it is linked by now"
    doors[0].clock.now += 31
    await ask_to_link(doors[0], tokens[0])
    assert await counts(doors[0]) == before
    await ask_to_link(doors[0], person(forge, "auth0|another", GRACE))
    assert len(doors[0].mails + doors[1].mails) == 2
    earlier = datetime.now(UTC) - timedelta(minutes=61)
    await change(doors[0], update(mail_links).values(created_at=earlier))
    doors[0].clock.now += 31
    await ask_to_link(doors[0], tokens[0])
    assert len(doors[0].mails + doors[1].mails) == 3


async def test_an_account_gets_only_so_many_mails_however_many_claim_its_address(door: Door, forge: Forge) -> None:
    await change(door, mail_links.delete())
    for number in range(12):
        await ask_to_link(door, person(forge, f"auth0|swarm-{number}", "marisol@example.com"))
    assert len(door.mails) == 10


async def test_a_link_that_does_not_hold_links_nobody(open_door: OpenDoor, forge: Forge) -> None:
    door = open_door()
    token = person(forge, "auth0|kenji", "kenji@example.com")
    await ask_to_link(door, token)
    link = door.link()
    before = await counts(door)
    for wrong in ("", "x", link[:-1], link + "x", link.swapcase(), "\ud800" * 43, "é" * 43):
        assert await door.issuers.confirm(wrong) is None
    await change(door, update(mail_links).values(purpose="RESET_PASSWORD"))
    assert await door.issuers.confirm(link) is None
    await change(door, update(mail_links).values(purpose="LINK_IDENTITY"))
    kept = (await rows(door, select(mail_links.c.expires_at).where(mail_links.c.used_at.is_(None))))[0]["expires_at"]
    assert timedelta(hours=23) < kept - datetime.now(UTC) <= timedelta(hours=24)
    await change(door, update(mail_links).values(expires_at=datetime.now(UTC)))
    assert await door.issuers.confirm(link) is None
    await change(door, update(mail_links).values(expires_at=kept))
    assert await counts(door) == before
    await ask_to_link(door, token)
    other = open_door(issuer="https://elsewhere.example.com")
    assert await other.issuers.confirm(link) is None, "the issuer is not taken any more"
    await ask_to_link(door, token)


async def test_a_link_to_an_address_that_the_account_has_left_links_nobody(door: Door, forge: Forge) -> None:
    token = person(forge, "auth0|noor", "noor@example.com")
    await ask_to_link(door, token)
    moved = update(users).where(users.c.email_key == "noor@example.com")
    await change(door, moved.values(email_key="noor@elsewhere.example.com"))
    assert await door.issuers.confirm(door.link()) is None
    assert (await user(door, email_key="noor@elsewhere.example.com"))["id"] not in {
        row["user_id"] for row in await rows(door, select(identities))
    }


async def test_two_clicks_on_a_link_link_once(open_door: OpenDoor, forge: Forge) -> None:
    doors = open_door(), open_door()
    await change(doors[0], mail_links.delete())
    await ask_to_link(doors[0], person(forge, "auth0|joao", "joao@example.com"))
    link = doors[0].link()
    found = await asyncio.gather(*(doors[number % 2].issuers.confirm(link) for number in range(6)))
    joao = (await user(doors[0], email_key="joao@example.com"))["id"]
    assert sorted(map(str, found)) == ["None"] * 5 + [joao]
    assert len(await audited(doors[0], "identity.linked", joao)) == 1
    await change(doors[0], identities.delete().where(identities.c.user_id == joao))
    assert await doors[0].issuers.confirm(link) is None, "the link itself is used up"


async def test_who_registered_with_somebodys_address_loses_the_account_when_that_person_links_it(
    open_door: OpenDoor, forge: Forge
) -> None:
    """Nobody had proven the address: whoever set the password may have waited for its owner to come."""
    door = open_door()
    (home, _) = await homes(door)
    squatter, session_id = new_id("usr"), new_id("ses")
    now = datetime.now(UTC)
    account = {"id": squatter, "email": "victim@example.com", "email_key": "victim@example.com"}
    empty: dict[str, Any] = {"skills": [], "interests": [], "preferences": {}, "created_at": now}
    await change(door, users.insert().values(**account, **empty, password_hash="the squatter's"))
    await change(
        door,
        sessions.insert().values(
            id=session_id,
            user_id=squatter,
            home_id=home,
            method="PASSWORD",
            cookie=False,
            created_at=now,
            access_until=now + timedelta(minutes=30),
            ends_at=now + timedelta(days=30),
        ),
    )
    async with Rights(door.database, token_lifetime=timedelta(minutes=30)) as rights:
        await ask_to_link(door, person(forge, "auth0|victim", "victim@example.com"))
        assert not rights.has_ended(session_id)
        assert (await user(door, id=squatter))["password_hash"] == "the squatter's"
        assert await door.issuers.confirm(door.link()) == squatter
        found = await user(door, id=squatter)
        assert found["password_hash"] is None
        assert found["email_verified_at"] is not None
        (session,) = await rows(door, select(sessions).where(sessions.c.id == session_id))
        assert (session["end_reason"], session["ended_at"] is None) == ("IDENTITY_LINKED", False)
        assert rights.has_ended(session_id), "its access tokens end at once"
        (linked,) = await audited(door, "identity.linked", squatter)
        assert linked["details"]["password_removed"] is True


async def test_who_links_their_account_joins_the_organization_of_the_issuer(open_door: OpenDoor, forge: Forge) -> None:
    lakeside, northwind = await homes(open_door())
    door = open_door(organization_id=northwind)
    await change(door, mail_links.delete())
    async with Rights(door.database, token_lifetime=timedelta(minutes=30)) as rights:
        marisol = (await user(door, email_key="marisol@example.com"))["id"]
        assert list(vars_of(await rights.standing(marisol))) == [lakeside]
        token = person(forge, "auth0|marisol", "marisol@example.com")
        await ask_to_link(door, token)
        assert await roles(door, marisol) == {lakeside: "ADMIN"}
        assert await door.issuers.confirm(door.link()) == marisol
        assert vars_of(await rights.standing(marisol)) == {lakeside: "ADMIN", northwind: "MEMBER"}
        assert (await door.issuers.verify(token)).home_id == northwind


async def test_who_links_their_account_may_be_the_first_of_an_organization(open_door: OpenDoor, forge: Forge) -> None:
    door = open_door(organization_claim="org_id")
    await change(door, mail_links.delete())
    ada = await user(door, email_key=ADA)
    before = await roles(door, ada["id"])
    token = person(forge, "auth0|ada-of-initech", ADA, org_id="org_initech")
    await ask_to_link(door, token)
    assert await door.issuers.confirm(door.link()) == ada["id"]
    proof = await door.issuers.verify(token)
    assert proof.home_id not in before
    assert await roles(door, ada["id"]) == {**before, str(proof.home_id): "OWNER"}


def vars_of(standing: Any) -> dict[str, str]:
    """The roles of somebody who may sign in."""
    assert standing is not None
    return dict(standing.roles)


async def test_no_trace_in_the_trail_or_the_log_tells_an_address(
    open_door: OpenDoor, forge: Forge, caplog: pytest.LogCaptureFixture
) -> None:
    door = open_door()
    with caplog.at_level("DEBUG"):
        await door.issuers.verify(person(forge, "secret-subject", "secret-address@example.com"))
        await change(door, update(mail_links).values(created_at=datetime.now(UTC) - timedelta(hours=2)))
        await ask_to_link(door, person(forge, "secret-subject-2", GRACE))
        with pytest.raises(InvalidToken):
            await door.issuers.verify(person(forge, "secret-subject", exp=1))
    trail = str([dict(row) for row in await rows(door, select(audit_entries.c.details, audit_entries.c.actor))])
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("auth", "datasources.oidc"))]
    for secret in ("secret-subject", "secret-address", GRACE, "eyJ"):
        assert secret not in trail
        assert secret not in str(ours)
