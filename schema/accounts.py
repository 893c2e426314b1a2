"""People and organizations: who is signed in, and what they belong to."""

from datetime import datetime
from enum import Enum

import strawberry

from datasources.database import accounts
from schema.context import Info
from schema.directives import Authenticated
from schema.node import Node
from schema.relations import relation
from schema.scalars import EmailAddress, Json, Url


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
    memberships: list["Membership"] = relation(
        accounts.memberships_here, key="id", many=True, description="What they are in this organization."
    )
    created_at: datetime = strawberry.field(description="When they registered.")


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
        accounts.members_of, key="id", many=True, description="Its people, longest first."
    )
    created_at: datetime = strawberry.field(description="When it was created.")


@strawberry.type(description="A person's place in an organization.", directives=[Authenticated()])
class Membership:
    """``Membership``."""

    organization: Organization | None = relation(
        accounts.organizations_by_id, key="organization_id", description="Where."
    )
    user: User | None = relation(accounts.users_by_id, key="user_id", description="Who.")
    role: MemberRole = strawberry.field(description="What they may do there.")
    joined_at: datetime = strawberry.field(description="Since when.")


@strawberry.type(description="Roots about who is signed in.")
class AccountQueries:
    """Fields of ``Query``."""

    @strawberry.field(description="The person who is signed in.", directives=[Authenticated()])
    async def viewer(self, info: Info) -> User | None:
        """``viewer``."""
        return await info.context.loader(accounts.users_by_id).load(info.context.principal.user_id)

    @strawberry.field(description="The organization that this request acts for.", directives=[Authenticated()])
    async def organization(self, info: Info) -> Organization | None:
        """``organization``."""
        return await info.context.loader(accounts.organizations_by_id).load(info.context.organization_id)
