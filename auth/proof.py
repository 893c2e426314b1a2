"""What a credential proves, before what its person may do is looked up."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """A person, as a token that holds names them.

    ``home_id`` is the organization to act for unless the request names another. ``session_id`` is the gateway's own
    session, where there is one. ``only_scopes`` narrows the rights of the role; ``None`` leaves them whole.
    """

    user_id: str
    home_id: str | None = None
    session_id: str | None = None
    expires_at: datetime | None = None
    only_scopes: frozenset[str] | None = None
