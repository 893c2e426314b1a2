"""Signing in with an address and a password."""

from dataclasses import dataclass

from auth.passwords import Passwords
from auth.principal import MemberRole, Principal
from auth.scopes import ROLE_SCOPES
from auth.tokens import IssuedToken, Tokens
from datasources.database.accounts import MembershipRow, credentials, memberships_of
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database
from datasources.database.ids import new_id

MAX_PASSWORD_LENGTH = 256


@dataclass(frozen=True)
class Session:
    """A person who signed in to one of their organizations."""

    id: str
    user_id: str
    organization_id: str
    token: IssuedToken
    principal: Principal


class SignIn:
    """Checks a password and opens a session; answer and work are the same whether or not an address is known."""

    def __init__(self, database: Database, passwords: Passwords, tokens: Tokens) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens

    async def with_password(self, email: str, password: str, organization_id: str | None) -> Session | None:
        """A session; ``None`` when address, password and organization do not fit together, without saying which."""
        known = await credentials(self._database, email.strip().lower())
        usable = known is not None and known.disabled_at is None
        fits = await self._passwords.verify(
            password[: MAX_PASSWORD_LENGTH + 1], known.password_hash if known is not None and usable else None
        )
        if known is None or not fits or len(password) > MAX_PASSWORD_LENGTH:
            return None
        places = await memberships_of(self._database, known.user_id)
        place = next((each for each in places if organization_id in (None, each.organization_id)), None)
        return None if place is None else await self._open(place)

    async def _open(self, place: MembershipRow) -> Session:
        session_id = new_id("ses")
        token = self._tokens.issue(
            user_id=place.user_id,
            organization_id=place.organization_id,
            session_id=session_id,
        )
        async with self._database.scoped(place.organization_id).transaction() as transaction:
            await append_audit(transaction, NewAuditEntry(place.user_id, "session.opened", session_id, "LOW", {}))
        role = MemberRole(place.role)
        principal = Principal(
            user_id=place.user_id,
            organization_id=place.organization_id,
            role=role,
            scopes=ROLE_SCOPES[role],
            session_id=session_id,
            expires_at=token.expires_at,
        )
        return Session(session_id, place.user_id, place.organization_id, token, principal)
