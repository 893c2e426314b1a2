"""What can be wrong with who is asking; the message is safe to show."""

from collections.abc import Sequence


class AccessError(Exception):
    """The caller's identity or rights do not allow this."""


class SignInRequired(AccessError):
    """Nobody is signed in."""

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(hint or "Sign in first: send a bearer token in the Authorization header.")


class InvalidToken(AccessError):
    """The token is malformed, forged, expired or revoked; which of these is never said."""

    def __init__(self) -> None:
        super().__init__("The access token is not valid, or no longer. Sign in again.")


class IdentityNotLinked(AccessError):
    """An outside issuer vouches for somebody whose address has an account, which has not confirmed that yet."""

    def __init__(self) -> None:
        super().__init__(
            "There is an account with your e-mail address already. Follow the link in the mail that was sent there, "
            "then try again."
        )


class IssuerUnreachable(AccessError):
    """A token holds, but its issuer did not say whose it is when it was asked."""

    def __init__(self) -> None:
        super().__init__("Your identity provider does not answer at the moment. Try again in a minute.")


class NotAMember(AccessError):
    """The request names an organization that is not the caller's, whether or not there is one."""

    def __init__(self) -> None:
        super().__init__(
            "X-Organization-Id names no organization that you belong to. Leave it out, or name one of yours."
        )


class PersonRequired(AccessError):
    """An API key acts for an organization; this is about a person."""

    def __init__(self) -> None:
        super().__init__("An API key cannot do this: it is about a person. Sign in as one.")


class AccessDenied(AccessError):
    """Signed in, but one of ``required`` scope sets is missing."""

    def __init__(self, required: Sequence[Sequence[str]]) -> None:
        wanted = " or ".join(" and ".join(sorted(group)) for group in required)
        super().__init__(f"This needs the scope {wanted}. Ask an owner of the organization for it.")
        self.details: dict[str, object] = {"requiredScopes": [sorted(group) for group in required]}
