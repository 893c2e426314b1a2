"""Who may read what, as the SDL says it: read from the text of the schema, not from what enforces it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphql import (
    ConstDirectiveNode,
    FieldDefinitionNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    get_named_type,
    is_abstract_type,
    parse,
)
from graphql.language import ListValueNode, StringValueNode

from auth.principal import Principal
from tests.schema.ways import Probe, Step, Ways

Need = frozenset[frozenset[str]]
"""Any one of these sets of scopes; the empty set of scopes: to be signed in."""

SIGNED_IN: Need = frozenset({frozenset()})


def _needs(directives: Iterable[ConstDirectiveNode]) -> set[Need]:
    found: set[Need] = set()
    for directive in directives:
        if directive.name.value == "authenticated":
            found.add(SIGNED_IN)
        elif directive.name.value == "requiresScopes":
            (argument,) = directive.arguments or ()
            assert isinstance(argument.value, ListValueNode)
            groups = [group for group in argument.value.values if isinstance(group, ListValueNode)]
            found.add(
                frozenset(
                    frozenset(scope.value for scope in group.values if isinstance(scope, StringValueNode))
                    for group in groups
                )
            )
    return found


@dataclass(frozen=True)
class Guards:
    """The directives of one schema."""

    ways: Ways
    sdl: str
    _of: dict[str, set[Need]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for definition in parse(self.sdl).definitions:
            if isinstance(definition, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
                name = definition.name.value
                self._of[name] = _needs(definition.directives or ())
                for each in definition.fields or ():
                    assert isinstance(each, FieldDefinitionNode)
                    self._of[f"{name}.{each.name.value}"] = _needs(each.directives or ())

    def of_type(self, name: str) -> set[Need]:
        """What a type needs: itself, its interfaces, and for a page of a list the type of its rows."""
        kind = self.ways.schema.type_map[name]
        found = set(self._of.get(name, ()))
        for interface in getattr(kind, "interfaces", ()):
            found |= self._of[interface.name]
        fields = getattr(kind, "fields", {})
        if "pageInfo" in fields:
            found |= self.of_type(get_named_type(fields["nodes"].type).name)
        elif set(fields) == {"node", "cursor"}:
            found |= self.of_type(get_named_type(fields["node"].type).name)
        return found

    def of_field(self, step: Step) -> set[Need]:
        """What a field needs before anything is read: its own, and that of the type that it returns."""
        returned = get_named_type(self.ways.field(step).type)
        needs = self._of[f"{step.on}.{step.field}"] | self.of_type(returned.name)
        for interface in self.ways.object(step.on).interfaces:
            needs = needs | self._of.get(f"{interface.name}.{step.field}", set())
        return needs

    def beyond_parent(self, step: Step) -> set[Need]:
        """What a field needs that whoever reaches its parent may lack."""
        parent = self.of_type(step.on)
        return self.of_field(step) - parent - ({SIGNED_IN} if parent else set())

    def of_row(self, step: Step, target: str) -> set[Need]:
        """What a row behind an interface needs besides, once it is known to be of the type ``target``."""
        returned = get_named_type(self.ways.field(step).type)
        return self.of_type(target) - self.of_field(step) if is_abstract_type(returned) else set()

    def scopes(self) -> set[str]:
        """Every scope that something needs."""
        return {scope for needs in self._of.values() for need in needs for group in need for scope in group}

    def denied(self, probe: Probe, who: Principal) -> tuple[int, tuple[str, ...]] | None:
        """Where a probe is refused: after how many steps, or at its end the leaves; ``None``: nowhere."""
        ends = [*(step.on for step in probe.way[1:]), *([probe.on] if probe.way else ())]
        for taken, (step, target) in enumerate(zip(probe.way, ends, strict=True), 1):
            if unmet(self.of_field(step) | self.of_row(step, target), who):
                return taken, ()
        leaves = tuple(leaf for leaf in probe.leaves if unmet(self.of_field(Step(probe.on, leaf)), who))
        return (len(probe.way), leaves) if leaves else None


def unmet(needs: Iterable[Need], who: Principal) -> bool:
    """Whether somebody lacks any of the needs."""
    return any(not who.signed_in or not any(group <= who.scopes for group in need) for need in needs)
