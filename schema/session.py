"""Signing in and out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import strawberry

from auth.refusal import Refusal
from auth.sessions import Session, SessionOver
from auth.signin import SignInAttempt
from datasources.database.accounts import organizations_by_id, users_by_id
from schema.accounts import Organization, User
from schema.context import Context, Info, as_graphql
from schema.directives import Authenticated, Public
from schema.payloads import UserError, UserErrorCode, refused, user_error
from schema.relations import relation
from schema.scalars import EmailAddress

IN_COOKIES = "Sets the tokens as httpOnly cookies, and asks for the header X-CSRF-Token with each POST from then on."


@strawberry.type(name="Session", description="A person who is signed in to an organization.")
class SessionType:
    """``Session``."""

    id: strawberry.ID = strawberry.field(description="Names the session in the audit trail.")

    @strawberry.field(
        description="Send it as `Authorization: Bearer …`, or as `authorization` in connection_init. Empty in cookie "
        "mode, where it is an httpOnly cookie."
    )
    @staticmethod
    def access_token(root: strawberry.Parent[Session]) -> str:
        """The signed token; a script that must not read the cookie must not read it here either."""
        return "" if root.cookie else root.token.text

    @strawberry.field(description="When the access token ends.")
    @staticmethod
    def access_token_expires_at(root: strawberry.Parent[Session]) -> datetime:
        """When the token ends."""
        return root.token.expires_at

    @strawberry.field(
        description="Brings the next tokens, once, with refreshSession. Null in cookie mode, where it is an httpOnly "
        "cookie."
    )
    @staticmethod
    def refresh_token(root: strawberry.Parent[Session]) -> str | None:
        """The refresh token."""
        return None if root.cookie else root.refresh_token.text

    @strawberry.field(
        description="In cookie mode: send it as the header X-CSRF-Token with each POST. It is in the cookie "
        "`__Host-tributary-csrf` too."
    )
    @staticmethod
    def csrf_token(root: strawberry.Parent[Session]) -> str | None:
        """The token against requests of other pages."""
        return root.csrf_token

    user: User | None = relation(users_by_id, key="user_id", description="Who signed in.")
    organization: Organization | None = relation(
        organizations_by_id, key="organization_id", description="Where they signed in."
    )


@strawberry.type(description="A session, or why there is none.")
class SessionPayload:
    """``SessionPayload``."""

    session: SessionType | None = strawberry.field(
        description="Null when something has to be mended first, or a link in a mail is to be followed."
    )
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.input(description="Who signs in.")
class LoginInput:
    """``LoginInput``."""

    email: EmailAddress = strawberry.field(description="The address of the account.")
    password: str = strawberry.field(description="Its password.")
    organization_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which of their organizations; the one they joined first when absent."
    )
    cookie: bool | None = strawberry.field(default=False, description=IN_COOKIES)


@strawberry.input(description="A session that is to go on.")
class RefreshSessionInput:
    """``RefreshSessionInput``."""

    refresh_token: str | None = strawberry.field(
        default=None, description="The newest one; it works once. Absent in cookie mode."
    )
    organization_id: strawberry.ID | None = strawberry.field(
        default=None, description="Another of the person's organizations to act for from now on."
    )


@strawberry.input(description="What is to end.")
class LogoutInput:
    """``LogoutInput``."""

    everywhere: bool | None = strawberry.field(
        default=False, description="All sessions of the person instead of this one."
    )


@strawberry.type(description="Whether the session has ended.")
class LogoutPayload:
    """``LogoutPayload``."""

    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


def opened(context: Context, session: Session) -> SessionPayload:
    """A session that was just opened: what else is selected is read with its rights, and cookies are set."""
    if session.cookie and context.caller.reply is not None:
        context.services.accounts.sessions.put_cookies(context.caller.reply, session)
    context.become(session.principal)
    return SessionPayload(session=as_graphql(session), user_errors=[])


def not_opened(*errors: Refusal | UserError) -> SessionPayload:
    """Why there is no session."""
    return SessionPayload(session=None, user_errors=list(_user_errors(errors)))


def no_room_for_cookies(context: Context, *field: str) -> UserError | None:
    """What to say when somebody wants cookies where an answer has no headers any more."""
    if context.caller.reply is not None:
        return None
    message = "Cookies can be set only in the answer to a POST; sockets and event streams have sent their headers."
    return user_error(UserErrorCode.INVALID, message, *field)


def _user_errors(errors: Iterable[Refusal | UserError]) -> Iterable[UserError]:
    return (refused(error) if isinstance(error, Refusal) else error for error in errors)


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
        context = info.context
        if input.cookie and (error := no_room_for_cookies(context, "cookie")) is not None:
            return not_opened(error)
        attempt = SignInAttempt(input.email, input.password, input.organization_id, bool(input.cookie))
        try:
            session = await context.services.accounts.sign_in.with_password(attempt, context.caller)
        except Refusal as refusal:
            return not_opened(refusal)
        if session is None:
            return not_opened(user_error(UserErrorCode.INVALID, "That address and password do not fit together."))
        return opened(context, session)

    @strawberry.mutation(
        description="Brings the next access and refresh token. A refresh token that is used again ends the session. "
        "Send no Authorization header when the access token has ended.",
        directives=[Public(reason="The refresh token says whose session it is, when the access token has ended.")],
    )
    @staticmethod
    async def refresh_session(
        info: Info, input: Annotated[RefreshSessionInput, strawberry.argument(description="Which session.")]
    ) -> SessionPayload:
        """``refreshSession``."""
        context, sessions = info.context, info.context.services.accounts.sessions
        in_cookie = input.refresh_token is None
        if in_cookie and (error := no_room_for_cookies(context, "refreshToken")) is not None:
            return not_opened(error)
        if in_cookie and not sessions.has_cookie(context.caller):
            return not_opened(user_error(UserErrorCode.REQUIRED, "Send a refresh token.", "refreshToken"))
        try:
            session = await sessions.refresh(context.caller, input.refresh_token, input.organization_id)
        except SessionOver as refusal:
            if in_cookie and context.caller.reply is not None:
                sessions.clear_cookies(context.caller.reply)
            return not_opened(refusal)
        except Refusal as refusal:
            return not_opened(refusal)
        return opened(context, session)

    @strawberry.mutation(
        description="Signs out, here or everywhere; the access tokens end at once too.", directives=[Authenticated()]
    )
    @staticmethod
    async def logout(
        info: Info, input: Annotated[LogoutInput, strawberry.argument(description="What is to end.")]
    ) -> LogoutPayload | None:
        """``logout``."""
        context, sessions = info.context, info.context.services.accounts.sessions
        _ = context.user_id  # of a person, not of an API key
        if context.principal.session_id is None and not input.everywhere:
            message = "Your token is of another issuer: sign out there."
            return LogoutPayload(user_errors=[user_error(UserErrorCode.NOT_ALLOWED_IN_STATE, message)])
        await sessions.log_out(context.caller, context.principal, everywhere=bool(input.everywhere))
        if context.caller.reply is not None and sessions.has_cookie(context.caller):
            sessions.clear_cookies(context.caller.reply)
        return LogoutPayload(user_errors=[])
