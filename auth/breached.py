"""Whether a password is known from a breach; who cannot be asked is not waited for."""

import logging
from typing import Protocol

from datasources.breached_passwords import BreachCheckFailed

logger = logging.getLogger(__name__)


class BreachSource(Protocol):
    """Knows passwords that were found in breaches."""

    async def count(self, password: str) -> int:
        """How often a password was found; raises ``BreachCheckFailed``."""
        ...

    async def close(self) -> None:
        """Ends what connections there are."""
        ...


class Breaches:
    """Asks a source. A source that fails lets the password pass: registering must not depend on somebody else."""

    def __init__(self, source: BreachSource) -> None:
        self._source = source

    async def contain(self, password: str) -> bool:
        """Whether the password was found in a breach, as far as that could be learned."""
        try:
            return await self._source.count(password) > 0
        except BreachCheckFailed as error:
            logger.warning("a new password was not compared with known breaches: %s", error)
            return False

    async def close(self) -> None:
        """Ends what connections there are."""
        await self._source.close()
