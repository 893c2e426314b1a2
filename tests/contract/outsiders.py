"""Platforms made up for one claim each: what two of them may not both have."""

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import strawberry

from datasources.database.engine import Scope
from schema.directives import Public
from schema.event import Event
from schema.node import Node
from schema.platform import EnumValue, EventType, NodeType, Platform
from schema.roots import Query

_numbers = count()
OPEN = Public(reason="Made up for a test.")


class Row(NamedTuple):
    """A row."""

    id: str


async def nothing(_scope: Scope, _ids: Any) -> dict[str, Row]:
    """Finds nothing."""
    return {}


def thing(name: str, directives: Sequence[object] = (OPEN,)) -> type:
    """A type with an id."""

    class Thing(Node):
        pass

    return strawberry.type(Thing, name=name, description="A thing.", directives=directives)


def happening(name: str) -> type:
    """An event."""

    class Happening(Event):
        pass

    return strawberry.type(Happening, name=name, description="It happened.", directives=[OPEN])


def plain(name: str) -> type:
    """A type without an id."""

    class Plain:
        length: int = strawberry.field(description="How long.")

    # Strawberry takes two classes of one qualified name in one module for the same, loaded anew.
    Plain.__qualname__ += str(next(_numbers))
    return strawberry.type(Plain, name=name, description="Plain.")


def field(name: str, kind: Any = int, directives: Sequence[object] = (OPEN,)) -> type:
    """Something that adds a field of this name and type."""

    def resolve() -> Any:
        return None

    resolve.__annotations__ = {"return": kind | None}

    class Added:
        pass

    setattr(Added, name, strawberry.field(resolver=resolve, description="Added.", directives=directives))
    return strawberry.type(Added, name=f"Adds{name}", description="Adds a field.")


def with_field(key: str, name: str, target: type = Query, kind: Any = int) -> Platform:
    """A platform that adds one field."""
    return Platform(key=key, name=key.title(), fields={target: [field(name, kind)]})


def with_node(key: str, prefix: str, name: str) -> Platform:
    """A platform that brings one type with an id."""
    return Platform(key=key, name=key.title(), nodes=[NodeType(prefix, thing(name), Row, nothing)])


def with_event(key: str, name: str) -> Platform:
    """A platform that writes one kind of event."""
    return Platform(key=key, name=key.title(), events=[EventType(happening(name))])


def with_value(key: str, enum: str, name: str) -> Platform:
    """A platform that adds one value to an open enum."""
    return Platform(key=key, name=key.title(), enum_values={enum: [EnumValue(name, "A value.")]})
