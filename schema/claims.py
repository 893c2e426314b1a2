"""Who claims what, while a schema is composed: for messages that name both claimants."""

from collections.abc import Iterable, Mapping
from typing import Any

from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.lazy_type import LazyType
from strawberry.types.union import StrawberryUnion


class CompositionError(Exception):
    """Two platforms claim the same thing, or one claims what nobody has; the message names them."""


def types_behind(kinds: Iterable[Any]) -> set[object]:
    """The classes that these types and the types of their fields and arguments are made from."""
    found: set[object] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, StrawberryContainer):
            waiting.append(kind.of_type)
        elif isinstance(kind, StrawberryUnion):
            waiting.extend(kind.types)
        elif isinstance(kind, LazyType):
            waiting.append(kind.resolve_type())
        elif isinstance(kind, StrawberryEnumDefinition):
            found.add(kind.wrapped_cls)
        else:
            definition = getattr(kind, "__strawberry_definition__", None)
            if isinstance(definition, StrawberryObjectDefinition) and definition.origin not in found:
                found.add(definition.origin)
                waiting.extend(field.type for field in definition.fields)
                waiting.extend(argument.type for field in definition.fields for argument in field.arguments)
    return found


def two_types(name: str, classes: Iterable[object], contributions: Mapping[str, Iterable[Any]]) -> CompositionError:
    """The error of two classes that both want to be the type ``name``, by whom each was contributed first."""
    behind = {owner: types_behind(kinds) for owner, kinds in contributions.items()}
    owners = [next((owner for owner, types in behind.items() if kind in types), "the gateway") for kind in classes]
    return CompositionError(f"the type {name} is claimed by {' and by '.join(owners)}")
