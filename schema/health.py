"""How a platform is doing: the answer of its check, remembered for a moment."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

logger = logging.getLogger(__name__)
FRESH_SECONDS, LIMIT_SECONDS, REMEMBERED = 5.0, 3.0, 200


class HealthStatus(Enum):
    """How a platform is doing."""

    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"
    NOT_CONFIGURED = "NOT_CONFIGURED"


class Health(NamedTuple):
    """The answer of a health check; ``error`` is for operators and never shown to others."""

    status: HealthStatus
    error: str | None = None


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
