"""The rules that a document must keep: GraphQL's, Strawberry's, and a bound on depth."""

from typing import Any

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.graphql.limits import Limits

_MAX_ERRORS = 20


class _OneOfRule(OneOfInputValidationRule):
    """Strawberry's rule, which knows the variables of the operation it is in, but not those used in fragments."""

    def __init__(self, validation_context: ValidationContext) -> None:
        super().__init__(validation_context)
        self._all_variables = {
            variable.variable.name.value: variable
            for definition in validation_context.document.definitions
            if isinstance(definition, OperationDefinitionNode)
            for variable in definition.variable_definitions or ()
        }

    def enter_operation_definition(self, node: ExecutableDefinitionNode, *_args: Any) -> None:
        super().enter_operation_definition(node)

    def enter_fragment_definition(self, _node: FragmentDefinitionNode, *_args: Any) -> None:
        """Let a fragment use the variables of whichever operation spreads it."""
        self.variable_definitions = dict(self._all_variables)


_STRAWBERRY_RULES = (MaybeNullValidationRule, _OneOfRule)


def validation_errors(schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """What is wrong with ``document``; nothing when it may run.

    Strawberry's rules rely on a document that keeps GraphQL's, and the walk for the depth on fragments without cycles,
    so each step is taken only when the one before found nothing.
    """
    hide = not limits.suggestions
    return (
        validate(schema, document, max_errors=_MAX_ERRORS, hide_suggestions=hide)
        or validate(schema, document, _STRAWBERRY_RULES, max_errors=_MAX_ERRORS, hide_suggestions=hide)
        or _too_deep(document, limits.max_depth)
    )


def _too_deep(document: DocumentNode, max_depth: int) -> list[GraphQLError]:
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    known: dict[str, int] = {}
    return [
        GraphQLError(f"The operation nests fields more than {max_depth} levels deep.", definition)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        and _depth(definition.selection_set, fragments, known) > max_depth
    ]


def _depth(selection_set: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], known: dict[str, int]) -> int:
    """Nested fields below ``selection_set``; each fragment is walked once.

    Recursion is bounded: validation has already refused what nests deeper than the parser's own limit.
    """
    deepest = 0
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            below = selection.selection_set
            depth = 1 + (_depth(below, fragments, known) if below else 0)
        elif isinstance(selection, InlineFragmentNode):
            depth = _depth(selection.selection_set, fragments, known)
        elif isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name not in known:
                known[name] = _depth(fragments[name].selection_set, fragments, known)
            depth = known[name]
        else:
            continue
        deepest = max(deepest, depth)
    return deepest
