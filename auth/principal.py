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
    """A signed-in person within one organization, an API key of an organization, or nobody.

    ``user_id``, ``organization_id`` and ``key_id`` are global ids. A person who belongs to no organization has none.
    ``session_id`` is the gateway's own session, absent for a token of an outside issuer. ``only_scopes`` is what the
    credential narrows the rights of the role to. ``expires_at`` (UTC) is when what proved this ends. ``hint`` tells
    somebody who is nobody why that is.
    """

    user_id: str | None = None
    organization_id: str | None = None
    role: MemberRole | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    session_id: str | None = None
    key_id: str | None = None
    expires_at: datetime | None = None
    only_scopes: frozenset[str] | None = None
    hint: str | None = None

    @property
    def signed_in(self) -> bool:
        """Whether a person or a key stands behind this."""
        return self.user_id is not None or self.key_id is not None

    @property
    def actor(self) -> str:
        """Who this is in the audit trail and in histories."""
        return self.user_id or self.key_id or "nobody"

    def has(self, required: tuple[frozenset[str], ...]) -> bool:
        """Whether the scopes satisfy ``required``: any one of the groups, whole."""
        return any(group <= self.scopes for group in required)


ANONYMOUS = Principal()
