"""What people do about their own account: a forgotten password, their profile, and its end."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry

from auth.own_account import PasswordChange
from auth.principal import ANONYMOUS
from auth.profile import MAX_PREFERENCES_BYTES, MAX_TAGS
from auth.refusal import Refusal
from auth.registration import Faulty
from datasources.database.accounts import people_seen
from schema.accounts import User
from schema.context import Context, Info, as_graphql
from schema.directives import Authenticated, Public
from schema.payloads import UserError, refused
from schema.scalars import EmailAddress, Json, Url
from schema.session import IN_COOKIES, SessionPayload, no_room_for_cookies, not_opened, opened

_TAGS = f"at most {MAX_TAGS} short texts; null or an empty list for none."
_KEPT = "Null clears it."


@strawberry.input(description="Somebody has forgotten their password.")
class RequestPasswordResetInput:
    """``RequestPasswordResetInput``."""

    email: EmailAddress = strawberry.field(description="The address of the account.")


@strawberry.input(description="A new password, by the link in a mail.")
class ResetPasswordInput:
    """``ResetPasswordInput``."""

    token: str = strawberry.field(description="What stands in the link after `token=`. It works once.")
    password: str = strawberry.field(description="The new password; the rules are those of register.")
    cookie: bool | None = strawberry.field(default=False, description=IN_COOKIES)


@strawberry.input(description="Another password.")
class ChangePasswordInput:
    """``ChangePasswordInput``."""

    current: str = strawberry.field(description="The one you have.")
    new: str = strawberry.field(description="The one you want; the rules are those of register.")


@strawberry.input(description="What is to change of your own account; what is absent stays as it is.")
class UpdateProfileInput:
    """``UpdateProfileInput``."""

    name: str | None = strawberry.field(default=strawberry.UNSET, description=f"How you want to be called. {_KEPT}")
    bio: str | None = strawberry.field(default=strawberry.UNSET, description=f"What you say of yourself. {_KEPT}")
    company: str | None = strawberry.field(default=strawberry.UNSET, description=f"Where you work. {_KEPT}")
    website: Url | None = strawberry.field(default=strawberry.UNSET, description=f"Your page. {_KEPT}")
    avatar_url: Url | None = strawberry.field(default=strawberry.UNSET, description=f"A picture of you. {_KEPT}")
    skills: list[str] | None = strawberry.field(default=strawberry.UNSET, description=f"All that you can do: {_TAGS}")
    interests: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description=f"All that you care for: {_TAGS}"
    )
    preferences: Json | None = strawberry.field(
        default=strawberry.UNSET,
        description="Settings that frontends keep for you, whole: an object of at most "
        f"{MAX_PREFERENCES_BYTES >> 10} KiB as JSON. {_KEPT}",
    )
    password: ChangePasswordInput | None = strawberry.field(
        default=None, description="Another password; your other sessions end at once."
    )


@strawberry.input(description="The end of your own account.")
class DeleteAccountInput:
    """``DeleteAccountInput``."""

    password: str = strawberry.field(
        description="Your password. If you have none, because you sign in elsewhere, choose one first: "
        "requestPasswordReset."
    )


@strawberry.type(description="Whether a link is on its way is never said: only the mail tells.")
class RequestPasswordResetPayload:
    """``RequestPasswordResetPayload``."""

    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="A person after a change, or why there was none.")
class UpdateProfilePayload:
    """``UpdateProfilePayload``."""

    user: User | None = strawberry.field(description="As they are now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="Whether the account is gone.")
class DeleteAccountPayload:
    """``DeleteAccountPayload``."""

    user_errors: list[UserError] = strawberry.field(description="What has to be mended first.")


_PROFILE = ("name", "bio", "company", "website", "avatar_url", "skills", "interests", "preferences")


async def _as_they_are(context: Context, errors: Sequence[Refusal]) -> UpdateProfilePayload:
    user: Any = None
    if not errors:
        user = (await people_seen(context.scope, [context.user_id], context.user_id)).get(context.user_id)
    return UpdateProfilePayload(user=as_graphql(user), user_errors=[refused(error) for error in errors])


@strawberry.type(description="Mutations about one's own account.")
class PeopleMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Sends a link for a new password, if the address has an account. The answer is always the same.",
        directives=[Public(reason="Whoever has forgotten their password cannot sign in.")],
    )
    @staticmethod
    async def request_password_reset(
        info: Info, input: Annotated[RequestPasswordResetInput, strawberry.argument(description="Whose.")]
    ) -> RequestPasswordResetPayload:
        """``requestPasswordReset``."""
        await info.context.services.accounts.password_resets.request(input.email, info.context.caller)
        return RequestPasswordResetPayload(user_errors=[])

    @strawberry.mutation(
        description="Sets a new password by the link in a mail, ends all sessions and opens a new one.",
        directives=[Public(reason="The link says who it is.")],
    )
    @staticmethod
    async def reset_password(
        info: Info, input: Annotated[ResetPasswordInput, strawberry.argument(description="The new password.")]
    ) -> SessionPayload:
        """``resetPassword``."""
        context = info.context
        if input.cookie and (error := no_room_for_cookies(context, "cookie")) is not None:
            return not_opened(error)
        try:
            session = await context.services.accounts.password_resets.reset(
                input.token, input.password, context.caller, cookie=bool(input.cookie)
            )
        except Refusal as refusal:
            return not_opened(refusal)
        return opened(context, session)

    @strawberry.mutation(
        description="Changes your own account: all that is given, or, when some of it cannot be, nothing.",
        directives=[Authenticated()],
    )
    @staticmethod
    async def update_profile(
        info: Info, input: Annotated[UpdateProfileInput, strawberry.argument(description="What is to change.")]
    ) -> UpdateProfilePayload | None:
        """``updateProfile``."""
        context = info.context
        _ = context.user_id  # of a person, not of an API key
        values = {name: getattr(input, name) for name in _PROFILE}
        given = {name: value for name, value in values.items() if value is not strawberry.UNSET}
        password = None if input.password is None else PasswordChange(input.password.current, input.password.new)
        try:
            await context.services.accounts.own_accounts.update(context.principal, context.caller, given, password)
        except Faulty as faulty:
            return await _as_they_are(context, faulty.refusals)
        except Refusal as refusal:
            return await _as_they_are(context, [refusal])
        return await _as_they_are(context, [])

    @strawberry.mutation(
        description="Deletes your own account, for good. What must be kept for the books stays without your name.",
        directives=[Authenticated()],
    )
    @staticmethod
    async def delete_account(
        info: Info, input: Annotated[DeleteAccountInput, strawberry.argument(description="That it is you.")]
    ) -> DeleteAccountPayload | None:
        """``deleteAccount``."""
        context, accounts = info.context, info.context.services.accounts
        _ = context.user_id  # of a person, not of an API key
        try:
            await accounts.account_deletion.delete(context.principal, context.caller, input.password)
        except Refusal as refusal:
            return DeleteAccountPayload(user_errors=[refused(refusal)])
        if context.caller.reply is not None and accounts.sessions.has_cookie(context.caller):
            accounts.sessions.clear_cookies(context.caller.reply)
        context.become(ANONYMOUS)
        return DeleteAccountPayload(user_errors=[])
