"""Which events a reader of the log wants; decided before anything is resolved."""

from collections.abc import Callable
from dataclasses import dataclass

from datasources.database.events import EventRow


def _any(_: EventRow) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Interest:
    """What an event must be: of one of the ``types``, and of the platforms, the business and the subject if named.

    ``also`` looks at the rest of it, such as its data; it must say the same whenever it is asked.
    """

    types: frozenset[str]
    platforms: frozenset[str] | None = None
    business_id: str | None = None
    subject_id: str | None = None
    also: Callable[[EventRow], bool] = _any

    def fits(self, event: EventRow) -> bool:
        """Whether the reader wants this event."""
        return (
            event.type in self.types
            and (self.platforms is None or event.platform_key in self.platforms)
            and (self.business_id is None or event.business_id == self.business_id)
            and (self.subject_id is None or event.subject_id == self.subject_id)
            and self.also(event)
        )
