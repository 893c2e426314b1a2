"""``platforms``: what is plugged in, and how each is doing."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from schema.context import Info, as_graphql
from schema.directives import Cost, Public, scopes
from schema.health import HealthWatch
from schema.platform import PlatformArea


@strawberry.enum(name="HealthStatus", description="How a platform is doing.")
class HealthStatusType(Enum):
    """``HealthStatus``."""

    UP = strawberry.enum_value("UP", description="It works.")
    DEGRADED = strawberry.enum_value("DEGRADED", description="It works in part, or slowly.")
    DOWN = strawberry.enum_value("DOWN", description="It does not work.")
    NOT_CONFIGURED = strawberry.enum_value("NOT_CONFIGURED", description="It is on, and lacks a setting that it needs.")


@strawberry.type(description="How a platform is doing, at most five seconds old.")
class PlatformHealth:
    """``PlatformHealth``."""

    @strawberry.field(description="In one word.")
    @staticmethod
    def status(root: strawberry.Parent[HealthWatch]) -> HealthStatusType:
        """The status by its name."""
        return HealthStatusType[root.status.name]

    latency_p95_ms: int | None = strawberry.field(
        description="How long its checks take, 95th percentile of the last 200."
    )
    last_error: str | None = strawberry.field(
        description="What went wrong last.", directives=[scopes("platforms:admin")]
    )
    last_error_at: datetime | None = strawberry.field(description="When something went wrong last.")


@strawberry.type(name="Platform", description="A system that is plugged in.")
class PlatformType:
    """``Platform``; its value is the ``schema.platform.Platform`` itself."""

    key: str = strawberry.field(description="As filters and events name it.")
    name: str = strawberry.field(description="As people call it.")

    @strawberry.field(description="What it supplies.")
    @staticmethod
    def areas(root: strawberry.Parent[Any]) -> list[PlatformArea]:
        """The names of its areas."""
        return [PlatformArea(area.name) for area in root.areas]

    @strawberry.field(description="How it is doing.", directives=[Cost(weight=2)])
    @staticmethod
    async def health(root: strawberry.Parent[Any], info: Info) -> PlatformHealth:
        """Asks it, unless somebody just did."""
        watch = info.context.services.health.get(root.key) or HealthWatch(None)  # the gateway itself answers just now
        return as_graphql(await watch.refresh())


@strawberry.type(description="Roots about what is plugged in.")
class PlatformQueries:
    """Fields of ``Query``."""

    @strawberry.field(
        description="The platforms that are plugged in, what each supplies, and how each is doing.",
        directives=[Public(reason="Frontends show what works before anybody signs in.")],
    )
    def platforms(self, info: Info) -> list[PlatformType]:
        """``platforms``."""
        return as_graphql(info.context.composition.platforms)
