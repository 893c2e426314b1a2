"""The gateway in the loop of the tests, on SQLite and on PostgreSQL, and what two of its people can reach."""

from collections.abc import AsyncIterator

import pytest

from auth.principal import Principal
from gateway.platforms import BUILT_IN
from schema.composed import Composition
from schema.composition import compose
from tests.schema.furniture import furnish_webhooks
from tests.schema.harvest import Harvest, harvest
from tests.schema.in_process import InProcess, in_process
from tests.schema.ways import Ways
from tests.serving import ADA, GRACE


@pytest.fixture(scope="session")
def composition() -> Composition:
    """The built-in platforms as one schema."""
    return compose(BUILT_IN)


@pytest.fixture(scope="session")
def ways(composition: Composition) -> Ways:
    """The ways through it."""
    return Ways(composition.graphql)


@pytest.fixture(scope="session")
def sdl(composition: Composition) -> str:
    """Its text."""
    return composition.sdl


@pytest.fixture(scope="module")
async def inside(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """A gateway over the demo data, once on each database."""
    async with in_process(database_url, tmp_path_factory.mktemp("inside")) as running:
        for email in (ADA, GRACE):
            await _furnish(running, await running.person(email))
        yield running


async def _furnish(inside: InProcess, who: Principal) -> None:
    """What the demo data has none of: API keys, invitations, webhooks, and an audit trail that tells of them."""
    mutation = """mutation ($key: CreateApiKeyInput!, $guest: InviteMemberInput!) {
      createApiKey(input: $key) { userErrors { message } }
      inviteMember(input: $guest) { userErrors { message } }
    }"""
    for number in range(12):
        key = {"name": f"Key {number}", "scopes": ["orders:read"]}
        guest = {"email": f"guest{number}@example.com", "role": "VIEWER"}
        data = await inside.data(mutation, {"key": key, "guest": guest}, as_=who)
        assert data == {"createApiKey": {"userErrors": []}, "inviteMember": {"userErrors": []}}
    await furnish_webhooks(inside.database, str(who.organization_id), made_by=who.user_id)


@pytest.fixture(scope="module")
async def of_ada(inside: InProcess) -> Harvest:
    """What Ada can reach."""
    return await harvest(inside, await inside.person(ADA))


@pytest.fixture(scope="module")
async def of_grace(inside: InProcess) -> Harvest:
    """What Grace can reach."""
    return await harvest(inside, await inside.person(GRACE))
