"""API keys: what an integrator's program sends instead of a person's token.

A key has a name, some of the scopes that its maker has, and an end. It acts for its organization and is nobody, so that
it goes on when its maker only changes places; but whoever has seen a secret and loses rights takes them with them: keys
that could do more than their maker still may are revoked. A person makes keys, a key does not: one that has leaked
could otherwise outlive its revocation in others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from auth.errors import PersonRequired
from auth.key_format import PREFIX_LENGTH, new_secret
from auth.principal import Principal
from auth.refusal import Refusal
from auth.scopes import KNOWN_SCOPES
from datasources.database.access import announce_access_change
from datasources.database.api_keys import (
    ApiKeyRow,
    NewApiKey,
    add_key,
    api_keys_by_id,
    held_keys,
    keys_made_by,
    revoke_keys,
)
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Scope, Transaction
from datasources.database.ids import new_id
from datasources.database.roster import lock_organization

MOST_KEYS = 100
"""How many keys of an organization can hold at once."""
DEFAULT_LIFETIME = timedelta(days=90)
"""How long a key lasts whose maker does not say."""
MAX_NAME = 100

_NO_SUCH_KEY = "There is no API key with this id that you may see."


@dataclass(frozen=True)
class WantedKey:
    """A key as somebody asks for it; without ``expires_at`` it lasts as long as keys do."""

    name: str
    scopes: Sequence[str]
    expires_at: datetime | None = None


@dataclass(frozen=True)
class MadeKey:
    """A new key; the secret is shown this once."""

    row: ApiKeyRow
    secret: str = field(repr=False)


class ApiKeys:
    """Makes and revokes keys. ``longest``: the longest that a key may last."""

    def __init__(self, *, longest: timedelta = timedelta(days=366)) -> None:
        self._longest = longest

    async def create(self, scope: Scope, principal: Principal, wanted: WantedKey) -> MadeKey:
        """A key of the organization of ``scope``; raises ``PersonRequired`` and ``Refusal``."""
        if principal.user_id is None:
            raise PersonRequired
        if beyond := sorted(set(wanted.scopes) & KNOWN_SCOPES - principal.scopes):
            message = f"You lack {_listed(beyond)} yourself. A key can do no more than who makes it."
            raise Refusal("INVALID", message, "scopes")
        return await self.create_as(scope, principal.actor, wanted)

    async def create_as(self, scope: Scope, actor: str, wanted: WantedKey) -> MadeKey:
        """As ``create``, by somebody who may give any scope; raises ``Refusal``."""
        now = datetime.now(UTC)
        scopes = _known(wanted.scopes)
        secret = new_secret()
        key = NewApiKey(
            id=new_id("key"),
            name=_name(wanted.name),
            prefix=secret[:PREFIX_LENGTH],
            digest=sha256(secret.encode()).digest(),
            scopes=scopes,
            created_by=actor,
            created_at=now,
            expires_at=self._end(wanted.expires_at, now),
        )
        async with scope.transaction() as transaction:
            # Two at once would both find room for one more.
            if not await lock_organization(transaction):
                raise Refusal("NOT_FOUND", "There is no such organization.")
            if await held_keys(transaction, now) >= MOST_KEYS:
                message = f"An organization has at most {MOST_KEYS} API keys. Revoke one that is not needed any more."
                raise Refusal("QUOTA_EXCEEDED", message)
            await add_key(transaction, key)
            details = {"scopes": scopes, "prefix": key.prefix, "expires_at": key.expires_at.isoformat()}
            await append_audit(transaction, NewAuditEntry(actor, "key.created", key.id, "MEDIUM", details))
        row = (await api_keys_by_id(scope, [key.id]))[key.id]
        return MadeKey(row, secret)

    async def revoke(self, scope: Scope, actor: str, key_id: str) -> ApiKeyRow:
        """Ends a key of the organization at once, everywhere; one that is revoked stays so. Raises ``Refusal``."""
        found = (await api_keys_by_id(scope, [key_id])).get(key_id)
        if found is None:
            raise Refusal("NOT_FOUND", _NO_SUCH_KEY, "id")
        if found.revoked_at is None:
            async with scope.transaction() as transaction:
                await _revoke(transaction, [key_id], actor, "REVOKED")
        return (await api_keys_by_id(scope, [key_id]))[key_id]

    def _end(self, wanted: datetime | None, now: datetime) -> datetime:
        if wanted is None:
            return now + min(DEFAULT_LIFETIME, self._longest)
        if wanted <= now:
            raise Refusal("INVALID", "A key ends in the future.", "expiresAt")
        if wanted > now + self._longest:
            raise Refusal("INVALID", f"A key lasts at most {self._longest.days} days. Rotate it before.", "expiresAt")
        return wanted


async def revoke_keys_beyond(
    transaction: Transaction, user_id: str, scopes: frozenset[str], *, actor: str
) -> Sequence[str]:
    """Revokes the keys that a person has made in the organization and that could do more than ``scopes``.

    For whoever loses rights: with no scopes left, every key that they made goes. Returns the ids.
    """
    keys = await keys_made_by(transaction, user_id)
    lost = sorted(key_id for key_id, allowed in keys.items() if not scopes or not allowed <= scopes)
    return await _revoke(transaction, lost, actor, "MAKER_LOST_RIGHTS")


async def _revoke(transaction: Transaction, ids: Sequence[str], actor: str, reason: str) -> Sequence[str]:
    revoked = await revoke_keys(transaction, ids, datetime.now(UTC)) if ids else []
    for key_id in revoked:
        await announce_access_change(transaction, key_id)
        await append_audit(transaction, NewAuditEntry(actor, "key.revoked", key_id, "LOW", {"reason": reason}))
    return revoked


def _name(given: str) -> str:
    name = given.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        message = f"A name has 1 to {MAX_NAME} printable characters. Say what the key is for."
        raise Refusal("INVALID", message, "name")
    return name


def _known(given: Sequence[str]) -> list[str]:
    scopes = sorted(set(given))
    if not scopes:
        raise Refusal("REQUIRED", "A key without a scope can do nothing. Name at least one.", "scopes")
    if unknown := [scope for scope in scopes if scope not in KNOWN_SCOPES]:
        raise Refusal("INVALID", f"There is no scope {_listed(unknown)}.", "scopes")
    return scopes


def _listed(scopes: Sequence[str]) -> str:
    shown = [scope[:64].encode("ascii", "backslashreplace").decode() for scope in scopes[:10]]
    return ", ".join(shown) + (", …" if len(scopes) > len(shown) else "")
