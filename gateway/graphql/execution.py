"""Running operations on graphql-core, with Strawberry's execution context.

``execute_operation``, ``open_source`` and ``execute_event`` are the doors: another executor replaces what is behind
them without any transport knowing.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, TypeAlias, TypeGuard, cast

from graphql import ExecutionResult, GraphQLSchema
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gateway.graphql.documents import Operation
from gateway.graphql.masking import Masking, RequestError, document_errors
from schema.errors import ErrorCode

_is_awaitable = cast("Callable[[object], TypeGuard[Awaitable[object]]]", optimized_is_awaitable)

Prepared: TypeAlias = Executor[Any]
"""A subscription with its variables, ready to run for any event."""


async def execute_operation(schema: GraphQLSchema, operation: Operation, context: object) -> ExecutionResult:
    """Run a query or a mutation; ``context`` is what resolvers get as ``info.context``.

    Raises RequestError when the variables do not fit. Errors of fields are in the result.
    """
    result = prepare(schema, operation, context).execute_operation()
    return cast("ExecutionResult", await result if _is_awaitable(result) else result)


def open_source(prepared: Prepared) -> AsyncIterable[object] | Awaitable[AsyncIterable[object]]:
    """What a subscription reads; at once, unless its resolver has to wait for something.

    Raises RequestError when the source cannot be opened, in either case.
    """
    opening = create_source_event_stream(prepared)
    if not _is_awaitable(opening):
        return _opened(opening)

    async def wait() -> AsyncIterable[object]:
        return _opened(await opening)

    return wait()


async def execute_event(prepared: Prepared, value: object, context: object) -> ExecutionResult:
    """What the selection makes of one event."""
    executor = prepared.build_per_event_executor(value)
    executor.context_value = context
    # What an event's execution has collected, graphql-core 3.3 keeps for those of later events, but by the identity of
    # lists that each makes anew: it finds nothing there, and would grow for as long as somebody follows.
    executor._relevant_sub_fields = {}  # noqa: SLF001
    result = execute_subscription_event(executor)
    return cast("ExecutionResult", await result if _is_awaitable(result) else result)


def prepare(schema: GraphQLSchema, operation: Operation, context: object) -> Prepared:
    """The operation with its variables; raises RequestError when they do not fit."""
    executor = StrawberryGraphQLCoreExecutionContext.build(
        schema,
        operation.document,
        context_value=context,
        raw_variable_values=operation.variables,
        operation_name=operation.name,
        is_awaitable=_is_awaitable,
        hide_suggestions=operation.hide_suggestions,
        operation_extensions=operation.extensions,
    )
    if isinstance(executor, list):
        raise RequestError(document_errors(executor, ErrorCode.BAD_REQUEST), well_formed=True)
    return executor


def _opened(opened: object) -> AsyncIterable[object]:
    if isinstance(opened, ExecutionResult):
        masking = Masking()
        raise RequestError([masking.field_error(error) for error in opened.errors or ()], well_formed=True)
    return cast("AsyncIterable[object]", opened)
