"""Where people belong: they see all of their own organizations, and of others only the one that they look from."""

from typing import Any

import pytest
from sqlalchemy import delete

from datasources.database.engine import Database
from datasources.database.tables.gateway import memberships
from gateway.demo import PASSWORD
from tests.auth.newcomers import Newcomer, join, newcomer
from tests.auth.visitor import Visitor
from tests.serving import ADA, Running

pytestmark = pytest.mark.anyio

NOOR, JOAO = "noor@example.com", "joao@example.com"
PAPIER, MAREA = "Papierflieger", "Casa Marea"
MINE = """{ viewer { memberships { role organization { id name slug members { user { email } }
  businesses { totalCount nodes { id } } usage(range: {from: "2026-10-01T00:00:00Z"}) { totals { value } }
  apiKeys { id } invitations { id } } user { email } } } organization { id name } }"""
OTHERS = "{ organization { name members { role user { email memberships { role organization { name } } } } } }"


@pytest.fixture
def noor(gateway: Running) -> Visitor:
    """Somebody of two organizations, signed in to the first."""
    visitor = Visitor(gateway, "192.0.2.1")
    visitor.signed_in("login", email=NOOR, password=PASSWORD)
    return visitor


def ask(visitor: Visitor, query: str, **headers: str) -> dict[str, Any]:
    """The data of a query; what a role may not see of it is null."""
    found: dict[str, Any] = visitor.ask(query, None, **headers)["data"]
    return found


def mine(visitor: Visitor, **headers: str) -> dict[str, dict[str, Any]]:
    """The viewer's memberships by the name of the organization."""
    found = ask(visitor, MINE, **headers)["viewer"]["memberships"]
    return {each["organization"]["name"]: each for each in found}


def test_somebody_sees_where_they_could_act_and_switches(noor: Visitor) -> None:
    found = mine(noor)
    assert {name: each["role"] for name, each in found.items()} == {PAPIER: "OWNER", MAREA: "MEMBER"}
    assert {each["user"]["email"] for each in found.values()} == {NOOR}
    for name, each in found.items():
        data = ask(noor, MINE, x_organization_id=each["organization"]["id"])
        assert data["organization"] == {"id": each["organization"]["id"], "name": name}
        assert len(data["viewer"]["memberships"]) == 2


def test_of_the_other_organization_its_name_is_all(noor: Visitor) -> None:
    """What is in it is read by acting for it, with the rights of the role there: here it is null, never empty."""
    ids = {name: each["organization"]["id"] for name, each in mine(noor).items()}
    for here, there in ((PAPIER, MAREA), (MAREA, PAPIER)):
        found = mine(noor, x_organization_id=ids[here])
        assert found[here]["organization"]["members"]
        assert found[here]["organization"]["businesses"]["nodes"]
        assert found[here]["organization"]["usage"]["totals"]
        beside = found[there]["organization"]
        assert beside["slug"]
        assert {name: beside[name] for name in ("members", "businesses", "usage", "apiKeys", "invitations")} == {
            "members": None,
            "businesses": None,
            "usage": None,
            "apiKeys": None,
            "invitations": None,
        }


def test_nobody_else_sees_where_somebody_belongs(gateway: Running) -> None:
    joao = Visitor(gateway, "192.0.2.2")
    joao.signed_in("login", email=JOAO, password=PASSWORD)
    members = {each["user"]["email"]: each for each in ask(joao, OTHERS)["organization"]["members"]}
    assert set(members) == {JOAO, NOOR}
    assert members[NOOR]["user"]["memberships"] == [{"role": "MEMBER", "organization": {"name": MAREA}}]
    everything = str(joao.ask(OTHERS)) + str(joao.ask(MINE))
    assert PAPIER not in everything


def test_the_organization_of_a_stranger_stays_unknown(gateway: Running, noor: Visitor) -> None:
    papier = mine(noor)[PAPIER]["organization"]["id"]
    for query in ("query ($id: ID!) { node(id: $id) { id ... on Organization { name } } }",):
        assert gateway.data(query, {"id": papier}, as_=ADA) == {"node": None}
    refused = Visitor(gateway, token=gateway.token(ADA)).ask("{ organization { name } }", x_organization_id=papier)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_who_was_removed_sees_where_they_can_still_go(gateway: Running, database: Database) -> None:
    """The organization of the session is gone for them; without a word about which, they are shown what is left."""
    ada, host = newcomer(gateway), newcomer(gateway)
    await join(database, ada.id, host.organization_id, "MEMBER")
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(
            delete(memberships).where(
                memberships.c.user_id == ada.id, memberships.c.organization_id == ada.organization_id
            )
        )
    data = ask(ada.visitor, "{ viewer { email memberships { organization { id } } } }")
    assert data["viewer"] == {"email": ada.email, "memberships": [{"organization": {"id": host.organization_id}}]}
    assert ask(ada.visitor, "{ organization { id } }") == {"organization": None}
    there = ask(ada.visitor, "{ organization { id } }", x_organization_id=host.organization_id)
    assert there == {"organization": {"id": host.organization_id}}


def test_statements_do_not_grow_with_members_and_memberships(gateway: Running, noor: Visitor) -> None:
    """One statement for the people, one for where they belong, one for what that is; for one member and for two."""
    ids = {name: each["organization"]["id"] for name, each in mine(noor).items()}
    costs = {}
    for name in (PAPIER, MAREA):
        with gateway.statements() as found:
            members = ask(noor, OTHERS, x_organization_id=ids[name])["organization"]["members"]
        costs[len(members)] = [each for each in found if "FROM memberships" in each or "FROM users" in each]
    assert set(costs) == {1, 2}
    assert len(costs[1]) == len(costs[2]) == 4


def test_a_newcomer_is_alone(gateway: Running) -> None:
    ada: Newcomer = newcomer(gateway)
    assert [each["role"] for each in mine(ada.visitor).values()] == ["OWNER"]
