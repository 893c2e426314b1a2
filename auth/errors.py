"""What can be wrong with who is asking; the message is safe to show."""

from collections.abc import Sequence


class AccessError(Exception):
    """The caller's identity or rights do not allow this."""


class SignInRequired(AccessError):
    """Nobody is signed in."""

    def __init__(self, message: str = "Sign in first: send a bearer token in the Authorization header.") -> None:
        super().__init__(message)


class InvalidToken(AccessError):
    """The token is malformed, forged, expired or revoked; which of these is never said."""

    def __init__(self) -> None:
        super().__init__("The access token is not valid, or no longer. Sign in again.")


class AccessDenied(AccessError):
    """Signed in, but one of ``required`` scope sets is missing."""

    def __init__(self, required: Sequence[Sequence[str]]) -> None:
        wanted = " or ".join(" and ".join(sorted(group)) for group in required)
        super().__init__(f"This needs the scope {wanted}. Ask an owner of the organization for it.")
        self.details: dict[str, object] = {"requiredScopes": [sorted(group) for group in required]}
