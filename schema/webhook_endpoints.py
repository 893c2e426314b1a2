"""Endpoints of webhooks: who may make them, what they may tell, and what is done with them.

An endpoint has names of types of events and, like an API key, some of the scopes of whoever made it: those that its
bodies need. It acts for its organization and is nobody, so that it goes on when its maker leaves. Whoever changes where
it leads or what it gets makes it anew in this respect, with their own scopes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from graphql import GraphQLSchema

from auth.principal import Principal
from auth.refusal import Refusal
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Scope, Transaction
from datasources.database.event_retention import horizon_of
from datasources.database.events import EventPosition, head
from datasources.database.roster import lock_organization
from datasources.database.webhook_replays import plan_replay, replay
from datasources.database.webhooks import (
    ACTIVE,
    MOST_ENDPOINTS,
    EndpointRow,
    NewEndpoint,
    TooManyEndpoints,
    create_endpoint,
    delete_endpoint,
    endpoints_by_id,
    resume_endpoint,
    rotate_secret,
    update_endpoint,
)
from datasources.keyring import Keyring
from datasources.webhooks.addresses import UnfitUrl, check_url
from schema.errors import CursorTooOld
from schema.webhook_bodies import Reach, document, event_types, needed_for
from subscriptions.cursors import Cursors

DEFAULT_OVERLAP_SECONDS = 86_400
LONGEST_OVERLAP_SECONDS = 7 * 86_400
MOST_IDS = 250
"""How many deliveries can be named at once."""

_NO_SUCH_ENDPOINT = "There is no webhook endpoint with this id that you may see."


@dataclass(frozen=True)
class WantedEndpoint:
    """An endpoint as somebody asks for it: an address, and names of types of events."""

    url: str
    events: Sequence[str]


@dataclass(frozen=True)
class WantedReplay:
    """What is to be delivered again: all after a cursor, or deliveries by id."""

    endpoint_id: str
    after: str | None = None
    delivery_ids: Sequence[str] | None = None


@dataclass(frozen=True)
class NewSecret:
    """An endpoint with a new secret, which is shown this once."""

    row: EndpointRow
    secret: str = field(repr=False)


class WebhookEndpoints:
    """Makes, changes and ends endpoints. All of its methods raise ``Refusal``.

    ``networks``: private ones that endpoints may be in.
    """

    def __init__(self, keyring: Keyring, cursors: Cursors, *, networks: Sequence[str] = ()) -> None:
        self._keyring = keyring
        self._cursors = cursors
        self._networks = networks
        self.wake: Callable[[], None] | None = None
        """Called after a commit that has made something due."""

    async def create(
        self, scope: Scope, principal: Principal, schema: GraphQLSchema, wanted: WantedEndpoint
    ) -> NewSecret:
        """An endpoint of the organization of ``scope`` for what happens from now on."""
        events, scopes = _reach(schema, principal, wanted.events)
        self._check(wanted.url)
        new = NewEndpoint(wanted.url, events, scopes, principal.actor)
        async with scope.transaction() as transaction:
            # Two at once would both find room for one more.
            if not await lock_organization(transaction):
                raise Refusal("NOT_FOUND", "There is no such organization.")
            try:
                made = await create_endpoint(transaction, self._keyring, new)
            except TooManyEndpoints:
                message = (
                    f"An organization has at most {MOST_ENDPOINTS} webhook endpoints. Delete one that is not needed."
                )
                raise Refusal("QUOTA_EXCEEDED", message) from None
            details = {"host": _host(wanted.url), "events": events, "scopes": scopes}
            await _audit(transaction, principal.actor, "webhook.created", made.id, "MEDIUM", details)
        return NewSecret(await self._found(scope, made.id), made.secret)

    async def update(
        self,
        scope: Scope,
        principal: Principal,
        schema: GraphQLSchema,
        endpoint_id: str,
        url: str | None,
        events: Sequence[str] | None,
    ) -> EndpointRow:
        """Changes where an endpoint is and what it gets; from then on it tells what this principal may read."""
        before = await self._found(scope, endpoint_id)
        if url is None and events is None:
            return before
        wanted, scopes = _reach(schema, principal, before.events if events is None else events)
        if url is not None:
            self._check(url)
        async with scope.transaction() as transaction:
            address = before.url if url is None else url
            if not await update_endpoint(transaction, endpoint_id, address, wanted, scopes):
                raise _not_found()
            details = {"host": _host(address), "events": wanted, "scopes": scopes}
            await _audit(transaction, principal.actor, "webhook.updated", endpoint_id, "MEDIUM", details)
        return await self._found(scope, endpoint_id)

    async def delete(self, scope: Scope, actor: str, endpoint_id: str) -> EndpointRow:
        """Ends an endpoint with its deliveries; returns it as it was."""
        row = await self._found(scope, endpoint_id)
        async with scope.transaction() as transaction:
            if not await delete_endpoint(transaction, endpoint_id):
                raise _not_found()
            await _audit(transaction, actor, "webhook.deleted", endpoint_id, "LOW", {"host": _host(row.url)})
        return row

    async def rotate(self, scope: Scope, actor: str, endpoint_id: str, overlap_seconds: int | None) -> NewSecret:
        """A new secret; the one before signs, too, for so long."""
        seconds = DEFAULT_OVERLAP_SECONDS if overlap_seconds is None else overlap_seconds
        if not 0 <= seconds <= LONGEST_OVERLAP_SECONDS:
            message = f"Both secrets can sign for 0 to {LONGEST_OVERLAP_SECONDS} seconds (7 days)."
            raise Refusal("INVALID", message, "overlapSeconds")
        await self._found(scope, endpoint_id)
        async with scope.transaction() as transaction:
            secret = await rotate_secret(transaction, self._keyring, endpoint_id, timedelta(seconds=seconds))
            if secret is None:
                raise _not_found()
            details = {"overlap_seconds": seconds}
            await _audit(transaction, actor, "webhook.secret_rotated", endpoint_id, "MEDIUM", details)
        return NewSecret(await self._found(scope, endpoint_id), secret)

    async def resume(self, scope: Scope, actor: str, endpoint_id: str) -> EndpointRow:
        """Goes on with an endpoint; one that is active already stays so."""
        before = await self._found(scope, endpoint_id)
        if before.status == ACTIVE:
            return before
        async with scope.transaction() as transaction:
            if await resume_endpoint(transaction, endpoint_id):
                await _audit(transaction, actor, "webhook.resumed", endpoint_id, "LOW", {"was": before.status})
                self._wake_after(transaction)
        return await self._found(scope, endpoint_id)

    async def replay(self, scope: Scope, actor: str, wanted: WantedReplay) -> int:
        """Has things delivered again; returns how many, of which some are on their way at once, the others in steps.

        Raises ``CursorTooOld`` as well.
        """
        after = await self._place(scope, wanted)
        ids = list(dict.fromkeys(wanted.delivery_ids or ()))
        if len(ids) > MOST_IDS:
            raise Refusal("INVALID", f"Name at most {MOST_IDS} deliveries at once.", "deliveryIds")
        endpoint = await self._found(scope, wanted.endpoint_id, "endpointId")
        if endpoint.status != ACTIVE:
            message = "Nothing is sent to this endpoint. Resume it first, and replay then."
            raise Refusal("NOT_ALLOWED_IN_STATE", message, "endpointId")
        # Counting takes as long as the log is; nobody waits for it.
        plan = None if after is None else await plan_replay(scope, endpoint.id, after)
        async with scope.transaction() as transaction:
            scheduled = await replay(transaction, endpoint.id, plan, ids)
            if scheduled:
                await _audit(transaction, actor, "webhook.replayed", endpoint.id, "LOW", {"deliveries": scheduled})
                self._wake_after(transaction)
        return scheduled

    async def _place(self, scope: Scope, wanted: WantedReplay) -> EventPosition | None:
        if (wanted.after is None) == (wanted.delivery_ids is None):
            message = "Say what to deliver again: give either `after` or `deliveryIds`."
            raise Refusal("REQUIRED", message, "after")
        if wanted.after is None:
            return None
        organization_id = scope.organization_id or ""
        place = self._cursors.decode(organization_id, wanted.after)
        if place is None:
            raise Refusal("INVALID", "That is not the cursor of an event of yours.", "after")
        if place.era < (await head(scope.database)).era:
            message = "This cursor is from before the event log was restored from a back-up, and does not fit it."
            raise Refusal("INVALID", message, "after")
        oldest = await horizon_of(scope)
        if oldest is not None and place < oldest:
            raise CursorTooOld(self._cursors.encode(organization_id, oldest))
        return place

    async def _found(self, scope: Scope, endpoint_id: str, argument: str = "id") -> EndpointRow:
        row = (await endpoints_by_id(scope, [endpoint_id])).get(endpoint_id)
        if row is None:
            raise _not_found(argument)
        return row

    def _check(self, url: str) -> None:
        try:
            check_url(url, self._networks)
        except UnfitUrl as error:
            raise Refusal("INVALID", str(error), "url") from None

    def _wake_after(self, transaction: Transaction) -> None:
        if self.wake is not None:
            transaction.after_commit.append(self.wake)


def _reach(schema: GraphQLSchema, principal: Principal, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The types of events, and of the scopes of who asks for them those that their bodies need."""
    known = event_types(schema)
    events = sorted(set(names))
    if not events:
        raise Refusal("REQUIRED", f"Name at least one type of event. There are: {', '.join(known)}.", "events")
    if unknown := [name for name in events if name not in known]:
        message = f"There is no type of event {_listed(unknown)}. There are: {', '.join(known)}."
        raise Refusal("INVALID", message, "events")
    reach = Reach(principal.scopes)
    for name in events:
        if lacking := reach.lacks(needed_for(known[name])):
            message = f"You lack {_listed(sorted(lacking))} yourself, which {name} needs."
            raise Refusal("INVALID", f"{message} An endpoint is told no more than who makes it.", "events")
        document(schema, known[name], reach)
    return events, sorted(reach.used)


def _not_found(argument: str = "id") -> Refusal:
    return Refusal("NOT_FOUND", _NO_SUCH_ENDPOINT, argument)


def _host(url: str) -> str:
    """What of an address is in the audit trail: its path may be a secret."""
    return urlsplit(url).hostname or ""


async def _audit(
    transaction: Transaction, actor: str, action: str, endpoint_id: str, risk: str, details: Mapping[str, object]
) -> None:
    await append_audit(transaction, NewAuditEntry(actor, action, endpoint_id, risk, details))


def _listed(names: Sequence[str]) -> str:
    shown = [name[:64].encode("ascii", "backslashreplace").decode() for name in names[:10]]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")
