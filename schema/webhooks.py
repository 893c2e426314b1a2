"""Webhooks: where the gateway posts the events of an organization, and what became of each."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from auth.refusal import Refusal
from datasources.database.accounts import users_by_id
from datasources.database.webhook_reading import DELIVERIES, DeliveryRow
from datasources.database.webhook_replays import replays_of
from datasources.database.webhooks import EndpointRow, endpoints_of
from datasources.paging import Selection
from schema.accounts import User
from schema.connection import Connection, connection
from schema.context import Context, Info, as_graphql
from schema.directives import Cost, ListSize, scopes
from schema.event import Event
from schema.node import Node
from schema.payloads import UserError, refused
from schema.relations import relation
from schema.scalars import BigInt, Url
from schema.webhook_endpoints import DEFAULT_OVERLAP_SECONDS, WantedEndpoint, WantedReplay, WebhookEndpoints

ADMINISTER_WEBHOOKS = scopes("webhooks:admin")


@strawberry.enum(description="Whether an endpoint is sent anything.")
class WebhookStatus(Enum):
    """``WebhookStatus``."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Events are delivered.")
    PAUSED_AFTER_FAILURES = strawberry.enum_value(
        "PAUSED_AFTER_FAILURES", description="It failed for days. Deliveries wait until it is resumed, or too old."
    )
    DISABLED = strawberry.enum_value(
        "DISABLED", description="It answered 410 Gone; nothing is sent until it is resumed."
    )


@strawberry.enum(description="What became of a delivery.")
class DeliveryStatus(Enum):
    """``DeliveryStatus``."""

    PENDING = strawberry.enum_value("PENDING", description="It is on its way, or waits for its next attempt.")
    DELIVERED = strawberry.enum_value("DELIVERED", description="The receiver has answered 2xx.")
    FAILED = strawberry.enum_value("FAILED", description="It was given up; it can be replayed.")


@strawberry.type(description="An event on its way to an endpoint.", directives=[ADMINISTER_WEBHOOKS])
class WebhookDelivery(Node):
    """``WebhookDelivery``."""

    event_type: str = strawberry.field(description="The name of the event's type.")
    sequence: BigInt | None = strawberry.field(
        description="Its number in the order of the log, from 1 on for each endpoint; null for a replayed event from "
        "before the endpoint was made."
    )
    status: DeliveryStatus = strawberry.field(description="What became of it.")
    attempts: int = strawberry.field(description="How often it was tried, since it was last replayed if it was.")
    response_status: int | None = strawberry.field(
        description="The HTTP status of the last answer; null before the first."
    )
    error: str | None = strawberry.field(description="Why the last attempt failed.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is tried next; null when it is not, also while its endpoint is paused."
    )
    created_at: datetime = strawberry.field(description="When it was put down for the endpoint.")
    delivered_at: datetime | None = strawberry.field(description="When the receiver took it.")

    @strawberry.field(description="The place of its event in the log, as its body has it.")
    @staticmethod
    def cursor(root: strawberry.Parent[DeliveryRow], info: Info) -> str:
        """The cursor of the event, which stays when the event itself is not kept any more."""
        return info.context.services.events.cursors.encode(root.organization_id, root.place)

    @strawberry.field(
        description="What happened; null where that is not kept any more, or its platform is off.",
        directives=[Cost(weight=2)],
    )
    @staticmethod
    async def event(root: strawberry.Parent[DeliveryRow], info: Info) -> Event | None:
        """As ``node(id:)`` finds it."""
        (future,) = info.context.composition.by_ids(info.context.loader, [root.event_id])
        return None if future is None else await future


@strawberry.input(description="Which deliveries.")
class WebhookDeliveryFilter:
    """``WebhookDeliveryFilter``."""

    status: list[DeliveryStatus] | None = strawberry.field(default=None, description="In any of these.")
    types: list[str] | None = strawberry.field(default=None, description="Of events of any of these types, by name.")


def select_deliveries(_context: Context, chosen: WebhookDeliveryFilter | None, _order: None) -> Selection:
    """What ``filter`` of deliveries means; the newest first."""
    filters: dict[str, Any] = {}
    if chosen is not None:
        if chosen.status is not None:
            filters["status"] = [value.name for value in chosen.status]
        if chosen.types is not None:
            filters["types"] = chosen.types
    return Selection("CREATED_AT", descending=True, filters=filters)


@strawberry.type(
    description="A replay that goes on: its deliveries are made in steps, as the receiver takes them.",
    directives=[ADMINISTER_WEBHOOKS],
)
class WebhookReplay:
    """``WebhookReplay``."""

    requested_at: datetime = strawberry.field(description="When it was asked for.")
    scheduled: int = strawberry.field(description="How many deliveries were put on their way so far.")
    total: int = strawberry.field(
        name="totalCount", description="How many there are in all, as counted when it was asked for."
    )


@strawberry.type(
    description="An address that events are posted to, signed as Standard Webhooks says.",
    directives=[ADMINISTER_WEBHOOKS],
)
class WebhookEndpoint(Node):
    """``WebhookEndpoint``."""

    url: Url = strawberry.field(description="Where events are posted to.")
    events: list[str] = strawberry.field(
        description="Names of the types of events that it gets.", directives=[ListSize(assumed_size=10)]
    )
    scopes: list[str] = strawberry.field(
        description="What its bodies may tell: of what its maker might read, what its events need.",
        directives=[ListSize(assumed_size=10)],
    )
    status: WebhookStatus = strawberry.field(description="Whether it is sent anything.")
    failing_since: datetime | None = strawberry.field(
        name="firstFailureAt",
        description="Since when nothing has been delivered although it was tried; null while all is well.",
    )
    previous_until: datetime | None = strawberry.field(
        name="previousSecretExpiresAt", description="Until when deliveries are signed with the secret before, too."
    )
    created_by: User | None = relation(
        users_by_id,
        key="created_by",
        description="Who made it; null where that is no member any more, or was an API key or an operator.",
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    replay: WebhookReplay | None = relation(
        replays_of,
        key="id",
        description="A replay that goes on; null when there is none, or when all of its deliveries are on their way.",
    )
    deliveries: Connection[WebhookDelivery] | None = connection(
        DELIVERIES,
        select_deliveries,
        by="endpoint_id",
        key="id",
        filtered=WebhookDeliveryFilter,
        description="What it was sent and is to be sent, the newest first; delivered ones are kept for 30 days.",
    )


@strawberry.type(description="Where events are posted to.")
class OrganizationWebhooks:
    """Fields of ``Organization``."""

    webhook_endpoints: list[WebhookEndpoint] | None = relation(
        endpoints_of,
        key="id",
        many=True,
        description="Where its events are posted to, the newest first; null for another organization than the one that "
        "you act for.",
        directives=(ListSize(assumed_size=20),),
    )


@strawberry.input(description="An endpoint to make.")
class CreateWebhookEndpointInput:
    """``CreateWebhookEndpointInput``."""

    url: Url = strawberry.field(description="An https address on the public internet.")
    events: list[str] = strawberry.field(
        description="Names of types of events, such as `OrderChanged`; you need the rights to each."
    )


@strawberry.input(description="What is to change of an endpoint; what is absent stays.")
class UpdateWebhookEndpointInput:
    """``UpdateWebhookEndpointInput``."""

    id: strawberry.ID = strawberry.field(description="Which.")
    url: Url | None = strawberry.field(default=None, description="Where events are posted to from now on.")
    events: list[str] | None = strawberry.field(
        default=None, description="All types of events that it gets from now on."
    )


@strawberry.input(description="An endpoint to delete.")
class DeleteWebhookEndpointInput:
    """``DeleteWebhookEndpointInput``."""

    id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.input(description="An endpoint whose secret is to change.")
class RotateWebhookSecretInput:
    """``RotateWebhookSecretInput``."""

    id: strawberry.ID = strawberry.field(description="Which.")
    overlap_seconds: int | None = strawberry.field(
        default=DEFAULT_OVERLAP_SECONDS,
        description="How long both secrets sign, at most 7 days. 0: the old one has leaked.",
    )


@strawberry.input(description="An endpoint that works again.")
class ResumeWebhookEndpointInput:
    """``ResumeWebhookEndpointInput``."""

    id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.input(description="What is to be delivered again.")
class ReplayWebhookDeliveriesInput:
    """``ReplayWebhookDeliveriesInput``."""

    endpoint_id: strawberry.ID = strawberry.field(description="To which endpoint.")
    after: str | None = strawberry.field(
        default=None,
        description="All events of its types after this cursor, also those from before the endpoint was made.",
    )
    delivery_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="These deliveries, at most 250."
    )


@strawberry.type(description="An endpoint as it stands now, or why nothing was done.")
class WebhookEndpointPayload:
    """``WebhookEndpointPayload``."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The endpoint; one that was deleted as it was last."
    )
    signing_secret: str | None = strawberry.field(
        description="Shown once, when it is new; keep it where no one else reads it. Null in all other answers."
    )
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="How much is delivered again, or why nothing is.")
class ReplayWebhookDeliveriesPayload:
    """``ReplayWebhookDeliveriesPayload``."""

    scheduled: int = strawberry.field(
        description="How many deliveries are on their way, or will be: `replay` of the endpoint says how far that is."
    )
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


def _payload(row: EndpointRow, secret: str | None = None) -> WebhookEndpointPayload:
    return WebhookEndpointPayload(webhook_endpoint=as_graphql(row), signing_secret=secret, user_errors=[])


def _refused(refusal: Refusal) -> WebhookEndpointPayload:
    return WebhookEndpointPayload(webhook_endpoint=None, signing_secret=None, user_errors=[refused(refusal)])


def _endpoints(context: Context) -> WebhookEndpoints:
    """Who does it; raises when the caller acts for no organization."""
    _ = context.organization_id
    return context.services.webhooks


@strawberry.type(description="Mutations about webhooks.")
class WebhookMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Makes an endpoint, which gets what happens from now on, and goes on when its maker leaves.",
        directives=[ADMINISTER_WEBHOOKS],
    )
    @staticmethod
    async def create_webhook_endpoint(
        info: Info, input: Annotated[CreateWebhookEndpointInput, strawberry.argument(description="Where to, and what.")]
    ) -> WebhookEndpointPayload | None:
        """``createWebhookEndpoint``."""
        context = info.context
        wanted = WantedEndpoint(input.url, input.events)
        try:
            made = await _endpoints(context).create(
                context.scope, context.principal, context.composition.graphql, wanted
            )
        except Refusal as refusal:
            return _refused(refusal)
        return _payload(made.row, made.secret)

    @strawberry.mutation(
        description="Changes where an endpoint is or what it gets. From then on its bodies tell what you may read.",
        directives=[ADMINISTER_WEBHOOKS],
    )
    @staticmethod
    async def update_webhook_endpoint(
        info: Info, input: Annotated[UpdateWebhookEndpointInput, strawberry.argument(description="Which, and what.")]
    ) -> WebhookEndpointPayload | None:
        """``updateWebhookEndpoint``."""
        context = info.context
        try:
            row = await _endpoints(context).update(
                context.scope, context.principal, context.composition.graphql, input.id, input.url, input.events
            )
        except Refusal as refusal:
            return _refused(refusal)
        return _payload(row)

    @strawberry.mutation(
        description="Deletes an endpoint with its deliveries, at once.", directives=[ADMINISTER_WEBHOOKS]
    )
    @staticmethod
    async def delete_webhook_endpoint(
        info: Info, input: Annotated[DeleteWebhookEndpointInput, strawberry.argument(description="Which.")]
    ) -> WebhookEndpointPayload | None:
        """``deleteWebhookEndpoint``."""
        context = info.context
        try:
            row = await _endpoints(context).delete(context.scope, context.principal.actor, input.id)
        except Refusal as refusal:
            return _refused(refusal)
        return _payload(row)

    @strawberry.mutation(
        description="Gives an endpoint a new secret; for a while both sign, so that no delivery fails meanwhile.",
        directives=[ADMINISTER_WEBHOOKS],
    )
    @staticmethod
    async def rotate_webhook_secret(
        info: Info, input: Annotated[RotateWebhookSecretInput, strawberry.argument(description="Which, and how long.")]
    ) -> WebhookEndpointPayload | None:
        """``rotateWebhookSecret``."""
        context, overlap = info.context, input.overlap_seconds
        try:
            made = await _endpoints(context).rotate(context.scope, context.principal.actor, input.id, overlap)
        except Refusal as refusal:
            return _refused(refusal)
        return _payload(made.row, made.secret)

    @strawberry.mutation(
        description="Goes on with an endpoint that is paused or disabled; what waits for it is delivered now.",
        directives=[ADMINISTER_WEBHOOKS],
    )
    @staticmethod
    async def resume_webhook_endpoint(
        info: Info, input: Annotated[ResumeWebhookEndpointInput, strawberry.argument(description="Which.")]
    ) -> WebhookEndpointPayload | None:
        """``resumeWebhookEndpoint``."""
        context = info.context
        try:
            row = await _endpoints(context).resume(context.scope, context.principal.actor, input.id)
        except Refusal as refusal:
            return _refused(refusal)
        return _payload(row)

    @strawberry.mutation(
        description="Delivers again what was delivered, has failed, or happened before the endpoint was made. A "
        "delivery keeps its id, so that a receiver can tell what it has.",
        directives=[ADMINISTER_WEBHOOKS],
    )
    @staticmethod
    async def replay_webhook_deliveries(
        info: Info, input: Annotated[ReplayWebhookDeliveriesInput, strawberry.argument(description="What.")]
    ) -> ReplayWebhookDeliveriesPayload | None:
        """``replayWebhookDeliveries``."""
        context = info.context
        wanted = WantedReplay(input.endpoint_id, input.after, input.delivery_ids)
        try:
            scheduled = await _endpoints(context).replay(context.scope, context.principal.actor, wanted)
        except Refusal as refusal:
            return ReplayWebhookDeliveriesPayload(scheduled=0, user_errors=[refused(refusal)])
        return ReplayWebhookDeliveriesPayload(scheduled=scheduled, user_errors=[])
