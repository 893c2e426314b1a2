"""What the transports need to know about who is asking."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from auth.caller import Caller
from auth.principal import Principal


class Authentication(Protocol):
    """Says who is asking, and keeps saying it while a socket or a stream is open."""

    async def authenticate(self, caller: Caller) -> Principal:
        """Who sent a request; raises auth.errors.AccessError when what it carries does not hold."""
        ...

    async def renew(self, principal: Principal) -> Principal | None:
        """The same caller with the rights of this moment; ``None`` when there are none any more."""
        ...

    def watch(self, principal: Principal, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls ``changed`` when ``renew`` may say something else; returns how to stop that."""
        ...


Admit: TypeAlias = Callable[[Principal, Caller], float | None]
"""Whether an operation may begin now: ``None``, or after how many seconds it may be tried again."""


def seconds_left(principal: Principal) -> float:
    """For how long what proved a principal holds; infinite where it has no end."""
    if principal.expires_at is None:
        return float("inf")
    return (principal.expires_at - datetime.now(UTC)).total_seconds()
