"""Linking an account to an outside identity provider."""

from typing import Annotated

import strawberry

from schema.context import Info
from schema.directives import Public
from schema.payloads import UserError, UserErrorCode, user_error


@strawberry.input(description="A sign-in elsewhere that was confirmed by following the link in a mail.")
class ConfirmIdentityLinkInput:
    """``ConfirmIdentityLinkInput``."""

    token: str = strawberry.field(description="What stands in the link after `token=`.")


@strawberry.type(description="Whether the account was linked.")
class ConfirmIdentityLinkPayload:
    """``ConfirmIdentityLinkPayload``."""

    user_errors: list[UserError] = strawberry.field(description="What has to be mended; empty when it worked.")


@strawberry.type(description="Mutations about outside identity providers.")
class IdentityMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Lets somebody sign in to their account with the identity provider that the mail names.",
        directives=[Public(reason="The link proves the address, and opens nothing for whoever holds only the link.")],
    )
    @staticmethod
    async def confirm_identity_link(
        info: Info, input: Annotated[ConfirmIdentityLinkInput, strawberry.argument(description="The link.")]
    ) -> ConfirmIdentityLinkPayload:
        """``confirmIdentityLink``."""
        context = info.context
        linked = await context.services.accounts.outside.confirm(input.token, context.caller.origin())
        if linked is None:
            message = "This link does not hold any more. Sign in with your identity provider again: a new mail comes."
            return ConfirmIdentityLinkPayload(user_errors=[user_error(UserErrorCode.INVALID, message, "token")])
        return ConfirmIdentityLinkPayload(user_errors=[])
