"""What mutations answer when the person can mend something: ``userErrors`` beside the changed thing."""

from enum import Enum

import strawberry

from auth.refusal import Refusal


@strawberry.enum(description="What kind of thing has to be mended.")
class UserErrorCode(Enum):
    """``UserErrorCode``."""

    INVALID = strawberry.enum_value("INVALID", description="The value cannot be.")
    REQUIRED = strawberry.enum_value("REQUIRED", description="Something is missing.")
    TAKEN = strawberry.enum_value("TAKEN", description="Somebody has it already.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="There is no such thing, or not for you.")
    CONFLICT = strawberry.enum_value("CONFLICT", description="Somebody else was faster; read it again.")
    QUOTA_EXCEEDED = strawberry.enum_value("QUOTA_EXCEEDED", description="The plan's limit is reached.")
    PAYMENT_REQUIRED = strawberry.enum_value("PAYMENT_REQUIRED", description="It has to be paid first.")
    PAYMENT_FAILED = strawberry.enum_value("PAYMENT_FAILED", description="The payment did not go through.")
    RATE_LIMITED = strawberry.enum_value("RATE_LIMITED", description="Too often; wait.")
    UPSTREAM_FAILED = strawberry.enum_value("UPSTREAM_FAILED", description="A service behind the gateway failed.")
    NOT_ALLOWED_IN_STATE = strawberry.enum_value("NOT_ALLOWED_IN_STATE", description="Not from where it stands now.")
    BLOCKED_CONTENT = strawberry.enum_value("BLOCKED_CONTENT", description="The content is not allowed.")


@strawberry.type(description="Something that the person can mend.")
class UserError:
    """``UserError``."""

    code: UserErrorCode = strawberry.field(description="What kind of thing.")
    message: str = strawberry.field(description="What to do, for the person.")
    field: list[str] | None = strawberry.field(default=None, description='Path into the input, such as ["proof"].')


def user_error(code: UserErrorCode, message: str, *field: str) -> UserError:
    """A user error at a path into the input."""
    return UserError(code=code, message=message, field=list(field) or None)


def refused(refusal: Refusal) -> UserError:
    """A refusal from below as a user error."""
    return user_error(UserErrorCode[refusal.code], str(refusal), *refusal.field)
