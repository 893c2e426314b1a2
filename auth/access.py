"""From what a request carries to who is asking and what they may do now.

A request has one of these, looked for in this order: an API key (``X-API-Key``, or as a bearer token), a bearer token
of this gateway or of an outside issuer (RFC 6750), the cookies of a session. What is sent in a header and does not hold
is refused. A cookie that does not hold is nobody: a browser sends it whether or not it is wanted, with a sign-in too.
"""

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

import jwt

from auth.caller import Caller
from auth.cookies import ACCESS, Cookies, cookie
from auth.errors import InvalidToken, NotAMember
from auth.key_format import KEY_START, PREFIX_LENGTH, is_well_formed
from auth.principal import ANONYMOUS, MemberRole, Principal
from auth.proof import Proof
from auth.rights import Rights
from auth.scopes import ROLE_SCOPES
from auth.tokens import Tokens
from datasources.database.engine import Origin

ORGANIZATION_HEADER = "x-organization-id"

_ENDED = "Your session has ended. Sign in again."
_NO_CSRF = (
    "A POST with the cookies of a session also needs the header X-CSRF-Token: the value of the cookie "
    "__Host-tributary-csrf."
)


class Outsiders(Protocol):
    """Issuers other than this gateway."""

    def knows(self, issuer: str) -> bool:
        """Whether tokens of this issuer are taken."""
        ...

    async def verify(self, token: str, origin: Origin) -> Proof:
        """Whom a token of an issuer that is known speaks for; raises ``AccessError``."""
        ...


class Access:
    """Says who is asking, and keeps saying it for as long as a socket or a stream is open."""

    def __init__(
        self,
        rights: Rights,
        tokens: Tokens,
        cookies: Cookies,
        *,
        outsiders: Outsiders | None = None,
        used: Callable[[str], None] = lambda _: None,
        refused: Callable[[Caller, str], None] = lambda _caller, _what: None,
    ) -> None:
        """``used`` hears the id of each API key that is used, ``refused`` who sent which kind of thing in vain."""
        self.rights = rights
        self.tokens = tokens
        self.cookies = cookies
        self._outsiders = outsiders
        self._used = used
        self._refused = refused

    async def authenticate(self, caller: Caller) -> Principal:
        """Who sent a request; raises ``AccessError`` for a header that does not hold."""
        try:
            return await self._authenticated(caller)
        except InvalidToken:
            self._refused(caller, "API key" if _is_key(caller) else "token")
            raise

    async def _authenticated(self, caller: Caller) -> Principal:
        key = caller.headers.get("x-api-key")
        header = caller.headers.get("authorization")
        if key is None and header is not None:
            kind, _, credential = header.partition(" ")
            credential = credential.strip()
            if kind.lower() != "bearer" or not credential:
                raise InvalidToken
            if not credential.startswith(KEY_START):
                proof = await self._proven(credential, caller)
                return await self._principal(proof, caller.headers.get(ORGANIZATION_HEADER))
            key = credential
        if key is not None:
            return await self._of_key(key.strip(), caller.headers.get(ORGANIZATION_HEADER))
        token = cookie(caller, ACCESS)
        return ANONYMOUS if token is None else await self._of_cookie(caller, token)

    async def renew(self, principal: Principal) -> Principal | None:
        """The same caller with the rights of this moment; ``None`` when they have none any more.

        A session that was refreshed meanwhile goes on: ``expires_at`` is that of its newest token.
        """
        if not principal.signed_in:
            return principal
        now = datetime.now(UTC)
        expires_at = principal.expires_at
        if expires_at is not None and expires_at <= now:
            state = None if principal.session_id is None else await self.rights.session(principal.session_id)
            if state is None or state.ended_at is not None or state.access_until <= now:
                return None
            expires_at = state.access_until
        if principal.key_id is not None:
            if not await self.rights.key_holds(principal.key_id):
                return None
            self._used(principal.key_id)
            return principal
        proof = Proof(
            user_id=principal.user_id or "",
            home_id=principal.organization_id,
            session_id=principal.session_id,
            expires_at=expires_at,
            only_scopes=principal.only_scopes,
        )
        try:
            renewed = await self._principal(proof, principal.organization_id)
        except (InvalidToken, NotAMember):
            return None
        return renewed

    def watch(self, principal: Principal, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls ``changed`` when ``renew`` may say something else; returns how to stop that."""
        return self.rights.watch(principal, changed)

    async def _proven(self, token: str, caller: Caller) -> Proof:
        if self._outsiders is not None and self._outsiders.knows(_issuer_named_by(token)):
            return await self._outsiders.verify(token, caller.origin())
        return self.tokens.verify(token)

    async def _of_cookie(self, caller: Caller, token: str) -> Principal:
        try:
            proof = self.tokens.verify(token)
            principal = await self._principal(proof, caller.headers.get(ORGANIZATION_HEADER))
        except InvalidToken:
            return replace(ANONYMOUS, hint=_ENDED)
        # A GET changes nothing, and a page of another site cannot read what it answers. The page that opened a socket
        # was looked at by the transport.
        if caller.method == "POST" and not self.cookies.csrf_holds(caller, principal.session_id or ""):
            return replace(ANONYMOUS, hint=_NO_CSRF)
        return principal

    async def _principal(self, proof: Proof, wanted: str | None) -> Principal:
        """Raises ``InvalidToken``, and ``NotAMember`` for an organization that is not the person's."""
        standing = await self.rights.standing(proof.user_id)
        # Asked last: a socket that is opened now hears of what ends from now on.
        if standing is None or (proof.session_id is not None and self.rights.has_ended(proof.session_id)):
            raise InvalidToken
        if wanted is not None and wanted not in standing.roles:
            raise NotAMember
        home = wanted or proof.home_id or next(iter(standing.roles), None)
        if home not in standing.roles:
            home = None  # never silently another one: what is written would land there
        role = None if home is None else MemberRole(standing.roles[home])
        scopes = frozenset[str]() if role is None else ROLE_SCOPES[role]
        return Principal(
            user_id=proof.user_id,
            organization_id=home,
            role=role,
            scopes=scopes if proof.only_scopes is None else scopes & proof.only_scopes,
            session_id=proof.session_id,
            expires_at=proof.expires_at,
            only_scopes=proof.only_scopes,
        )

    async def _of_key(self, secret: str, wanted: str | None) -> Principal:
        if not is_well_formed(secret):
            raise InvalidToken
        key = await self.rights.key(secret[:PREFIX_LENGTH])
        fits = hmac.compare_digest(sha256(secret.encode()).digest(), bytes(key.digest) if key is not None else b"")
        if key is None or not fits or key.revoked_at is not None:
            raise InvalidToken
        if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
            raise InvalidToken
        if wanted not in (None, key.organization_id):
            raise NotAMember
        self._used(key.id)
        return Principal(
            organization_id=key.organization_id,
            scopes=frozenset(key.scopes),
            key_id=key.id,
            expires_at=key.expires_at,
        )


def _is_key(caller: Caller) -> bool:
    return "x-api-key" in caller.headers or KEY_START in caller.headers.get("authorization", "")


def _issuer_named_by(token: str) -> str:
    """The issuer that a token claims, which chooses who judges it and proves nothing."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
    return issuer if isinstance(issuer, str) else ""
