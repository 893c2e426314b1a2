"""People and organizations: who is signed in, and what they belong to."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from datasources.database import accounts
from datasources.database.engine import Scope
from schema.batching import BatchLoader
from schema.context import Info, as_graphql
from schema.directives import Authenticated
from schema.node import Node
from schema.relations import relation
from schema.scalars import EmailAddress, Json, Url

Seen = Callable[[Scope, list[Any], str | None], Awaitable[Mapping[Any, Any]]]
"""Reads rows by key as a viewer sees them, who belongs to more organizations than the one that they act for."""


def _seen_by_viewer(info: Info, load: Seen) -> BatchLoader[Any, Any]:
    context = info.context

    async def batch(keys: list[Any]) -> list[Any]:
        found = await load(context.scope, keys, context.principal.user_id)
        return [found.get(key) for key in keys]

    return context.keyed_loader(load, lambda: batch)


@strawberry.enum(description="What a person may do in an organization.")
class MemberRole(Enum):
    """``MemberRole``; the rights behind it are ``auth.scopes``."""

    OWNER = strawberry.enum_value("OWNER", description="Everything, and may hand the organization on.")
    ADMIN = strawberry.enum_value("ADMIN", description="Everything but handing the organization on.")
    MEMBER = strawberry.enum_value("MEMBER", description="Works with the data.")
    VIEWER = strawberry.enum_value("VIEWER", description="Reads the data.")


@strawberry.enum(description="What an organization may do beyond buying.")
class Capability(Enum):
    """``Capability``."""

    BUYER = strawberry.enum_value("BUYER", description="Buys prompts.")
    SELLER = strawberry.enum_value("SELLER", description="Sells prompts.")
    DEVELOPER = strawberry.enum_value("DEVELOPER", description="Publishes as a developer.")
    ADVERTISER = strawberry.enum_value("ADVERTISER", description="Attributes its advertising.")
    MERCHANT = strawberry.enum_value("MERCHANT", description="Takes orders in chat.")
    BROADCASTER = strawberry.enum_value("BROADCASTER", description="Runs live rooms.")


@strawberry.type(
    description="A person. Seen only by the organizations that they belong to.", directives=[Authenticated()]
)
class User(Node):
    """``User``."""

    email: EmailAddress = strawberry.field(description="The address they sign in with.")
    name: str | None = strawberry.field(description="As they want to be called.")
    avatar_url: Url | None = strawberry.field(description="A picture of them.")
    bio: str | None = strawberry.field(description="What they say of themselves.")
    company: str | None = strawberry.field(description="Where they work.")
    website: Url | None = strawberry.field(description="Their page.")
    skills: list[str] = strawberry.field(description="What they can do.")
    interests: list[str] = strawberry.field(description="What they care for.")
    preferences: Json = strawberry.field(description="Settings that frontends keep for them.")
    created_at: datetime = strawberry.field(description="When they registered.")

    @strawberry.field(
        description="What they are in the organization that you act for; of yourself, in all that you belong to."
    )
    @staticmethod
    async def memberships(root: strawberry.Parent[accounts.UserRow], info: Info) -> list["Membership"]:
        """``memberships``."""
        return as_graphql(await _seen_by_viewer(info, accounts.memberships_seen).load(root.id) or ())


@strawberry.type(
    description="A company with its people, businesses and bill: nothing is shared between two of them.",
    directives=[Authenticated()],
)
class Organization(Node):
    """``Organization``."""

    name: str = strawberry.field(description="As it is shown.")
    slug: str = strawberry.field(description="Its name in addresses.")
    capabilities: list[Capability] = strawberry.field(description="What it may do beyond buying.")
    members: list["Membership"] | None = relation(
        accounts.members_of,
        key="id",
        many=True,
        description="Its people, longest first; null for another organization than the one that you act for.",
    )
    created_at: datetime = strawberry.field(description="When it was created.")


@strawberry.type(description="A person's place in an organization.", directives=[Authenticated()])
class Membership:
    """``Membership``."""

    role: MemberRole = strawberry.field(description="What they may do there.")
    joined_at: datetime = strawberry.field(description="Since when.")

    @strawberry.field(
        description="Where. To read what is in another one of yours, name it in the header X-Organization-Id."
    )
    @staticmethod
    async def organization(root: strawberry.Parent[accounts.MembershipRow], info: Info) -> Organization | None:
        """``organization``."""
        return await _seen_by_viewer(info, accounts.organizations_seen).load(root.organization_id)

    @strawberry.field(description="Who.")
    @staticmethod
    async def user(root: strawberry.Parent[accounts.MembershipRow], info: Info) -> User | None:
        """``user``."""
        return await _seen_by_viewer(info, accounts.people_seen).load(root.user_id)


@strawberry.type(description="Roots about who is signed in.")
class AccountQueries:
    """Fields of ``Query``."""

    @strawberry.field(description="The person who is signed in.", directives=[Authenticated()])
    async def viewer(self, info: Info) -> User | None:
        """``viewer``."""
        return await _seen_by_viewer(info, accounts.people_seen).load(info.context.user_id)

    @strawberry.field(description="The organization that this request acts for.", directives=[Authenticated()])
    async def organization(self, info: Info) -> Organization | None:
        """``organization``."""
        return await info.context.loader(accounts.organizations_by_id).load(info.context.organization_id)
