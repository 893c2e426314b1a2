"""Ways through the schema, made from the schema itself, so that a new field gets its ways by being there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)


class Step(NamedTuple):
    """A field, selected on an object type."""

    on: str
    field: str


Way = tuple[Step, ...]
NODES = Step("Query", "nodes")
NODE = Step("Query", "node")


class Probe(NamedTuple):
    """A way from a root to an object of the type ``on``, and the ``leaves`` to read there beside ``__typename``."""

    way: Way
    on: str
    leaves: tuple[str, ...] = ()

    @property
    def covered(self) -> set[Step]:
        """The fields that reading it resolves."""
        return {*self.way, *(Step(self.on, leaf) for leaf in self.leaves)}

    def __str__(self) -> str:
        path = " > ".join(f"{step.on}.{step.field}" for step in self.way)
        return f"{path} > {self.on} {{ {' '.join(self.leaves)} }}"


@dataclass(frozen=True)
class Ways:
    """The ways through one schema."""

    schema: GraphQLSchema

    def object(self, name: str) -> GraphQLObjectType:
        """The object type with this name."""
        kind = self.schema.type_map[name]
        assert isinstance(kind, GraphQLObjectType), name
        return kind

    def field(self, step: Step) -> GraphQLField:
        """The field of a step."""
        found: GraphQLField = self.object(step.on).fields[step.field]
        return found

    def targets(self, step: Step) -> list[str]:
        """The object types that a step can lead to; none for a leaf."""
        kind = get_named_type(self.field(step).type)
        if isinstance(kind, GraphQLInterfaceType):
            return [possible.name for possible in self.schema.get_possible_types(kind)]
        return [] if is_leaf_type(kind) else [kind.name]

    def is_connection(self, name: str) -> bool:
        """Whether a type is a page of a list."""
        return "pageInfo" in self.object(name).fields

    def composites(self, on: str) -> list[Step]:
        """The fields of a type that lead on."""
        return [step for name in self.object(on).fields if self.targets(step := Step(on, name))]

    def leaves(self, on: str) -> tuple[str, ...]:
        """The fields of a type that end there."""
        return tuple(name for name in self.object(on).fields if not self.targets(Step(on, name)))

    def hops(self, on: str) -> Iterator[tuple[Way, str]]:
        """The ways from a type to the next: over a field, and from a connection on to its rows."""
        for step in self.composites(on):
            for target in self.targets(step):
                yield (step,), target
                if self.is_connection(target):
                    nodes, edges = Step(target, "nodes"), Step(target, "edges")
                    for row in self.targets(nodes):
                        yield (step, nodes), row
                    (edge,) = self.targets(edges)
                    yield (step, edges), edge
                    for row in self.targets(Step(edge, "node")):
                        yield (step, edges, Step(edge, "node")), row

    def to_types(self) -> dict[str, Way]:
        """The shortest way to each type from ``nodes(ids:)``, which takes as many rows as one likes."""
        found: dict[str, Way] = dict.fromkeys(self.targets(NODES), (NODES,))
        waiting = list(found)
        while waiting:
            on = waiting.pop(0)
            for step in self.composites(on):
                for target in self.targets(step):
                    if target not in found:
                        found[target] = (*found[on], step)
                        waiting.append(target)
        return found

    def reachable(self, root: str = "Query") -> set[str]:
        """The object types that a root leads to, itself among them."""
        found, waiting = {root}, [root]
        while waiting:
            for step in self.composites(waiting.pop()):
                new = set(self.targets(step)) - found
                found |= new
                waiting.extend(new)
        return found

    def fields(self, root: str = "Query") -> set[Step]:
        """Every field that a root leads to."""
        return {Step(name, field) for name in self.reachable(root) for field in self.object(name).fields}

    def probes(self) -> list[Probe]:
        """Ways over every field that ``Query`` leads to, and over every two fields in a row.

        Two fields in a row are walked once for all types that have the first under one name and lead to the same;
        from the root, where most fields give one object, they are walked besides.
        """
        found: dict[Probe, None] = {}
        pairs: set[tuple[str, str]] = set()
        starts = {on: way for on, way in self.to_types().items() if not self.is_connection(on)}
        for on, way in {"Query": (), **starts, **self.to_types()}.items():
            if on == "Query":
                found.update({Probe((), on, (leaf,)): None for leaf in self.leaves(on)})
            else:
                found[Probe(way, on, self.leaves(on))] = None
            for hop, target in self.hops(on):
                found[Probe((*way, *hop), target, self.leaves(target))] = None
                pair = (f"{on} {hop[0].field}" if on == "Query" else hop[0].field, target)
                if hop[0] not in (NODE, NODES) and hop[-1].field not in ("edges", "node") and pair not in pairs:
                    pairs.add(pair)
                    for step in self.composites(target):
                        for last in self.targets(step):
                            found[Probe((*way, *hop, step), last)] = None
        return list(found)
