"""Sessions: an access token for half an hour at a time, and a refresh token that brings the next one.

A refresh token works once, and the next one comes with the answer (RFC 9700, 4.14.2: rotation). One that is presented
again has been copied, and nobody can say by whom: the whole session ends. That is strict by choice. Two requests with
one token at the same moment look exactly like a theft, so a frontend with several tabs refreshes under a lock (the Web
Locks API has one), or in one place. What has ended, expired or never was answers alike.

A session can be refreshed for ``SESSION_DAYS`` in all, and within ``REFRESH_TOKEN_SECONDS`` of the last time.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from auth.caller import Caller, Reply
from auth.cookies import REFRESH, Cookies, cookie
from auth.principal import MemberRole, Principal
from auth.refusal import Refusal
from auth.scopes import ROLE_SCOPES
from auth.tokens import IssuedToken, Tokens
from datasources.database import sessions as stored
from datasources.database.access import announce_access_change, standing_of
from datasources.database.accounts import MembershipRow
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.ids import new_id

REFRESH_START = "trr_"
"""What every refresh token begins with, so that scanners for leaked secrets find it."""
_RANDOM_BYTES = 32
_REFRESH_LENGTH = len(REFRESH_START) + 43


class SessionOver(Refusal):
    """The refresh token brings nothing: it is unknown, used, expired, or its session is over. Never said which."""

    def __init__(self) -> None:
        super().__init__("INVALID", "Your session has ended. Sign in again.")


@dataclass(frozen=True)
class Session:
    """A session of a person for one of their organizations, with the tokens that were just made for it."""

    id: str
    user_id: str
    organization_id: str
    token: IssuedToken = field(repr=False)
    refresh_token: IssuedToken = field(repr=False)
    cookie: bool
    csrf_token: str | None
    """What a page sends with each POST; absent where the tokens are not in cookies."""
    principal: Principal


class Sessions:
    """Opens, refreshes and ends sessions.

    ``refresh_lifetime``: within how long a session must be refreshed; ``lifetime``: how long it lasts at the most.
    """

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        cookies: Cookies,
        *,
        refresh_lifetime: timedelta = timedelta(days=7),
        lifetime: timedelta = timedelta(days=30),
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._cookies = cookies
        self._refresh_lifetime = refresh_lifetime
        self._lifetime = lifetime

    async def open(
        self, transaction: Transaction, place: MembershipRow, *, method: str, cookie: bool = False
    ) -> Session:
        """A new session, in the transaction of what proved who the person is: PASSWORD, REGISTRATION, LINK ….

        The transaction is scoped to the organization of ``place``, so that its audit trail tells of the session.
        """
        now = datetime.now(UTC)
        session_id = new_id("ses")
        ends_at = now + self._lifetime
        token = self._access_token(place.user_id, place.organization_id, session_id)
        await stored.add_session(
            transaction,
            stored.NewSession(
                id=session_id,
                user_id=place.user_id,
                home_id=place.organization_id,
                method=method,
                cookie=cookie,
                created_at=now,
                access_until=token.expires_at,
                ends_at=ends_at,
            ),
        )
        refresh_token = await self._refresh_token(transaction, session_id, now, ends_at)
        entry = NewAuditEntry(place.user_id, "session.opened", session_id, "LOW", {"method": method})
        await append_audit(transaction, entry)
        where = _Place(place.user_id, place.organization_id, place.role)
        return self._session(session_id, where, token, refresh_token, in_cookie=cookie)

    async def refresh(self, caller: Caller, refresh_token: str | None, organization_id: str | None = None) -> Session:
        """The next tokens of a session, for another organization of the person's if one is named.

        Without ``refresh_token`` it is the one in the cookie. Raises ``SessionOver``, and ``Refusal``, with
        nothing used up, for an organization that is not the person's and for cookies without their header.
        """
        digest, found = await self._presented(caller, refresh_token)
        now = datetime.now(UTC)
        standing = await standing_of(self._database, found.user_id)
        if standing is None or (found.used_at is None and min(found.expires_at, found.ends_at) <= now):
            raise SessionOver
        home_id = organization_id or found.home_id
        if found.used_at is None and home_id not in standing.roles:
            if organization_id is None:
                raise SessionOver  # never silently another organization: what is written would land there
            message = "You belong to no such organization. Leave it out, or name one of yours."
            raise Refusal("NOT_FOUND", message, "organizationId")
        scope = self._database.scoped(found.home_id, caller.origin(found.user_id))
        async with scope.transaction() as transaction:
            if await stored.use_refresh_token(transaction, digest, now):
                place = _Place(found.user_id, home_id, standing.roles[home_id])
                return await self._go_on(transaction, found, place, now)
            await self._end_family(transaction, found)
        raise SessionOver

    async def end(self, transaction: Transaction, session_id: str, *, actor: str, reason: str = "LOGOUT") -> bool:
        """Ends a session: its tokens end at once, everywhere. ``False`` when it was over already.

        The transaction is scoped to an organization, as ``announce_access_change`` needs it.
        """
        ended = await stored.end_session(transaction, session_id, reason, datetime.now(UTC))
        for each in ended:
            await announce_access_change(transaction, each.id)
            await append_audit(transaction, NewAuditEntry(actor, "session.ended", each.id, "LOW", {"reason": reason}))
        return bool(ended)

    async def end_all(
        self, transaction: Transaction, user_id: str, *, actor: str, reason: str, but: str | None = None
    ) -> Sequence[str]:
        """Ends every session of a person, all ``but`` one, and returns the ids; as ``end``."""
        ended = await stored.end_sessions_of(transaction, user_id, reason, datetime.now(UTC), but=but)
        ids = sorted(each.id for each in ended)
        for session_id in ids:
            await announce_access_change(transaction, session_id)
        if ids:
            details = {"reason": reason, "sessions": ids}
            await append_audit(transaction, NewAuditEntry(actor, "session.ended", user_id, "LOW", details))
        return ids

    async def log_out(self, caller: Caller, principal: Principal, *, everywhere: bool) -> None:
        """Ends the session of ``principal``, a person, or all that they have."""
        user_id, session_id = principal.user_id or "", principal.session_id
        home_id = principal.organization_id or await stored.home_of(self._database, user_id)
        if home_id is None:
            return  # they have no session
        async with self._database.scoped(home_id, caller.origin(user_id)).transaction() as transaction:
            if everywhere:
                await self.end_all(transaction, user_id, actor=principal.actor, reason="LOGOUT_EVERYWHERE")
            elif session_id is not None:
                await self.end(transaction, session_id, actor=principal.actor)

    def has_cookie(self, caller: Caller) -> bool:
        """Whether a request carries a refresh token in a cookie."""
        return cookie(caller, REFRESH) is not None

    def put_cookies(self, reply: Reply, session: Session) -> None:
        """Hands the tokens of a session out as cookies."""
        refresh_token = (session.refresh_token.text, session.refresh_token.expires_at)
        self._cookies.put(
            reply, session.id, access=(session.token.text, session.token.expires_at), refresh=refresh_token
        )

    def clear_cookies(self, reply: Reply) -> None:
        """Takes the cookies back."""
        self._cookies.clear(reply)

    async def _presented(self, caller: Caller, refresh_token: str | None) -> tuple[bytes, stored.PresentedToken]:
        in_cookie = refresh_token is None
        text = cookie(caller, REFRESH) if refresh_token is None else refresh_token
        if text is None or len(text) != _REFRESH_LENGTH or not text.startswith(REFRESH_START) or not text.isascii():
            raise SessionOver
        digest = _digest(text)
        found = await stored.presented(self._database, digest)
        # What was handed out in a cookie is good in a cookie only, for there no script could have read it.
        if found is None or found.cookie is not in_cookie or found.ended_at is not None:
            raise SessionOver
        if in_cookie and not self._cookies.csrf_holds(caller, found.session_id):
            message = (
                "A refresh token in a cookie needs the header X-CSRF-Token: the value of the cookie "
                "__Host-tributary-csrf."
            )
            raise Refusal("INVALID", message)
        return digest, found

    async def _go_on(
        self, transaction: Transaction, found: stored.PresentedToken, place: "_Place", now: datetime
    ) -> Session:
        session_id = found.session_id
        token = self._access_token(place.user_id, place.organization_id, session_id)
        following = await self._refresh_token(transaction, session_id, now, found.ends_at)
        until, home_id = token.expires_at, place.organization_id
        if not await stored.prolong(transaction, session_id, access_until=until, home_id=home_id):
            raise SessionOver  # it was ended a moment ago; nothing of this stays
        return self._session(session_id, place, token, following, in_cookie=found.cookie)

    async def _end_family(self, transaction: Transaction, found: stored.PresentedToken) -> None:
        ended = await stored.end_session(transaction, found.session_id, "REUSED_REFRESH_TOKEN", datetime.now(UTC))
        for each in ended:
            await announce_access_change(transaction, each.id)
            entry = NewAuditEntry(found.user_id, "session.reused_refresh_token", each.id, "HIGH", {})
            await append_audit(transaction, entry)

    def _access_token(self, user_id: str, organization_id: str, session_id: str) -> IssuedToken:
        return self._tokens.issue(user_id=user_id, organization_id=organization_id, session_id=session_id)

    async def _refresh_token(
        self, transaction: Transaction, session_id: str, now: datetime, ends_at: datetime
    ) -> IssuedToken:
        text = REFRESH_START + secrets.token_urlsafe(_RANDOM_BYTES)
        expires_at = min(now + self._refresh_lifetime, ends_at)
        token = stored.NewRefreshToken(_digest(text), session_id, now, expires_at)
        await stored.add_refresh_token(transaction, token)
        return IssuedToken(text, expires_at)

    def _session(
        self, session_id: str, place: "_Place", token: IssuedToken, refresh_token: IssuedToken, *, in_cookie: bool
    ) -> Session:
        role = MemberRole(place.role)
        principal = Principal(
            user_id=place.user_id,
            organization_id=place.organization_id,
            role=role,
            scopes=ROLE_SCOPES[role],
            session_id=session_id,
            expires_at=token.expires_at,
        )
        return Session(
            id=session_id,
            user_id=place.user_id,
            organization_id=place.organization_id,
            token=token,
            refresh_token=refresh_token,
            cookie=in_cookie,
            csrf_token=self._cookies.csrf_token(session_id) if in_cookie else None,
            principal=principal,
        )


class _Place(NamedTuple):
    user_id: str
    organization_id: str
    role: str


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
