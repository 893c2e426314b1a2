"""The one value that says who is asking."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class MemberRole(Enum):
    """What a person is in an organization."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person within one organization, or nobody.

    ``user_id`` and ``organization_id`` are global ids; both are ``None`` for nobody. ``expires_at`` (UTC) is when
    the token that proved this ends.
    """

    user_id: str | None = None
    organization_id: str | None = None
    role: MemberRole | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    session_id: str | None = None
    expires_at: datetime | None = None

    @property
    def signed_in(self) -> bool:
        """Whether a person stands behind this."""
        return self.user_id is not None

    def has(self, required: tuple[frozenset[str], ...]) -> bool:
        """Whether the scopes satisfy ``required``: any one of the groups, whole."""
        return any(group <= self.scopes for group in required)


ANONYMOUS = Principal()
