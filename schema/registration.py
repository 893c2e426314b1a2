"""Registering."""

from typing import Annotated

import strawberry

from auth.refusal import Refusal
from auth.registration import Faulty, Registration
from schema.accounts import Capability
from schema.context import Info
from schema.directives import Public
from schema.scalars import EmailAddress
from schema.session import IN_COOKIES, SessionPayload, no_room_for_cookies, not_opened, opened


@strawberry.input(description="Who registers.")
class RegisterInput:
    """``RegisterInput``."""

    email: EmailAddress = strawberry.field(description="The address to sign in with.")
    password: str = strawberry.field(
        description="At least 15 characters where the gateway says no other length, at most 256; none that others know."
    )
    name: str | None = strawberry.field(default=None, description="As the person wants to be called.")
    organization_name: str = strawberry.field(description="What their organization is called; they are its owner.")
    capabilities: list[Capability] | None = strawberry.field(
        default=None, description="What the organization does; BUYER when absent."
    )
    cookie: bool | None = strawberry.field(default=False, description=IN_COOKIES)


@strawberry.input(description="A registration that was confirmed by following the link in a mail.")
class ConfirmRegistrationInput:
    """``ConfirmRegistrationInput``."""

    token: str = strawberry.field(description="What stands in the link after `token=`.")
    password: str = strawberry.field(description="The password that was chosen when registering.")
    cookie: bool | None = strawberry.field(default=False, description=IN_COOKIES)


@strawberry.type(description="Mutations about registering.")
class RegistrationMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Makes an account and its organization. Where the gateway wants addresses confirmed, the session "
        "is null without user errors, and a mail says how to go on.",
        directives=[Public(reason="Whoever registers is nobody yet.")],
    )
    @staticmethod
    async def register(
        info: Info, input: Annotated[RegisterInput, strawberry.argument(description="Who registers.")]
    ) -> SessionPayload:
        """``register``."""
        context = info.context
        if input.cookie and (error := no_room_for_cookies(context, "cookie")) is not None:
            return not_opened(error)
        registration = Registration(
            email=input.email,
            password=input.password,
            name=input.name,
            organization_name=input.organization_name,
            capabilities=[each.name for each in input.capabilities or ()],
            cookie=bool(input.cookie),
        )
        try:
            session = await context.services.accounts.registrations.register(registration, context.caller)
        except Faulty as faulty:
            return not_opened(*faulty.refusals)
        except Refusal as refusal:
            return not_opened(refusal)
        return not_opened() if session is None else opened(context, session)

    @strawberry.mutation(
        description="Finishes a registration with the link that was sent to its address.",
        directives=[Public(reason="The link and the password say who it is.")],
    )
    @staticmethod
    async def confirm_registration(
        info: Info, input: Annotated[ConfirmRegistrationInput, strawberry.argument(description="The link.")]
    ) -> SessionPayload:
        """``confirmRegistration``."""
        context = info.context
        if input.cookie and (error := no_room_for_cookies(context, "cookie")) is not None:
            return not_opened(error)
        try:
            session = await context.services.accounts.registrations.confirm(
                input.token, input.password, context.caller, cookie=bool(input.cookie)
            )
        except Refusal as refusal:
            return not_opened(refusal)
        return opened(context, session)
