"""What a platform is: plain data. This file is the whole contract, for the six built in and for one from outside.

A platform supplies areas of the shared schema (a ``Source`` of orders, say), brings types of its own with their
queries, mutations and subscriptions, adds fields to shared types, and names its tables, events, settings, HTTP routes,
background work and health check. An outside package offers its ``Platform`` under the entry-point group
``tributary.platforms``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NewType, TypeVar

from pydantic_settings import BaseSettings
from starlette.routing import BaseRoute

from auth.accounts import Accounts
from auth.denials import Denials
from auth.links import Links
from datasources.database.access import GATEWAY
from datasources.database.engine import Database
from datasources.database.migrate import Branch
from datasources.files import FileStore
from datasources.paging import Load, Source
from schema.health import Health, HealthStatus, HealthWatch
from schema.webhook_endpoints import WebhookEndpoints
from subscriptions.log import EventLog

ENTRY_POINTS = "tributary.platforms"


class EnumValue(NamedTuple):
    """A value that a platform adds to an open enum."""

    name: str
    description: str


BUSINESSES, CAMPAIGNS, PROMPTS, ORDERS, USAGE = "BUSINESSES", "CAMPAIGNS", "PROMPTS", "ORDERS", "USAGE"
"""The areas whose shared types and lists the gateway itself declares."""

SUPPLIES_BUSINESSES = EnumValue(BUSINESSES, "Businesses with their locations and customers.")
SUPPLIES_CAMPAIGNS = EnumValue(CAMPAIGNS, "Advertising campaigns and their figures.")
SUPPLIES_PROMPTS = EnumValue(PROMPTS, "Prompts of the marketplace.")
SUPPLIES_ORDERS = EnumValue(ORDERS, "Orders, whatever was sold.")
SUPPLIES_USAGE = EnumValue(USAGE, "What is counted and may be limited.")

PlatformArea = NewType("PlatformArea", str)
UsageMetric = NewType("UsageMetric", str)
IntegrationProvider = NewType("IntegrationProvider", str)

S = TypeVar("S", bound=BaseSettings)


@dataclass(frozen=True)
class OpenEnum:
    """An enum of the schema whose values come from the platforms that are on, beside the gateway's ``own``."""

    name: str
    description: str
    type: Any
    own: Sequence[EnumValue] = ()


AREA = OpenEnum("PlatformArea", "A part of the shared schema that platforms supply.", PlatformArea)
USAGE_METRIC = OpenEnum(
    "UsageMetric",
    "What is counted and may be limited.",
    UsageMetric,
    (
        EnumValue("API_OPERATIONS", "Operations of this API."),
        EnumValue("API_COST", "The cost of operations of this API, in points."),
    ),
)
INTEGRATION_PROVIDER = OpenEnum(
    "IntegrationProvider", "Where a business can have an account that feeds its figures.", IntegrationProvider
)
OPEN_ENUMS = (AREA, USAGE_METRIC, INTEGRATION_PROVIDER)


@dataclass(frozen=True)
class Services:
    """What the running gateway lends to platforms: built once at start, the same for every request."""

    database: Database
    files: FileStore
    events: EventLog
    accounts: Accounts
    denials: Denials
    links: Links
    webhooks: WebhookEndpoints
    settings: Mapping[str, BaseSettings]
    health: Mapping[str, HealthWatch]

    def settings_of(self, platform: str, kind: type[S]) -> S:
        """The settings of a platform as it declared them."""
        found = self.settings[platform]
        if not isinstance(found, kind):
            message = f"the settings of {platform} are {type(found).__name__}, not {kind.__name__}"
            raise TypeError(message)
        return found


class NodeType(NamedTuple):
    """A type that ``node(id:)`` finds: the prefix of its ids, its rows, and how they are read by id."""

    prefix: str
    kind: type
    row: type
    load: Load


@dataclass(frozen=True)
class EventType:
    """An event that a platform writes to the log: a type that implements ``Event``, named as in the log."""

    kind: type


Work = Callable[[Services], AbstractAsyncContextManager[None]]
"""Background work: entered when the gateway starts and left when it stops."""


async def database_answers(services: Services) -> Health:
    """The health of a platform whose data is all in the gateway's database."""
    await services.database.ping()
    return Health(HealthStatus.UP)


@dataclass(frozen=True)
class Platform:
    """One platform.

    ``sources`` maps an area to where its rows come from; ``areas`` has every area it takes part in. ``fields`` maps a
    type (shared, or ``Query``, ``Mutation``, ``Subscription``) to classes whose fields it adds. ``nodes`` are its
    types with ids; ``enum_values`` its values of open enums, by the enum's name. ``branch`` has its tables and
    migrations. ``settings`` is read from the environment at start. ``routes`` are HTTP routes such as webhooks.
    ``health`` must answer within seconds.
    """

    key: str
    name: str
    areas: Sequence[EnumValue] = ()
    sources: Mapping[str, Source[Any]] = field(default_factory=dict)
    nodes: Sequence[NodeType] = ()
    fields: Mapping[type, Sequence[type]] = field(default_factory=dict)
    enum_values: Mapping[str, Sequence[EnumValue]] = field(default_factory=dict)
    spent_by_customer: Load | None = None
    events: Sequence[EventType] = ()
    branch: Branch | None = None
    settings: type[BaseSettings] | None = None
    routes: Callable[[Services], Sequence[BaseRoute]] | None = None
    work: Work | None = None
    health: Callable[[Services], Awaitable[Health]] | None = None


ITSELF = Platform(GATEWAY, "Tributary")
"""What stands for the gateway where an event says on which platform it happened; it is not among the platforms."""
