"""Operations for ways through the schema: their text, their variables, and where in the answer a way ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_required_argument,
    is_required_input_field,
)

from tests.schema.ways import Probe, Step, Way, Ways


class NoSample(Exception):
    """A required argument has no sample value; add one in ``tests/schema/samples.py``."""


@dataclass(frozen=True)
class Samples:
    """Values for required arguments: by coordinate (``Query.echo(text:)``, ``LoginInput.email``), then by type."""

    by_coordinate: Mapping[str, object]
    by_type: Mapping[str, object]

    def value(self, coordinate: str, kind: GraphQLInputType) -> object:
        """The value for an argument or an input field; raises ``NoSample``."""
        if coordinate in self.by_coordinate:
            return self.by_coordinate[coordinate]
        named, bare = get_named_type(kind), get_nullable_type(kind)
        if isinstance(bare, GraphQLList):
            return [self.value(coordinate, bare.of_type)]
        if named.name in self.by_type:
            return self.by_type[named.name]
        if isinstance(named, GraphQLInputObjectType):
            return {
                name: self.value(f"{named.name}.{name}", each.type)
                for name, each in named.fields.items()
                if is_required_input_field(each)
            }
        message = f"{coordinate} of type {kind}"
        raise NoSample(message)


@dataclass
class Operation:
    """An operation as it is written, with its variables.

    ``first`` is how many rows of a connection are asked for; ``given`` are arguments beside the required ones, or in
    their place, by step.
    """

    ways: Ways
    samples: Samples
    first: int = 20
    given: Mapping[Step, Mapping[str, object]] = field(default_factory=dict)
    variables: dict[str, object] = field(default_factory=dict)
    _declared: list[str] = field(default_factory=list)

    def called(self, step: Step) -> str:
        """A field with its arguments."""
        found, given = self.ways.field(step), self.given.get(step, {})
        arguments = []
        for name, argument in found.args.items():
            if name in given:
                value = given[name]
            elif name == "first" and "after" in found.args and "last" not in given:
                value = self.first
            elif is_required_argument(argument):
                value = self.samples.value(f"{step.on}.{step.field}({name}:)", argument.type)
            else:
                continue
            variable = f"v{len(self.variables)}"
            self.variables[variable] = value
            self._declared.append(f"${variable}: {argument.type}")
            arguments.append(f"{name}: ${variable}")
        return f"{step.field}({', '.join(arguments)})" if arguments else step.field

    def selection(self, on: str, depth: int) -> str:
        """All leaves of a type, and what lies behind its other fields to a depth."""
        parts = ["__typename", *(self._leaf(on, name) for name in self.ways.leaves(on))]
        parts += [self._below(step, depth) for step in self.ways.composites(on) if depth]
        return f"{{ {' '.join(parts)} }}"

    def _below(self, step: Step, depth: int) -> str:
        """Aliased by its type: two types may have one field with other arguments or another nullability."""
        targets = self.ways.targets(step)
        deeper = depth - (0 if any("Connection" in target or "Edge" in target for target in targets) else 1)
        inner = " ".join(f"... on {target} {self.selection(target, deeper)}" for target in targets)
        return f"{step.on}_{step.field}: {self.called(step)} {{ __typename {inner} }}"

    def _leaf(self, on: str, name: str) -> str:
        called = self.called(Step(on, name))
        return name if called == name == "id" else f"{on}_{name}: {called}"

    def text(self, body: str, kind: str = "query") -> str:
        """The whole operation around the selection of its root."""
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        return f"{kind}{declared} {body}"

    def probe(self, probe: Probe, kind: str = "query", *, beside: Sequence[str] = ()) -> str:
        """The operation that reads a probe, ``__typename`` on every level of it; ``beside`` are further root fields."""
        inner = " ".join(["__typename", *(self.called(Step(probe.on, leaf)) for leaf in probe.leaves)])
        on = probe.on
        for step in reversed(probe.way):
            returned = get_named_type(self.ways.field(step).type).name
            below = inner if returned == on else f"__typename ... on {on} {{ {inner} }}"
            inner, on = f"{self.called(step)} {{ {below} }}", step.on
        return self.text(f"{{ {' '.join([*beside, inner])} }}", kind)


def ends(data: Any, way: Way) -> Iterator[tuple[list[str | int], Any]]:
    """The path and the value of every place where a way ends in an answer, nulls on the way included."""
    yield from _ends(data, way, [])


def _ends(value: Any, way: Way, path: list[str | int]) -> Iterator[tuple[list[str | int], Any]]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _ends(each, way, [*path, index])
    elif value is None or not way:
        yield path, value
    elif value.get("__typename", way[0].on) == way[0].on:
        yield from _ends(value[way[0].field], way[1:], [*path, way[0].field])


def reaches(data: Any, probe: Probe) -> bool:
    """Whether a probe found something at its end."""
    return any(value is not None and value.get("__typename") == probe.on for _, value in ends(data, probe.way))


def optional(kind: GraphQLInputType) -> bool:
    """Whether null may be given."""
    return not isinstance(kind, GraphQLNonNull)
