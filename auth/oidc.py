"""People who sign in somewhere else: access tokens of outside issuers (OpenID Connect).

The issuers are configured (``auth.oidc_settings``), each with its audience and algorithms. Their keys are
``auth.oidc_keys``, what a token must be is ``auth.oidc_tokens``, whom it speaks for here is ``auth.oidc_people``.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from auth.errors import IdentityNotLinked, InvalidToken
from auth.mail import AccountPages, PostMail
from auth.oidc_keys import IssuerKeys
from auth.oidc_people import OutsidePeople, Outsider
from auth.oidc_settings import IssuerSettings, by_issuer
from auth.oidc_tokens import CheckedToken, check, read, text
from auth.proof import Proof
from datasources.database.engine import NOWHERE, Database, Origin
from datasources.oidc import IssuerClient

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 10_000
ASKED_SECONDS = 30.0
"""How long somebody who was sent a link is refused at once, without asking the issuer or writing anything."""


@dataclass(frozen=True)
class _Known:
    """A token that was checked: what it proves, and by which key, for that may be withdrawn."""

    settings: IssuerSettings
    checked: CheckedToken
    proof: Proof


class OutsideIssuers:
    """Checks tokens of outside issuers.

    A token that has been checked is remembered by its hash until it ends or its key is withdrawn, so that checking it
    again is a look-up. ``own_issuer`` is the gateway's, which none of these can be. ``clock`` counts seconds.
    """

    def __init__(
        self,
        database: Database,
        issuers: Iterable[IssuerSettings],
        *,
        post: PostMail,
        pages: AccountPages,
        own_issuer: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ``ValueError`` for an issuer that is there twice, or is the gateway's own."""
        self._settings: Mapping[str, IssuerSettings] = by_issuer(issuers, own_issuer)
        self._client = IssuerClient()
        self._clock = clock
        self._keys = {
            issuer: IssuerKeys(issuer, settings.algorithms, self._client, clock)
            for issuer, settings in self._settings.items()
        }
        self._people = OutsidePeople(database, self._client, post=post, pages=pages)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()

    def knows(self, issuer: str) -> bool:
        """Whether tokens of this issuer are taken."""
        return issuer in self._settings

    async def verify(self, token: str, origin: Origin = NOWHERE) -> Proof:
        """Whom a token speaks for; somebody who is new is made, see ``auth.oidc_people``.

        Raises ``InvalidToken``, which never says why, ``IdentityNotLinked`` for somebody who has to confirm first that
        an account is theirs, and ``IssuerUnreachable`` when the issuer does not say who somebody new is.
        """
        fingerprint = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._known.get(fingerprint)
        if known is not None and await self._holds(known):
            return known.proof
        self._known.pop(fingerprint, None)
        found = read(token)
        settings = self._settings.get(text(found.claims.get("iss")) or "")
        if settings is None:
            raise InvalidToken
        checked = await check(found, settings, self._keys[settings.issuer].find)
        proof = await self._proof(settings, checked, token, origin)
        known = _Known(settings, checked, proof)
        if not await self._holds(known):
            raise InvalidToken  # it ended, or its key was withdrawn, while the issuer was asked who this is
        _remember(self._known, fingerprint, known)
        return proof

    async def confirm(self, token: str, origin: Origin = NOWHERE) -> str | None:
        """Links an account to the identity that a mailed link is about, and returns the person's id.

        ``None`` when the link does not hold, or no longer.
        """
        return await self._people.confirm(token, self._settings, origin)

    async def close(self) -> None:
        """Ends what is under way and closes every connection."""
        for keys in self._keys.values():
            await keys.close()
        await self._client.close()

    async def _holds(self, known: _Known) -> bool:
        checked, settings = known.checked, known.settings
        if checked.expires_at + timedelta(seconds=settings.leeway) <= datetime.now(UTC):
            return False
        key = await self._keys[settings.issuer].find(checked.key_id, checked.algorithm)
        return key is not None and key.digest == checked.key.digest

    async def _proof(self, settings: IssuerSettings, checked: CheckedToken, token: str, origin: Origin) -> Proof:
        who = (settings.issuer, checked.subject)
        asked = self._asked.get(who, self._clock()) > self._clock()
        organization = None
        if settings.organization_claim is not None:
            organization = text(checked.claims.get(settings.organization_claim))
            if organization is None:
                raise InvalidToken
        endpoint = self._keys[settings.issuer].userinfo_endpoint
        outsider = Outsider(settings, checked.subject, organization, checked.claims, token, endpoint)
        try:
            person = await self._people.person(outsider, origin, asked=asked)
        except IdentityNotLinked:
            if not asked:
                _remember(self._asked, who, self._clock() + ASKED_SECONDS)
            raise
        return Proof(
            user_id=person.user_id,
            home_id=person.home_id,
            expires_at=checked.expires_at,
            only_scopes=_scopes(checked.claims, settings.scopes_claim),
        )


def _scopes(claims: Mapping[str, Any], claim: str | None) -> frozenset[str] | None:
    """The scopes that a token is limited to; a token without the claim has none."""
    if claim is None:
        return None
    value = claims.get(claim, ())
    named = value.split() if isinstance(value, str) else value
    return (
        frozenset(each for each in named if isinstance(each, str)) if isinstance(named, list | tuple) else frozenset()
    )


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
