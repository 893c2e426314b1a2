"""Members and their roles: who may change whose, and that it holds at once, everywhere."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from auth.errors import AccessDenied
from auth.members import RoleAbove, change_member_role, end_membership, may_manage
from auth.principal import MemberRole, Principal
from auth.scopes import ROLE_SCOPES
from datasources.database.engine import Database
from datasources.database.tables.access import invitations
from datasources.database.tables.gateway import users
from datasources.keyring import Keyring
from tests.organizations.company import Company, Member, closed, rows, said, socket_of, until
from tests.serving import Running, running

pytestmark = pytest.mark.anyio
ROLES = ("OWNER", "ADMIN", "MEMBER", "VIEWER")
NOBODYS = "usr_" + "0" * 26


@pytest.fixture(scope="module")
def beside(gateway: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Another process on the same database, with the same keys."""
    folder = tmp_path_factory.mktemp("beside")
    settings = gateway.app.state.gateway.settings
    for kept in (settings.key_file, settings.keyring_file):
        (folder / kept.name).write_bytes(Path(kept).read_bytes())
    with running(gateway.database_url, folder) as server:
        yield server


def told(member: Member) -> str:
    """Whether a member may do what administrators may."""
    return "may not" if "errors" in member.sees("{ organization { invitations { id } } }") else "may"


async def test_who_may_change_whose_role_is_a_table(acme: Company, other: Company) -> None:
    """Every role tries to make every role of every role; what is denied has not happened."""
    people = {role: await acme.member(role) for role in ROLES}
    await acme.member("OWNER")  # so that no owner is the last
    strangers = {role: await other.member(role) for role in ROLES}
    for own in ROLES:
        for was in ROLES:
            for becomes in ROLES:
                target = await acme.member(was)
                who = people[own]
                scopes = ROLE_SCOPES[MemberRole[own]]
                allowed = all(may_manage(MemberRole[own], scopes, MemberRole[role]) for role in (was, becomes))
                assert allowed is (own == "OWNER" or (own == "ADMIN" and "OWNER" not in (was, becomes)))
                if allowed:
                    payload = who.do("changeMemberRole", userId=target.id, role=becomes)
                    assert payload["membership"] == {
                        "role": becomes,
                        "user": {"id": target.id},
                        "organization": {"id": acme.id},
                    }
                else:
                    assert who.denied("changeMemberRole", userId=target.id, role=becomes) == "FORBIDDEN"
                assert (await acme.roles())[target.id] == (becomes if allowed else was)
    before = await other.roles()
    for user_id in [each.id for each in strangers.values()] + [NOBODYS, "", "nonsense"]:
        for mutation, values in (("changeMemberRole", {"role": "VIEWER"}), ("removeMember", {})):
            code, place, message = people["OWNER"].refused(mutation, userId=user_id, **values)
            assert (code, place, message) == ("NOT_FOUND", ["userId"], "There is no such member of your organization.")
    assert await other.roles() == before


async def test_who_may_remove_whom(acme: Company) -> None:
    people = {role: await acme.member(role) for role in ROLES}
    await acme.member("OWNER")
    for own in ROLES:
        for whose in ROLES:
            target = await acme.member(whose)
            if own == "OWNER" or (own == "ADMIN" and whose != "OWNER"):
                left = people[own].do("removeMember", userId=target.id)["organization"]
                assert target.id not in {member["user"]["id"] for member in left["members"]}
                assert target.id not in await acme.roles()
                assert target.sees()["data"] == {"viewer": {"id": target.id}, "organization": None}
            else:
                assert people[own].denied("removeMember", userId=target.id) == "FORBIDDEN"
                assert target.id in await acme.roles()


async def test_everybody_may_leave_but_the_last_owner(acme: Company, other: Company) -> None:
    owner, second = await acme.member("OWNER"), await acme.member("OWNER")
    stranger = await other.member("OWNER")
    for role in ("ADMIN", "MEMBER", "VIEWER"):
        member = await acme.member(role)
        assert member.do("leaveOrganization", organizationId=acme.id) == {"userErrors": []}
        assert member.id not in await acme.roles()
        gone = ("NOT_FOUND", ["organizationId"], "You belong to no such organization.")
        for organization_id in (acme.id, other.id, "org_" + "0" * 26):
            assert member.refused("leaveOrganization", organizationId=organization_id) == gone
    second.do("leaveOrganization", organizationId=acme.id)
    message = "This is the last owner. Make somebody else an owner first."
    assert owner.refused("leaveOrganization", organizationId=acme.id) == ("CONFLICT", ["organizationId"], message)
    assert owner.refused("removeMember", userId=owner.id) == ("CONFLICT", ["userId"], message)
    assert owner.refused("changeMemberRole", userId=owner.id, role="ADMIN") == ("CONFLICT", ["userId"], message)
    assert await acme.roles() == {owner.id: "OWNER"}
    assert await other.roles() == {stranger.id: "OWNER"}
    entries = await acme.audited("member.removed")
    assert [entry["risk"] for entry in entries] == ["MEDIUM", "MEDIUM", "MEDIUM", "HIGH"]
    assert all(entry["actor"] == entry["target_id"] for entry in entries)
    assert acme.program(owner, "members:admin").denied("leaveOrganization", organizationId=acme.id) == "FORBIDDEN"
    assert Member(acme.gateway).denied("leaveOrganization", organizationId=acme.id) == "UNAUTHENTICATED"


async def test_an_owner_who_cannot_sign_in_is_none(acme: Company, database: Database) -> None:
    """Otherwise nobody could ever administer the organization again."""
    owner, barred = await acme.member("OWNER"), await acme.member("OWNER")
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(users).where(users.c.id == barred.id).values(disabled_at=users.c.created_at))
    assert owner.refused("removeMember", userId=owner.id)[0] == "CONFLICT"
    assert owner.do("removeMember", userId=barred.id)["organization"]["id"] == acme.id


async def test_of_owners_who_unmake_each_other_at_once_one_stays(acme: Company) -> None:
    for number in range(1, 6):
        one, two = await acme.member("OWNER"), await acme.member("OWNER")
        others = [user_id for user_id, role in (await acme.roles()).items() if role == "OWNER"]
        for each in set(others) - {one.id, two.id}:
            one.do("removeMember", userId=each)
        demote = [(one, two), (two, one), (one, one), (two, two)]
        answers = await asyncio.gather(
            *(asyncio.to_thread(who.answer, "changeMemberRole", userId=whom.id, role="MEMBER") for who, whom in demote)
        )
        owners = [user_id for user_id, role in (await acme.roles()).items() if role == "OWNER"]
        assert len(owners) == 1, answers
        assert len(await acme.audited("member.role_changed")) == number, answers


async def test_what_counts_is_the_role_at_the_moment_of_the_change(acme: Company, gateway: Running) -> None:
    """Another process may have changed it a moment ago, and this one not have heard of it yet."""
    admin, target = await acme.member("ADMIN"), await acme.member("OWNER")
    settings = gateway.app.state.gateway.settings
    audited = Database(
        gateway.database_url, pool_size=1, audit_key=Keyring(settings.keyring_file).derived("audit trail")
    )
    remembered = Principal(
        user_id=admin.id,
        organization_id=acme.id,
        role=MemberRole.OWNER,
        scopes=ROLE_SCOPES[MemberRole.OWNER],
    )
    with pytest.raises(RoleAbove):
        await change_member_role(audited.scoped(acme.id), remembered, target.id, MemberRole.VIEWER)
    with pytest.raises(RoleAbove):
        await end_membership(audited.scoped(acme.id), remembered, target.id)
    target.do("removeMember", userId=admin.id)
    with pytest.raises(AccessDenied):
        await end_membership(audited.scoped(acme.id), remembered, target.id)
    assert await acme.roles() == {target.id: "OWNER"}
    await audited.close()


async def test_a_new_role_holds_with_the_next_request_and_in_other_processes(acme: Company, beside: Running) -> None:
    owner, member = await acme.member("OWNER"), await acme.member("MEMBER")
    elsewhere = Member(beside, id=member.id, token=member.token)
    assert told(member) == told(elsewhere) == "may not"
    owner.do("changeMemberRole", userId=member.id, role="ADMIN")
    assert told(member) == "may"
    await until(lambda: told(elsewhere) == "may")
    owner.do("changeMemberRole", userId=member.id, role="VIEWER")
    assert told(member) == "may not"
    await until(lambda: told(elsewhere) == "may not")
    entries = await acme.audited("member.role_changed")
    assert [(entry["actor"], entry["target_id"], entry["risk"], entry["details"]) for entry in entries] == [
        (owner.id, member.id, "MEDIUM", {"from": "MEMBER", "to": "ADMIN"}),
        (owner.id, member.id, "MEDIUM", {"from": "ADMIN", "to": "VIEWER"}),
    ]
    owner.do("changeMemberRole", userId=member.id, role="VIEWER")  # nothing changes, and nothing is said of it
    assert len(await acme.audited("member.role_changed")) == 2
    owner.do("changeMemberRole", userId=member.id, role="OWNER")
    assert (await acme.audited("member.role_changed"))[-1]["risk"] == "HIGH"


async def test_who_is_removed_is_out_of_open_sockets_at_once_and_nobody_else_is(
    acme: Company, other: Company, beside: Running
) -> None:
    owner, member = await acme.member("OWNER"), await acme.member("MEMBER")
    also = await other.joined(member, "VIEWER")
    elsewhere = Member(beside, id=member.id, token=member.token)
    async with (
        socket_of(member) as here,
        socket_of(elsewhere) as there,
        socket_of(also) as of_other,
        socket_of(owner) as of_owner,
    ):
        assert (await said(here))["data"]["organization"] == {"id": acme.id}
        owner.do("removeMember", userId=member.id)
        assert (await closed(here))[0] == 4403
        assert (await closed(there))[0] == 4403
        assert (await said(of_other))["data"] == {"viewer": {"id": member.id}, "organization": {"id": other.id}}
        assert (await said(of_owner))["data"]["organization"] == {"id": acme.id}


async def test_whoever_loses_rights_loses_what_they_could_regain_them_by(acme: Company, database: Database) -> None:
    """Their keys that could do more than they still may, and the invitations that they could not send any more."""
    owner, admin = await acme.member("OWNER"), await acme.member("ADMIN")
    strong = acme.program(admin, "keys:admin", "orders:read")
    weak = acme.program(admin, "orders:read")
    of_owner = acme.program(owner, "keys:admin")
    admin.do("inviteMember", email="friend@example.com", role="ADMIN")
    owner.do("inviteMember", email="other@example.com", role="ADMIN")
    owner.do("changeMemberRole", userId=admin.id, role="MEMBER")
    assert strong.sees()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert weak.sees()["data"]["organization"] == {"id": acme.id}
    assert await acme.revoked() == {strong.id}
    pending = owner.sees("{ organization { invitations { email } } }")["data"]["organization"]["invitations"]
    assert pending == [{"email": "other@example.com"}]
    owner.do("removeMember", userId=admin.id)
    assert weak.sees()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert of_owner.sees()["data"]["organization"] == {"id": acme.id}
    assert await acme.revoked() == {strong.id, weak.id}
    assert [entry["details"] for entry in await acme.audited("key.revoked")] == [{"reason": "MAKER_LOST_RIGHTS"}] * 2
    assert len(await acme.audited("invitation.withdrawn")) == 1
    assert len(await rows(database, invitations, invitations.c.organization_id == acme.id)) == 2


async def test_a_key_gives_and_takes_no_more_than_it_has(acme: Company) -> None:
    owner = await acme.member("OWNER")
    viewer, member, admin = [await acme.member(role) for role in ("VIEWER", "MEMBER", "ADMIN")]
    clerk = acme.program(owner, "members:admin", *sorted(ROLE_SCOPES[MemberRole.VIEWER]))
    chief = acme.program(owner, *sorted(ROLE_SCOPES[MemberRole.OWNER]))
    before = await acme.roles()
    assert clerk.denied("changeMemberRole", userId=viewer.id, role="MEMBER") == "FORBIDDEN"
    assert clerk.denied("changeMemberRole", userId=member.id, role="VIEWER") == "FORBIDDEN"
    assert clerk.denied("removeMember", userId=admin.id) == "FORBIDDEN"
    assert clerk.denied("inviteMember", email="new@example.com", role="ADMIN") == "FORBIDDEN"
    for role in ROLES:
        assert chief.denied("changeMemberRole", userId=owner.id, role=role) == "FORBIDDEN"
    assert chief.denied("changeMemberRole", userId=admin.id, role="OWNER") == "FORBIDDEN"
    assert chief.denied("inviteMember", email="new@example.com", role="OWNER") == "FORBIDDEN"
    assert chief.denied("removeMember", userId=owner.id) == "FORBIDDEN"
    assert await acme.roles() == before
    chief.do("changeMemberRole", userId=viewer.id, role="ADMIN")
    clerk.do("inviteMember", email="new@example.com", role="VIEWER")
    assert (await acme.audited("member.role_changed"))[0]["actor"] == chief.id


async def test_the_organization_is_changed_by_its_administrators(acme: Company, other: Company) -> None:
    admin, member = await acme.member("ADMIN"), await acme.member("MEMBER")
    stranger = await other.member("OWNER")
    done = admin.do("updateOrganization", name="  Acme & Sons ", capabilities=["SELLER", "BUYER", "SELLER"])
    assert done["organization"] == {"id": acme.id, "name": "Acme & Sons", "capabilities": ["SELLER", "BUYER"]}
    assert admin.do("updateOrganization")["organization"]["name"] == "Acme & Sons"
    for name in ("", " ", "x" * 121, "a\nb", "a\x07"):
        assert admin.refused("updateOrganization", name=name)[:2] == ("INVALID", ["name"])
    assert member.denied("updateOrganization", name="Mine") == "FORBIDDEN"
    assert stranger.do("updateOrganization", name="Theirs")["organization"]["id"] == other.id
    assert admin.sees("{ organization { name } }")["data"] == {"organization": {"name": "Acme & Sons"}}
    (entry,) = await acme.audited("organization.updated")
    assert (entry["actor"], entry["target_id"]) == (admin.id, acme.id)
    assert "Sons" not in str(entry)


async def test_nobody_changes_anything(acme: Company, gateway: Running) -> None:
    owner = await acme.member("OWNER")
    nobody = Member(gateway)
    assert nobody.denied("changeMemberRole", userId=owner.id, role="VIEWER") == "UNAUTHENTICATED"
    assert nobody.denied("removeMember", userId=owner.id) == "UNAUTHENTICATED"
    assert nobody.denied("inviteMember", email="new@example.com", role="VIEWER") == "UNAUTHENTICATED"
    assert nobody.denied("updateOrganization", name="Mine") == "UNAUTHENTICATED"
    assert await acme.roles() == {owner.id: "OWNER"}
