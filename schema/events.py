"""The ``events`` query: the log in pages, for who was away; and what ``filter`` of events means to every reader."""

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema

from datasources.database.event_pages import Chosen, EventPage, EventWindow, count_events, event_page
from datasources.database.event_retention import horizon_of
from datasources.database.events import BEGINNING, EventPosition, EventRow
from schema.connection import PAGING, ROWS, SIZED, Connection, page_size, selected
from schema.context import Context, Info
from schema.directives import scopes
from schema.errors import BadRequest, CursorOfAnotherLog, CursorTooOld
from schema.event import Event
from schema.scopes import Requirement
from schema.streams import event_stream
from schema.webhook_bodies import event_types, needed_for
from subscriptions.interest import Interest

READ_EVENTS = scopes("events:read")


@strawberry.input(description="Which events.")
class EventFilter:
    """``EventFilter``."""

    types: list[str] | None = strawberry.field(
        default=None, description="Of any of these types, by name, such as `OrderChanged`. Absent: all you may read."
    )
    platforms: list[str] | None = strawberry.field(default=None, description="Of any of these platforms, by key.")
    business_id: strawberry.ID | None = strawberry.field(default=None, description="Of this business.")


@lru_cache(maxsize=16)
def _requirements(schema: GraphQLSchema) -> Mapping[str, Requirement]:
    return {name: Requirement(needed_for(kind)) for name, kind in event_types(schema).items()}


def selected_types(context: Context, chosen: EventFilter | None) -> frozenset[str]:
    """The types that ``filter`` means: those it names, or all that the caller may read.

    Raises ``BadRequest`` for a type that does not exist, ``SignInRequired`` and ``AccessDenied`` for one that the
    caller names and may not read: to leave it out would look as if nothing had happened.
    """
    known = _requirements(context.composition.graphql)
    if chosen is None or chosen.types is None:
        return frozenset(
            name
            for name, requirement in known.items()
            if all(context.rights.has(groups) for groups in requirement.scopes)
        )
    for name in chosen.types:
        if name not in known:
            raise BadRequest(f"No event is called {name[:100]!r}. There are: {', '.join(sorted(known))}.")
        known[name].check(context.rights)
    return frozenset(chosen.types)


def selected_platforms(context: Context, chosen: EventFilter | None) -> frozenset[str]:
    """The keys of the platforms that ``filter`` means, of those that are on; raises ``BadRequest`` for any other."""
    known = context.composition.keys
    if chosen is None or chosen.platforms is None:
        return known
    for key in chosen.platforms:
        if key not in known:
            raise BadRequest(f"No platform is called {key[:100]!r}. There are: {', '.join(sorted(known))}.")
    return frozenset(chosen.platforms)


Filtered = Annotated[
    EventFilter | None, strawberry.argument(name="filter", description="Only events that match all of this.")
]


def select_events(context: Context, chosen: Filtered = None) -> Interest:
    """Which events ``filter`` means to a follower; raises what ``selected_types`` and ``selected_platforms`` raise."""
    business_id = None if chosen is None else chosen.business_id
    return Interest(selected_types(context, chosen), selected_platforms(context, chosen), business_id=business_id)


@dataclass(frozen=True, slots=True)
class EventEdgeView:
    """An event with its place; the cursor is written only when it is asked for."""

    node: EventRow
    view: "EventPageView"

    @property
    def cursor(self) -> str:
        """The cursor of the event."""
        return self.view.cursor_of(self.node.place)


@dataclass(frozen=True, slots=True)
class EventPageView:
    """What ``events`` resolves to. ``start`` is where an empty page lies: who goes on from there misses nothing."""

    context: Context
    organization_id: str
    chosen: Chosen
    window: EventWindow
    page: EventPage
    start: EventPosition

    @property
    def nodes(self) -> Sequence[EventRow]:
        """The events."""
        return self.page.events

    @property
    def edges(self) -> list[EventEdgeView]:
        """The events with their cursors."""
        return [EventEdgeView(event, self) for event in self.page.events]

    @property
    def page_info(self) -> "EventPageView":
        """The page knows where it lies."""
        return self

    @property
    def total_count(self) -> Awaitable[int]:
        """How many events the whole log has of these."""
        return count_events(self.context.scope, self.chosen)

    @property
    def has_next_page(self) -> bool | Awaitable[bool]:
        """Whether there are events after this page."""
        if not self.window.from_end:
            return self.page.more
        beyond = self.window.before
        return beyond is not None and self._any(EventWindow(0, after=_right_before(beyond)))

    @property
    def has_previous_page(self) -> bool | Awaitable[bool]:
        """Whether there are events before this page."""
        if self.window.from_end:
            return self.page.more
        beyond = self.window.after
        return beyond is not None and self._any(EventWindow(0, from_end=True, before=_right_after(beyond)))

    @property
    def start_cursor(self) -> str:
        """The cursor of the first event."""
        return self.cursor_of(self.page.events[0].place if self.page.events else self.start)

    @property
    def end_cursor(self) -> str:
        """The cursor of the last event."""
        return self.cursor_of(self.page.events[-1].place if self.page.events else self.start)

    def cursor_of(self, place: EventPosition) -> str:
        """The cursor of a place of the log."""
        return self.context.services.events.cursors.encode(self.organization_id, place)

    async def _any(self, window: EventWindow) -> bool:
        return (await event_page(self.context.scope, self.chosen, window)).more


def _right_after(place: EventPosition) -> EventPosition:
    return EventPosition(place.tx, place.position + 1)


def _right_before(place: EventPosition) -> EventPosition:
    return EventPosition(place.tx, place.position - 1)


def _place(context: Context, cursor: str | None, argument: str) -> EventPosition | None:
    if cursor is None:
        return None
    place = context.services.events.cursors.decode(context.organization_id, cursor)
    if place is None:
        raise BadRequest(f"`{argument}` is not the cursor of an event of yours. Send it exactly as you received it.")
    if place.era < context.services.events.position.era:
        raise CursorOfAnotherLog
    return place


async def _events(info: Info, **arguments: Any) -> EventPageView:
    context = info.context
    first, last = arguments.get("first"), arguments.get("last")
    organization_id = context.organization_id
    interest = select_events(context, arguments.get("filter"))
    chosen = Chosen(interest.types, interest.platforms or (), interest.business_id)
    window = EventWindow(
        page_size(first, last, context.page_limit),
        from_end=last is not None,
        after=_place(context, arguments.get("after"), "after"),
        before=_place(context, arguments.get("before"), "before"),
    )
    page, start = EventPage([], more=False), BEGINNING
    if selected(info) & ROWS:
        page = await event_page(context.scope, chosen, window)
        start = await _start(context, window)
    return EventPageView(context, organization_id, chosen, window, page, start)


async def _start(context: Context, window: EventWindow) -> EventPosition:
    """Where an empty page lies; raises ``CursorTooOld`` when some of what a bound asks for is not kept any more.

    It is looked at after the page was read, so that what is removed meanwhile does not go unnoticed.
    """
    horizon = await horizon_of(context.scope)
    bounds = (window.after, window.before)
    if horizon is not None and any(bound is not None and bound < horizon for bound in bounds):
        raise CursorTooOld(context.services.events.cursors.encode(context.organization_id, horizon))
    given = window.before if window.from_end else window.after
    return given or horizon or BEGINNING


_events.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info),
        inspect.Parameter("filter", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Filtered),
        *PAGING,
    ]
)


@strawberry.type(description="Roots about events.")
class EventQueries:
    """Fields of ``Query``."""

    events: Connection[Event] | None = strawberry.field(
        resolver=_events,
        description="Events of every platform, the oldest first, for catching up after a break. Cursors are those of "
        "the events: they resume subscriptions.",
        directives=[SIZED, READ_EVENTS],
    )


@strawberry.type(description="Streams about events.")
class EventSubscriptions:
    """Fields of ``Subscription``."""

    events = event_stream(
        Event,
        select_events,
        description="Everything that happens in the organization, narrowed by the filter; resumable with `after`.",
        directives=[READ_EVENTS],
    )
