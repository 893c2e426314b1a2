"""The words in which pages are asked for and answered, whatever the source: a table, or a service behind HTTP."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from datasources.database.engine import Scope

R_co = TypeVar("R_co", covariant=True)

LIST_LIMIT = 250
"""The most rows of one page, and of a list that is not paged."""

SortValue = datetime | str | int | float | None


class ForeignPosition(ValueError):
    """A place that no row of the list can have: its value is of another kind than what the list is ordered by."""


class Position(NamedTuple):
    """A place in an ordered list: right at the row with this sort value and id."""

    value: SortValue
    id: str


class Window(NamedTuple):
    """The part of an ordered list that is asked for: at most ``limit`` rows from the start, or from the end."""

    limit: int
    from_end: bool = False
    after: Position | None = None
    before: Position | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[R_co]):
    """Rows in the order of the list, the position of each, and whether there are rows around them."""

    rows: Sequence[R_co]
    positions: Sequence[Position]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows, in which order.

    ``filters`` maps the name of a filter to the value of its parameter; ``parameters`` are those of the ordering.
    ``platforms`` names those that are asked in a list merged over several; ``None`` is all.
    Nulls come last in both directions; the id breaks ties in the direction of the order.
    """

    ordering: str
    descending: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    platforms: frozenset[str] | None = None


Load = Callable[["Scope", Sequence[Any]], Awaitable[Mapping[Any, Any]]]
"""``async (scope, keys) -> Mapping[key, row]``; a key without a row is left out."""


class Source(Protocol[R_co]):
    """Where the rows of a list come from. Each call is one statement, or one request upstream.

    ``scope`` is the tenant's view of the database; a source of another kind takes the organization from it. ``by``
    names what the rows belong to, such as ``business_id``.
    """

    async def by_ids(self, scope: "Scope", ids: Sequence[str]) -> Mapping[str, R_co]:
        """The rows with these ids that the tenant may see, by id."""

    async def page(self, scope: "Scope", selection: Selection, window: Window) -> Page[R_co]:
        """One page of the whole list; raises ``ForeignPosition`` for a window with a bound that is none of it."""

    async def pages(
        self, scope: "Scope", by: str, keys: Sequence[str], selection: Selection, window: Window
    ) -> Mapping[str, Page[R_co]]:
        """The page of each parent, by the parent's key; raises as ``page`` does."""

    async def count(self, scope: "Scope", selection: Selection) -> int:
        """How many rows the whole list has."""

    async def counts(self, scope: "Scope", by: str, keys: Sequence[str], selection: Selection) -> Mapping[str, int]:
        """How many rows each parent has."""
