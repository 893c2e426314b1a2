"""What every transport does with a request: find its operation, run it, encode what comes of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from graphql import GraphQLSchema

from auth.caller import Caller
from auth.errors import InvalidToken
from auth.principal import ANONYMOUS, Principal
from gateway.graphql.authentication import Admit, Authentication
from gateway.graphql.documents import Documents, Operation
from gateway.graphql.execution import execute_operation, subscribe_operation
from gateway.graphql.limits import Limits
from gateway.graphql.masking import RequestError
from gateway.graphql.request import GraphQLRequest
from gateway.graphql.responses import encode_result
from schema.errors import ErrorCode

MakeContext: TypeAlias = Callable[[Principal, Caller], object]
"""Makes the context of one operation, or of one event of a subscription."""

EventId: TypeAlias = Callable[[object], str | None]
"""The cursor of a subscription's source event, from which a client may resume; ``None`` when it has none."""

NO_CALLER = Caller()

_EVENTS_IN_A_ROW = 16


@dataclass(frozen=True, slots=True)
class Payload:
    """One encoded GraphQL response, and the cursor of the event that it tells of."""

    body: bytes
    event_id: str | None = None


class Engine:
    """One schema, ready to run operations; ``live`` counts the subscriptions that are open."""

    def __init__(
        self,
        schema: GraphQLSchema,
        make_context: MakeContext,
        limits: Limits,
        authentication: Authentication,
        *,
        admit: Admit | None = None,
        event_id: EventId | None = None,
    ) -> None:
        self._schema = schema
        self._make_context = make_context
        self._documents = Documents(schema, limits)
        self._admit = admit
        self._event_id = event_id
        self.authentication = authentication
        self.limits = limits
        self.live = 0

    async def authenticate(self, caller: Caller) -> Principal:
        """Who sent a request; raises RequestError when what it carries does not hold."""
        try:
            return await self.authentication.authenticate(caller)
        except Exception as error:
            self._require_room(ANONYMOUS, caller)
            raise RequestError.of_exception(error) from error

    def prepare(self, request: GraphQLRequest, caller: Caller = NO_CALLER) -> Operation:
        """The operation to run; raises RequestError when there is none that may run.

        Reading what cannot run is work too, and is done before anybody is asked who they are: it counts as an operation
        of nobody at their address.
        """
        try:
            return self._documents.operation(request)
        except RequestError:
            self._require_room(ANONYMOUS, caller)
            raise

    async def execute(self, operation: Operation, principal: Principal, caller: Caller = NO_CALLER) -> Payload:
        """Run a query or a mutation; raises RequestError when it could not begin or its answer has no JSON form."""
        self._require_room(principal, caller)
        try:
            result = await execute_operation(self._schema, operation, self._make_context(principal, caller))
        except (Exception, asyncio.CancelledError) as error:
            raise _refusal(error) from error
        return Payload(encode_result(result))

    async def subscribe(
        self, operation: Operation, principal: Principal, caller: Caller = NO_CALLER
    ) -> AsyncGenerator[Payload, None]:
        """Run a subscription; raises RequestError when it cannot begin, and when it breaks.

        Each event is read with the rights that the caller has when it happens.
        """
        self._require_room(principal, caller)

        async def context() -> object:
            current = await self.authentication.renew(principal)
            if current is None:
                raise InvalidToken
            return self._make_context(current, caller)

        events = subscribe_operation(self._schema, operation, context)
        event_id = self._event_id
        sent = 0
        self.live += 1
        try:
            async with aclosing(events):
                async for event in events:
                    sent += 1
                    if sent % _EVENTS_IN_A_ROW == 0:
                        # A source that is ahead and a client that reads fast would never let anybody else run.
                        await asyncio.sleep(0)
                    yield Payload(encode_result(event.result), event_id(event.source) if event_id else None)
        except (Exception, asyncio.CancelledError) as error:
            raise _refusal(error) from error
        finally:
            self.live -= 1

    def _require_room(self, principal: Principal, caller: Caller) -> None:
        wait = None if self._admit is None else self._admit(principal, caller)
        if wait is not None:
            seconds = max(1, ceil(wait))
            raise RequestError(
                [
                    {
                        "message": f"Too many requests from your address. Try again in {seconds} s, or sign in.",
                        "extensions": {"code": ErrorCode.RATE_LIMITED.value, "retryable": True, "retryAfter": seconds},
                    }
                ],
                status=429,
                headers=((b"retry-after", b"%d" % seconds),),
            )


def _refusal(error: BaseException) -> BaseException:
    """What to raise for ``error``, which ended an operation."""
    if isinstance(error, RequestError):
        return error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
        return error
    # A cancellation that nobody asked of this task comes from something a resolver waited for: a fault of ours.
    return RequestError.of_exception(error)
