"""What the gateway itself brings: always, and with each area that some platform supplies."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datasources.database import accounts, businesses
from datasources.database.api_keys import ApiKeyRow, api_keys_by_id
from datasources.database.audit_reading import AuditEntryRow, audit_entries_by_id
from datasources.database.events import EventRow, events_by_id
from datasources.database.invitations import InvitationRow, invitations_by_id
from datasources.database.webhook_reading import DeliveryRow, deliveries_by_id
from datasources.database.webhooks import EndpointRow, endpoints_by_id
from schema.accounts import AccountQueries, Organization, User
from schema.api_keys import ApiKey, ApiKeyMutations, OrganizationApiKeys
from schema.audit import AuditEntry, AuditQueries, AuditSubscriptions, SecurityEvent
from schema.business import (
    Business,
    BusinessCustomers,
    BusinessQueries,
    Customer,
    Location,
    OfBusiness,
    OfCustomer,
    OrganizationBusinesses,
)
from schema.campaign import BusinessCampaigns, CampaignQueries
from schema.event import Event
from schema.events import EventQueries, EventSubscriptions
from schema.identities import IdentityMutations
from schema.members import Invitation, MemberMutations, OrganizationInvitations
from schema.order import BusinessOrders, CustomerOrders, Order, OrderChanged, OrderQueries, OrderSubscriptions
from schema.people import PeopleMutations
from schema.platform import BUSINESSES, CAMPAIGNS, ORDERS, PROMPTS, USAGE, EventType, NodeType
from schema.prompt import PromptQueries
from schema.registration import RegistrationMutations
from schema.registry import PlatformQueries
from schema.roots import Mutation, Query, Subscription
from schema.session import SessionMutations
from schema.usage import UsageFields
from schema.webhooks import OrganizationWebhooks, WebhookDelivery, WebhookEndpoint, WebhookMutations


class Part(NamedTuple):
    """Fields by the type that gets them, types with ids, and events; ``needs`` has the areas that must be there."""

    needs: frozenset[str]
    fields: Mapping[type, Sequence[type]]
    nodes: Sequence[NodeType] = ()
    events: Sequence[EventType] = ()


def _part(
    *needs: str, fields: Mapping[type, Sequence[type]], nodes: Sequence[NodeType] = (), events: Sequence[EventType] = ()
) -> Part:
    return Part(frozenset(needs), fields, nodes, events)


GATEWAY: Sequence[Part] = (
    _part(
        fields={
            Query: [AccountQueries, AuditQueries, EventQueries, PlatformQueries],
            Mutation: [
                ApiKeyMutations,
                IdentityMutations,
                MemberMutations,
                PeopleMutations,
                RegistrationMutations,
                SessionMutations,
                WebhookMutations,
            ],
            Organization: [OrganizationApiKeys, OrganizationInvitations, OrganizationWebhooks],
            Subscription: [AuditSubscriptions, EventSubscriptions],
        },
        nodes=[
            NodeType("usr", User, accounts.UserRow, accounts.users_by_id),
            NodeType("org", Organization, accounts.OrganizationRow, accounts.organizations_by_id),
            NodeType("evt", Event, EventRow, events_by_id),
            NodeType("aud", AuditEntry, AuditEntryRow, audit_entries_by_id),
            NodeType("inv", Invitation, InvitationRow, invitations_by_id),
            NodeType("key", ApiKey, ApiKeyRow, api_keys_by_id),
            NodeType("whe", WebhookEndpoint, EndpointRow, endpoints_by_id),
            NodeType("whd", WebhookDelivery, DeliveryRow, deliveries_by_id),
        ],
        events=[EventType(SecurityEvent)],
    ),
    _part(
        BUSINESSES,
        fields={
            Query: [BusinessQueries],
            Business: [BusinessCustomers],
            Organization: [OrganizationBusinesses],
            Event: [OfBusiness],
        },
        nodes=[
            NodeType("loc", Location, businesses.LocationRow, businesses.locations_by_id),
            NodeType("cus", Customer, businesses.CustomerRow, businesses.CUSTOMERS.by_ids),
        ],
    ),
    _part(CAMPAIGNS, fields={Query: [CampaignQueries]}),
    _part(BUSINESSES, CAMPAIGNS, fields={Business: [BusinessCampaigns]}),
    _part(PROMPTS, fields={Query: [PromptQueries]}),
    _part(ORDERS, fields={Query: [OrderQueries], Subscription: [OrderSubscriptions]}, events=[EventType(OrderChanged)]),
    _part(
        BUSINESSES,
        ORDERS,
        fields={Business: [BusinessOrders], Customer: [CustomerOrders], Order: [OfBusiness, OfCustomer]},
    ),
    _part(USAGE, fields={Query: [UsageFields], Organization: [UsageFields]}),
)
