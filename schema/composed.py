"""A composed schema, with what its resolvers need to know of the platforms behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLSchema

from datasources.database.ids import prefix_of
from datasources.paging import Load, Source
from schema.batching import BatchLoader
from schema.platform import NodeType, Platform


@dataclass(frozen=True)
class Composition:
    """A schema with what its resolvers need to know of the platforms behind it."""

    platforms: Sequence[Platform]
    graphql: GraphQLSchema
    sdl: str
    sources: Mapping[str, Mapping[str, Source[Any]]]
    nodes: Mapping[str, NodeType]
    type_names: Mapping[type, str]
    enum_values: Mapping[str, Sequence[str]]
    _owners: Mapping[type, Platform]
    _by_key: Mapping[str, Platform]
    _loads: Mapping[str, Load]

    def platform_of(self, row: object) -> Any:
        """The platform that a kind of row belongs to."""
        return self._owners[type(row)]

    def platform_type(self, key: str) -> Any:
        """The platform with this key."""
        return self._by_key[key]

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the platforms that are on, and the gateway's own."""
        return frozenset(self._by_key)

    def load_of(self, area: str) -> Load:
        """How rows of an area are read by id, from whichever platform has them."""
        return self._loads[area]

    def by_ids(self, loader: Callable[[Load], BatchLoader[Any, Any]], ids: Sequence[str]) -> list[Any]:
        """A future of the row behind each id, whatever its type; ``None`` where no type has such ids.

        A future gives ``None`` for an id that does not exist and for one that is not the tenant's to see.
        """
        types = [self.nodes.get(prefix_of(identity) or "") for identity in ids]
        return [
            None if node_type is None else loader(node_type.load).load(identity)
            for node_type, identity in zip(types, ids, strict=True)
        ]
