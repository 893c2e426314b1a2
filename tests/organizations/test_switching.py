"""A person of two organizations chooses with each request, or with each socket, which one they act for."""

import json

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.organizations.company import SEEN, Company, Member, closed, said, socket_of
from tests.serving import Running

pytestmark = pytest.mark.anyio
MADE_UP = "org_" + "0" * 26
REFUSAL = {
    "message": "X-Organization-Id names no organization that you belong to. Leave it out, or name one of yours.",
    "extensions": {"code": "FORBIDDEN", "retryable": False},
}


@pytest.fixture
async def both(acme: Company, other: Company) -> Member:
    """Somebody who owns one company and may look at the other."""
    owner = await acme.member("OWNER")
    await other.member("OWNER")
    await other.joined(owner, "VIEWER")
    return owner


async def test_the_header_chooses_and_the_role_is_that_of_the_organization(
    both: Member, acme: Company, other: Company
) -> None:
    assert both.sees()["data"] == {"viewer": {"id": both.id}, "organization": {"id": acme.id}}
    there = both.acting_for(other.id)
    assert there.sees()["data"] == {"viewer": {"id": both.id}, "organization": {"id": other.id}}
    assert both.acting_for(acme.id).do("inviteMember", email="new@example.com", role="VIEWER")["invitation"]
    assert there.denied("inviteMember", email="new@example.com", role="VIEWER") == "FORBIDDEN"
    for user_id in set(await other.roles()) - {both.id}:
        assert there.denied("removeMember", userId=user_id) == "FORBIDDEN"
    assert await other.audited("invitation.sent") == []


async def test_an_organization_of_somebody_else_and_none_at_all_answer_the_same(
    both: Member, acme: Company, other: Company, gateway: Running
) -> None:
    only_here = await acme.member("ADMIN")
    for identity in (other.id, MADE_UP, "", "nonsense", "org_'--"):
        answer = only_here.acting_for(identity).sees()
        assert answer == {"errors": [REFUSAL]}, identity
        async with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
            payload = {"authorization": f"Bearer {only_here.token}", "X-Organization-Id": identity}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert await closed(socket) == (4403, "Forbidden")
    answer = only_here.acting_for(other.id).answer("updateOrganization", name="Mine")
    assert answer == {"errors": [REFUSAL]}
    assert both.acting_for(other.id).sees("{ organization { name } }")["data"] == {"organization": {"name": "Other"}}


async def test_a_socket_acts_for_what_its_first_message_names(both: Member, acme: Company, other: Company) -> None:
    async with (
        socket_of(both) as at_home,
        socket_of(both, **{"X-Organization-Id": other.id}) as there,
        socket_of(both, **{"x-organization-id": acme.id}) as here,
    ):
        for socket, company in ((at_home, acme), (there, other), (here, acme)):
            assert (await said(socket))["data"]["organization"] == {"id": company.id}
        denied = await said(there, "{ organization { id invitations { id } } }")
        assert denied["data"] == {"organization": {"id": other.id, "invitations": None}}
        assert (await said(here, "{ organization { invitations { id } } }"))["data"] is not None


async def test_who_leaves_the_organization_of_their_token_acts_for_no_other_by_itself(
    both: Member, acme: Company, other: Company
) -> None:
    """What they write would land there."""
    await acme.member("OWNER")
    both.acting_for(other.id).do("leaveOrganization", organizationId=acme.id)
    answer = both.sees(SEEN)
    assert answer["data"] == {"viewer": {"id": both.id}, "organization": None}
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert both.denied("createApiKey", name="x", scopes=["orders:read"]) == "FORBIDDEN"
    assert both.acting_for(other.id).sees()["data"]["organization"] == {"id": other.id}
