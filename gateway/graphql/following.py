"""What a document says of a subscription that follows the event log, worked out once when the document is checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)


@dataclass(frozen=True, slots=True)
class Following:
    """That an operation follows the event log. ``resumes_by`` is the variable that says only from where on, if any."""

    resumes_by: str | None


def following(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Following | None:
    """Whether a subscription of a valid document follows the event log, and how it says from where on."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    field = _first_field(operation.selection_set, fragments)
    definition = schema.subscription_type and schema.subscription_type.fields.get(field.name.value if field else "")
    declared = definition.extensions.get("strawberry-definition") if definition else None
    if field is None or "event_stream" not in getattr(declared, "metadata", {}):
        return None
    given = next((each.value for each in field.arguments or () if each.name.value == "after"), None)
    if not isinstance(given, VariableNode):
        return Following(None)
    name = given.name.value
    uses = _Uses(name)
    visit(document, uses)
    # Its definition, and this argument: used anywhere else it would change what is answered.
    return Following(name if uses.count == _DEFINED_AND_USED else None)


_DEFINED_AND_USED = 2


class _Uses(Visitor):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.count = 0

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.count += node.name.value == self._name


def _first_field(selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> FieldNode | None:
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            return node
        inner = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else cast("InlineFragmentNode", node)
        found = _first_field(inner.selection_set, fragments)
        if found is not None:
            return found
    return None
