"""Webhooks, as the settings say: the bodies of deliveries, made by the engine that answers everybody."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from graphql import GraphQLSchema

from auth.principal import Principal
from datasources.database.webhook_deliveries import ClaimedDelivery
from datasources.keyring import Keyring
from datasources.webhooks.post import Poster
from gateway.graphql.documents import Documents, Operation
from gateway.graphql.engine import Engine
from gateway.graphql.limits import Limits
from gateway.graphql.request import GraphQLRequest
from gateway.settings import Settings
from schema.platform import Services
from schema.webhook_bodies import Reach, document, event_types, needed_for
from schema.webhook_endpoints import WebhookEndpoints
from subscriptions.cursors import Cursors
from subscriptions.webhooks import NoBody, Webhooks

_DOCUMENTS = 1_000
"""Selections that are kept ready: there are as many as types of events, for each set of scopes."""


def webhook_endpoints(settings: Settings, keyring: Keyring) -> WebhookEndpoints:
    """What makes and changes endpoints."""
    cursors = Cursors(keyring.derived("event cursors"))
    return WebhookEndpoints(keyring, cursors, networks=settings.webhook_networks)


def webhooks(
    settings: Settings, keyring: Keyring, services: Services, schema: GraphQLSchema, engine: Engine
) -> Webhooks:
    """What makes and posts deliveries while it is entered; enter it after the event log."""
    bodies = Bodies(schema, engine, services.events.cursors)
    poster = Poster(settings.webhook_networks)
    found = Webhooks(services.database, keyring, services.events, bodies.render, poster=poster)
    services.webhooks.wake = found.wake
    return found


class Bodies:
    """Makes the bodies of deliveries: GraphQL answers with the event as it stands, anew at each attempt.

    The event itself never changes; what it points to is told as it is now, with the scopes that its endpoint has.
    """

    def __init__(self, schema: GraphQLSchema, engine: Engine, cursors: Cursors) -> None:
        self._schema = schema
        self._types = event_types(schema)
        self._engine = engine
        self._cursors = cursors
        # Those of clients may be bounded more tightly than what we ask ourselves.
        self._documents = Documents(schema, Limits())
        self._operation = lru_cache(_DOCUMENTS)(self._make_operation)

    async def render(self, delivery: ClaimedDelivery) -> bytes | None:
        """The body of a delivery; ``None`` when its event is not there any more. Raises ``NoBody``."""
        operation = self._operation(delivery.event_type, frozenset(delivery.scopes))
        if operation is None:
            return None
        principal = Principal(
            organization_id=delivery.organization_id,
            key_id=delivery.endpoint_id,
            scopes=frozenset(delivery.scopes),
        )
        operation = replace(operation, variables={"id": delivery.event_id})
        answer: dict[str, Any] = orjson.loads((await self._engine.execute(operation, principal)).body)
        if (answer.get("data") or {}).get("event") is None:
            if "errors" in answer:
                raise NoBody
            return None
        return orjson.dumps({**answer, "extensions": {"delivery": self._told(delivery)}})

    def _told(self, delivery: ClaimedDelivery) -> Mapping[str, object]:
        return {
            "id": delivery.id,
            "attempt": delivery.attempts,
            "sequence": delivery.sequence,
            "cursor": self._cursors.encode(delivery.organization_id, delivery.place),
            "endpoint": delivery.endpoint_id,
        }

    def _make_operation(self, event_type: str, scopes: frozenset[str]) -> Operation | None:
        """The query for a type of event; ``None`` when its platform is off, or it needs more by now."""
        kind, reach = self._types.get(event_type), Reach(scopes)
        if kind is None or reach.lacks(needed_for(kind)):
            return None
        text = document(self._schema, kind, reach)
        return self._documents.operation(GraphQLRequest(text, None, {}, {}))
