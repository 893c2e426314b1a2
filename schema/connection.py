"""Relay connections, declared like relations: forwards and backwards, nested ones a statement for all parents.

https://relay.dev/graphql/connections.htm
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as partial_call
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from datasources.database.scope import ORGANIZATION
from datasources.paging import Selection, Source
from schema import cursors
from schema.batching import BatchLoader
from schema.context import Context, Info
from schema.directives import ListSize
from schema.errors import BadRequest
from schema.merging import Asked, MergedPage, Unavailable, merged_count, merged_counts, merged_page, merged_pages

T = TypeVar("T")
DEFAULT_LIMIT = 25
ROWS = frozenset({"edges", "nodes", "pageInfo", "unavailable"})
"""The fields of a connection that need its rows."""


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's ``PageInfo``."""

    has_next_page: bool = strawberry.field(description="Whether there are more rows after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are rows before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first row; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last row; null on an empty page.")


@strawberry.type(description="A row of a list with its place.")
class Edge(Generic[T]):
    """Relay's edge."""

    node: T = strawberry.field(description="The row.")
    cursor: str = strawberry.field(description="Its place: pass it as `after` or `before`.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """Relay's connection, with ``nodes`` for those who need no cursors."""

    edges: list[Edge[T]] = strawberry.field(description="The rows of the page with their cursors.")
    nodes: list[T] = strawberry.field(description="The rows of the page.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the list.")
    total_count: int = strawberry.field(
        description="How many rows the whole list has; counted only when it is selected."
    )


@dataclass(frozen=True, slots=True)
class EdgeView:
    """An edge of a page; its cursor is written only when it is asked for."""

    node: Any
    place: cursors.Place
    order: str

    @property
    def cursor(self) -> str:
        """The cursor of the row."""
        return cursors.encode(self.order, self.place)


@dataclass(slots=True)
class PageView:
    """What a connection field resolves to: the page, and how to count the whole list when that is selected."""

    page: MergedPage
    order: str
    fallback: str | None
    count: Callable[[], Awaitable[int | None]]

    @property
    def total_count(self) -> Awaitable[int | None]:
        """How many rows the whole list has."""
        return self.count()

    @property
    def nodes(self) -> Sequence[Any]:
        """The rows."""
        return self.page.rows

    @property
    def edges(self) -> list[EdgeView]:
        """The rows with their cursors."""
        return [EdgeView(row, place, self.order) for row, place in zip(self.page.rows, self.page.places, strict=True)]

    @property
    def page_info(self) -> "PageView":
        """The page knows where it lies."""
        return self

    @property
    def unavailable(self) -> Sequence[Unavailable]:
        """Platforms whose rows are missing."""
        return self.page.unavailable

    @property
    def has_next_page(self) -> bool:
        """Whether there are rows after this page."""
        return self.page.has_next

    @property
    def has_previous_page(self) -> bool:
        """Whether there are rows before this page."""
        return self.page.has_previous

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first row."""
        return cursors.encode(self.order, self.page.places[0]) if self.page.places else self.fallback

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row."""
        return cursors.encode(self.order, self.page.places[-1]) if self.page.places else self.fallback


@dataclass(frozen=True)
class Declared:
    """A declared connection: whose rows, by which attribute of the parent, and whether a platform may be missing."""

    source: str | Source[Any]
    by: str | None
    key: str | None
    partial: bool


Select = Callable[..., Selection]
"""``(context, filter, order_by, **extra) -> Selection``: what the arguments of a list mean.

Raises ``BadRequest`` for what cannot be.
"""


def _argument(name: str, annotation: Any, description: str) -> inspect.Parameter:
    annotated = Annotated[annotation, strawberry.argument(description=description)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotated)


PAGING = (
    _argument("first", int | None, "At most so many rows from the start, or after `after`; 25 when neither is given."),
    _argument("after", str | None, "Rows after the one with this cursor."),
    _argument("last", int | None, "At most so many rows from the end, or before `before`."),
    _argument("before", str | None, "Rows before the one with this cursor."),
)
"""The arguments of every connection."""

SIZED = ListSize(
    assumed_size=DEFAULT_LIMIT,
    slicing_arguments=["first", "last"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)
"""How many rows of a connection are reckoned with before it is read."""


def connection(  # noqa: PLR0913 -- a declaration, whose parts are named
    source: str | Source[Any],
    select: Select,
    *,
    description: str,
    by: str | None = None,
    key: str | None = None,
    filtered: Any = None,
    ordered: Any = None,
    extra: Mapping[str, tuple[Any, str]] | None = None,
    partial: bool = False,
    directives: Sequence[object] = (),
) -> Any:
    """Declares a connection over a source: an area of the composition by name, or a source of its own.

    With ``by`` and ``key`` it holds the rows whose ``by`` is the parent's attribute ``key``, and the pages of all
    parents come from one call. ``filtered`` and ``ordered`` are the input types of ``filter`` and ``orderBy``;
    ``extra`` adds arguments (type and description), which ``select`` gets by name; ``partial`` names a failing
    platform in ``unavailable`` instead of failing the field.
    """
    declared = Declared(source, by, key, partial)
    parameters = [inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)]
    parameters.append(inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info))
    if filtered is not None:
        parameters.append(_argument("filter", filtered | None, "Only rows that match all of this."))
    for name, (annotation, text) in (extra or {}).items():
        parameters.append(_argument(name, annotation, text))
    if ordered is not None:
        parameters.append(_argument("order_by", ordered | None, "The order of the list; see its fields."))
    parameters.extend(PAGING)

    def resolve(root: Any, info: Info, **arguments: Any) -> Any:
        context = info.context
        if by is None or key is None:
            return _whole(declared, _asked(select, arguments, context), context, info)
        if by == ORGANIZATION and getattr(root, key) != context.organization_id:
            return None  # another organization of the viewer: an empty list would say that nothing is there
        # A field of the document has the same arguments for every parent, so its pages come from one loader. All of
        # its nodes count: a fragment may stand in two places of which only one selects the rows.
        nodes = tuple(map(id, info._raw_info.field_nodes))  # noqa: SLF001
        loader = context.keyed_loader(
            (declared, nodes), lambda: _nested(declared, _asked(select, arguments, context), context, info)
        )
        return loader.load(getattr(root, key))

    resolve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return strawberry.field(
        resolver=resolve, metadata={"connection": declared}, description=description, directives=[SIZED, *directives]
    )


class _Request(NamedTuple):
    """The arguments of a connection, checked."""

    asked: Asked
    order: str
    fallback: str | None


def page_size(first: int | None, last: int | None, most: int) -> int:
    """How many rows a page has at most; raises ``BadRequest`` for what cannot be."""
    if first is not None and last is not None:
        message = "Give `first` or `last`, not both: a page begins at one end."
        raise BadRequest(message)
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 0 <= value <= most:
            message = f"`{name}` must be from 0 to {most}, not {value}."
            raise BadRequest(message)
    return last if last is not None else first if first is not None else min(DEFAULT_LIMIT, most)


def _asked(select: Select, arguments: Mapping[str, Any], context: Context) -> _Request:
    last = arguments.get("last")
    limit = page_size(arguments.get("first"), last, context.page_limit)
    extra = {name: value for name, value in arguments.items() if name not in _COMMON}
    selection = select(context, arguments.get("filter"), arguments.get("order_by"), **extra)
    order = f"{selection.ordering}{'-' if selection.descending else '+'}"
    after, before = arguments.get("after"), arguments.get("before")
    asked = Asked(
        selection=selection,
        limit=limit,
        from_end=last is not None,
        after=None if after is None else cursors.decode(after, order, "after"),
        before=None if before is None else cursors.decode(before, order, "before"),
    )
    return _Request(asked, order, before if last is not None else after)


_COMMON = frozenset({"first", "after", "last", "before", "order_by", "filter"})
_NOTHING = MergedPage(rows=(), places=(), has_next=False, has_previous=False)


async def _whole(declared: Declared, request: _Request, context: Context, info: Info) -> PageView:
    """The page of a list that belongs to no parent."""
    sources, (asked, order, fallback) = _sources(declared, request.asked, context), request
    page = _NOTHING
    if selected(info) & ROWS:
        page = await merged_page(context.scope, sources, asked, partial=declared.partial)
    return PageView(
        page, order, fallback, lambda: merged_count(context.scope, sources, asked.selection, partial=declared.partial)
    )


def _nested(declared: Declared, request: _Request, context: Context, info: Info) -> Callable[[list[str]], Any]:
    """The batch function for the pages of many parents; their counts are batched the same way."""
    sources, (asked, order, fallback) = _sources(declared, request.asked, context), request
    by, scope, partial = declared.by or "", context.scope, declared.partial
    wants_rows = bool(selected(info) & ROWS)

    async def count(keys: list[str]) -> list[int | None]:
        return await merged_counts(scope, sources, by, keys, asked.selection, partial=partial)

    counts: BatchLoader[str, int | None] = BatchLoader(count)

    async def pages(keys: list[str]) -> list[PageView]:
        found: Sequence[MergedPage] = [_NOTHING] * len(keys)
        if wants_rows:
            found = await merged_pages(scope, sources, by, keys, asked, partial=partial)
        return [
            PageView(page, order, fallback, partial_call(counts.load, key))
            for key, page in zip(keys, found, strict=True)
        ]

    return pages


def _sources(declared: Declared, asked: Asked, context: Context) -> Mapping[str, Source[Any]]:
    if not isinstance(declared.source, str):
        return {"": declared.source}
    sources = context.composition.sources[declared.source]
    only = asked.selection.platforms
    return sources if only is None else {key: source for key, source in sources.items() if key in only}


def selected(info: Info) -> frozenset[str]:
    """The names of the fields that are selected on this connection, also through fragments."""
    raw = info._raw_info  # noqa: SLF001 -- the document, which Strawberry offers only after converting all of it
    names: set[str] = set()
    waiting: list[SelectionSetNode | None] = [node.selection_set for node in raw.field_nodes]
    while waiting:
        selections = waiting.pop()
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                waiting.append(raw.fragments[node.name.value].selection_set)
    return frozenset(names)
