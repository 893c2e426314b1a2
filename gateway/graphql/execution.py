"""Running operations on graphql-core, with Strawberry's execution context.

``execute_operation`` is the one door: another executor replaces it without any transport knowing.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from graphql import ExecutionResult, GraphQLSchema
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gateway.graphql.documents import Operation
from gateway.graphql.masking import Masking, RequestError, document_errors
from schema.errors import ErrorCode

_is_awaitable = cast("Callable[[object], TypeGuard[Awaitable[object]]]", optimized_is_awaitable)


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """One event of a subscription: the source's value and what the selection made of it."""

    source: object
    result: ExecutionResult


async def execute_operation(schema: GraphQLSchema, operation: Operation, context: object) -> ExecutionResult:
    """Run a query or a mutation; ``context`` is what resolvers get as ``info.context``.

    Raises RequestError when the variables do not fit. Errors of fields are in the result.
    """
    result = _executor(schema, operation, context).execute_operation()
    return cast("ExecutionResult", await result if _is_awaitable(result) else result)


async def subscribe_operation(
    schema: GraphQLSchema, operation: Operation, make_context: Callable[[], Awaitable[object]]
) -> AsyncGenerator[SubscriptionEvent, None]:
    """Run a subscription: one context for its source, and a new one for each event.

    Raises RequestError when the variables do not fit or the source cannot be opened, and whatever the source raises.
    """
    executor = _executor(schema, operation, await make_context())
    opening = create_source_event_stream(executor)
    opened = await opening if _is_awaitable(opening) else opening
    if isinstance(opened, ExecutionResult):
        masking = Masking()
        errors = [masking.field_error(error) for error in opened.errors or ()]
        raise RequestError(errors, well_formed=True)
    source = cast("AsyncIterable[object]", opened)
    try:
        async for value in source:
            event_executor = executor.build_per_event_executor(value)
            event_executor.context_value = await make_context()
            result = execute_subscription_event(event_executor)
            yield SubscriptionEvent(value, cast("ExecutionResult", await result if _is_awaitable(result) else result))
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _executor(schema: GraphQLSchema, operation: Operation, context: object) -> Executor[Any]:
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
