"""``platforms``: what is plugged in, and how each is doing."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import strawberry

from schema.context import Info, as_graphql
from schema.directives import Cost, scopes
from schema.platform import Health, HealthStatus, PlatformArea

logger = logging.getLogger(__name__)
FRESH_SECONDS, LIMIT_SECONDS, REMEMBERED = 5.0, 3.0, 200


class HealthWatch:
    """Asks one platform how it is doing, at most once in five seconds however many ask, and remembers.

    A check that raises or takes longer than three seconds means ``DOWN``.
    """

    def __init__(self, check: Callable[[], Awaitable[Health]] | None) -> None:
        self._check = check
        self._lock = asyncio.Lock()
        self._checked_at = -FRESH_SECONDS
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self.status = HealthStatus.UP
        self.last_error: str | None = None
        self.last_error_at: datetime | None = None

    @property
    def latency_p95_ms(self) -> int | None:
        """The 95th percentile of the last checks in milliseconds; ``None`` before the first."""
        ordered = sorted(self._latencies)
        return round(ordered[max(0, -(-len(ordered) * 95 // 100) - 1)] * 1000) if ordered else None

    async def refresh(self) -> "HealthWatch":
        """The state now, at most five seconds old."""
        async with self._lock:
            if self._check is not None and time.monotonic() - self._checked_at >= FRESH_SECONDS:
                await self._ask(self._check)
        return self

    async def _ask(self, check: Callable[[], Awaitable[Health]]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                health = await check()
        except TimeoutError:
            health = Health(HealthStatus.DOWN, f"no answer within {LIMIT_SECONDS:g} s")
        except Exception as error:
            logger.exception("a health check failed")
            health = Health(HealthStatus.DOWN, type(error).__name__)
        self._checked_at = time.monotonic()
        self._latencies.append(self._checked_at - began)
        self.status = health.status
        if health.error is not None:
            self.last_error, self.last_error_at = health.error, datetime.now(UTC)


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
        return as_graphql(await info.context.services.health[root.key].refresh())


@strawberry.type(description="Roots about what is plugged in.")
class PlatformQueries:
    """Fields of ``Query``."""

    @strawberry.field(description="The platforms that are plugged in, what each supplies, and how each is doing.")
    def platforms(self, info: Info) -> list[PlatformType]:
        """``platforms``."""
        return as_graphql(info.context.composition.platforms)
