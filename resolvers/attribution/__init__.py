"""Ads attribution for appointment businesses: businesses, campaigns with their figures, appointments."""

from datasources.database import attribution as data
from datasources.database.businesses import BUSINESSES as BUSINESS_LISTING
from datasources.database.businesses import BusinessRow
from datasources.database.migrate import built_in_branch
from resolvers.attribution.appointments import Appointment
from resolvers.attribution.performance import CampaignFigures
from schema.business import Business
from schema.campaign import Campaign
from schema.platform import (
    BUSINESSES,
    CAMPAIGNS,
    ORDERS,
    SUPPLIES_BUSINESSES,
    SUPPLIES_CAMPAIGNS,
    SUPPLIES_ORDERS,
    SUPPLIES_USAGE,
    EnumValue,
    NodeType,
    Platform,
    database_answers,
)

PLATFORM = Platform(
    key="attribution",
    name="Ads attribution",
    areas=(SUPPLIES_BUSINESSES, SUPPLIES_CAMPAIGNS, SUPPLIES_ORDERS, SUPPLIES_USAGE),
    sources={BUSINESSES: BUSINESS_LISTING, CAMPAIGNS: data.CAMPAIGNS, ORDERS: data.APPOINTMENTS},
    nodes=(
        NodeType("bus", Business, BusinessRow, BUSINESS_LISTING.by_ids),
        NodeType("cmp", Campaign, data.CampaignRow, data.CAMPAIGNS.by_ids),
        NodeType("apt", Appointment, data.AppointmentRow, data.APPOINTMENTS.by_ids),
    ),
    fields={Campaign: [CampaignFigures]},
    enum_values={
        "UsageMetric": (EnumValue("SYNC_RUNS", "Runs that fetched figures from providers."),),
        "IntegrationProvider": (
            EnumValue("META_ADS", "Meta Ads."),
            EnumValue("GOOGLE_ADS", "Google Ads."),
            EnumValue("SQUARE", "Square."),
            EnumValue("STRIPE", "Stripe."),
        ),
    },
    spent_by_customer=data.appointments_spent,
    branch=built_in_branch("attribution"),
    health=database_answers,
)
