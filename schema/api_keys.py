"""API keys, with which integrators' programs act for an organization."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import strawberry

from auth.api_keys import WantedKey
from auth.refusal import Refusal
from datasources.database.accounts import users_by_id
from datasources.database.api_keys import ApiKeyRow, api_keys_of
from datasources.database.engine import Scope
from schema.accounts import User
from schema.context import Info, as_graphql
from schema.directives import ListSize, scopes
from schema.node import Node
from schema.payloads import UserError, refused
from schema.relations import relation

ADMINISTER_KEYS = scopes("keys:admin")


@strawberry.type(
    description="Lets a program act for the organization. Send its secret as X-API-Key, or as a bearer token.",
    directives=[ADMINISTER_KEYS],
)
class ApiKey(Node):
    """``ApiKey``."""

    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="How its secret begins.")
    scopes: list[str] = strawberry.field(description="What it may do.", directives=[ListSize(assumed_size=20)])
    created_by: User | None = relation(
        users_by_id,
        key="created_by",
        description="Who made it; null where that is no member any more, or was an operator.",
    )
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to the minute.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself.")
    revoked_at: datetime | None = strawberry.field(description="When it was ended.")
    created_at: datetime = strawberry.field(description="When it was made.")


async def _keys_of(scope: Scope, organization_ids: Sequence[str]) -> Mapping[str, list[ApiKeyRow] | None]:
    return await api_keys_of(scope, organization_ids, now=datetime.now(UTC))


@strawberry.type(description="API keys.")
class OrganizationApiKeys:
    """Fields of ``Organization``."""

    api_keys: list[ApiKey] | None = relation(
        _keys_of,
        key="id",
        many=True,
        description="Its API keys: those that hold, and after them the newest of those that were revoked or have "
        "ended, 200 in all. Null for another organization than the one that you act for.",
        directives=(ListSize(assumed_size=200),),
    )


@strawberry.input(description="An API key to make.")
class CreateApiKeyInput:
    """``CreateApiKeyInput``."""

    name: str = strawberry.field(description="What it is for.")
    scopes: list[str] = strawberry.field(description="What it may do: as little as it needs, and no more than you may.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it ends by itself; in 90 days when absent."
    )


@strawberry.input(description="An API key to end.")
class RevokeApiKeyInput:
    """``RevokeApiKeyInput``."""

    id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.type(description="An API key with its secret, or why there is none.")
class CreateApiKeyPayload:
    """``CreateApiKeyPayload``."""

    api_key: ApiKey | None = strawberry.field(description="The key.")
    secret: str | None = strawberry.field(description="Shown this once; keep it where no one else reads it.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="An API key that does not hold any more, or why it does.")
class RevokeApiKeyPayload:
    """``RevokeApiKeyPayload``."""

    api_key: ApiKey | None = strawberry.field(description="As it stands now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="Mutations about API keys.")
class ApiKeyMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Makes an API key. This is for people: no key makes another.", directives=[ADMINISTER_KEYS]
    )
    @staticmethod
    async def create_api_key(
        info: Info, input: Annotated[CreateApiKeyInput, strawberry.argument(description="What for.")]
    ) -> CreateApiKeyPayload | None:
        """``createApiKey``."""
        context = info.context
        _ = context.organization_id
        wanted = WantedKey(input.name, input.scopes, input.expires_at)
        try:
            made = await context.services.accounts.api_keys.create(context.scope, context.principal, wanted)
        except Refusal as refusal:
            return CreateApiKeyPayload(api_key=None, secret=None, user_errors=[refused(refusal)])
        return CreateApiKeyPayload(api_key=as_graphql(made.row), secret=made.secret, user_errors=[])

    @strawberry.mutation(description="Ends an API key at once, on open sockets too.", directives=[ADMINISTER_KEYS])
    @staticmethod
    async def revoke_api_key(
        info: Info, input: Annotated[RevokeApiKeyInput, strawberry.argument(description="Which.")]
    ) -> RevokeApiKeyPayload | None:
        """``revokeApiKey``."""
        context = info.context
        _ = context.organization_id
        try:
            row = await context.services.accounts.api_keys.revoke(context.scope, context.principal.actor, input.id)
        except Refusal as refusal:
            return RevokeApiKeyPayload(api_key=None, user_errors=[refused(refusal)])
        return RevokeApiKeyPayload(api_key=as_graphql(row), user_errors=[])
