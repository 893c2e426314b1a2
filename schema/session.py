"""Signing in and out."""

from datetime import datetime
from typing import Annotated

import strawberry

from auth.signin import Session
from datasources.database.accounts import organizations_by_id, users_by_id
from schema.accounts import Organization, User
from schema.context import Info, as_graphql
from schema.directives import Public
from schema.payloads import UserError, UserErrorCode, user_error
from schema.relations import relation
from schema.scalars import EmailAddress


@strawberry.type(name="Session", description="A person who is signed in to an organization.")
class SessionType:
    """``Session``."""

    id: strawberry.ID = strawberry.field(description="Names the session in the audit trail.")

    @strawberry.field(description="Send it as `Authorization: Bearer …`, or as `authorization` in connection_init.")
    @staticmethod
    def access_token(root: strawberry.Parent[Session]) -> str:
        """The signed token."""
        return root.token.text

    @strawberry.field(description="When the access token ends.")
    @staticmethod
    def access_token_expires_at(root: strawberry.Parent[Session]) -> datetime:
        """When the token ends."""
        return root.token.expires_at

    user: User | None = relation(users_by_id, key="user_id", description="Who signed in.")
    organization: Organization | None = relation(
        organizations_by_id, key="organization_id", description="Where they signed in."
    )


@strawberry.input(description="Who signs in.")
class LoginInput:
    """``LoginInput``."""

    email: EmailAddress = strawberry.field(description="The address of the account.")
    password: str = strawberry.field(description="Its password.")
    organization_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which of their organizations; the one they joined first when absent."
    )


@strawberry.type(description="A session, or why there is none.")
class SessionPayload:
    """``SessionPayload``."""

    session: SessionType | None = strawberry.field(description="Null when something has to be mended first.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="Mutations about sessions.")
class SessionMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Signs in with an address and a password.",
        directives=[Public(reason="Whoever signs in is nobody yet.")],
    )
    @staticmethod
    async def login(
        info: Info, input: Annotated[LoginInput, strawberry.argument(description="Who signs in.")]
    ) -> SessionPayload:
        """``login``."""
        session = await info.context.services.sign_in.with_password(input.email, input.password, input.organization_id)
        errors = []
        if session is None:
            errors = [user_error(UserErrorCode.INVALID, "That address and password do not fit together.")]
        else:
            info.context.become(session.principal)
        return SessionPayload(session=as_graphql(session), user_errors=errors)
