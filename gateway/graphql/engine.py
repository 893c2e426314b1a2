"""What every transport does with a request: find its operation, run it, encode what comes of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Hashable, Sequence
from hashlib import blake2b
from math import ceil
from typing import Protocol, TypeAlias, cast

import orjson
from graphql import GraphQLSchema

from auth.caller import Caller
from auth.errors import InvalidToken
from auth.principal import ANONYMOUS, Principal
from gateway.graphql.authentication import Admit, Authentication
from gateway.graphql.documents import Documents, Operation
from gateway.graphql.execution import Prepared, execute_event, execute_operation, open_source, prepare
from gateway.graphql.fanout import Fanout, Follower
from gateway.graphql.limits import Limits
from gateway.graphql.masking import RequestError
from gateway.graphql.opened import Opened, Opening, Reader, Response, Viewer
from gateway.graphql.payload import Payload
from gateway.graphql.request import GraphQLRequest
from gateway.graphql.responses import encode_errors, encode_result, trimmed
from schema.context import Context
from schema.errors import BadRequest, ErrorCode
from schema.streams import EventStream


class ContextLike(Protocol):
    """What the engine wants to know of a context: whether somebody has looked in it at who asks."""

    depends_on_viewer: bool


MakeContext: TypeAlias = Callable[[Principal, Caller], ContextLike]
"""Makes the context of one operation, or of one event of a subscription."""

EventId: TypeAlias = Callable[[object], str | None]
"""The cursor of a subscription's source event, from which a client may resume; ``None`` when it has none."""

NO_CALLER = Caller()

_EVENTS_IN_A_ROW = 16


class Engine:
    """One schema, ready to run operations."""

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
        self._event_id: EventId = event_id or (lambda _: None)
        self._streams = 0
        self.authentication = authentication
        self.limits = limits
        self.fanout = Fanout()

    @property
    def live(self) -> int:
        """How many subscriptions are open."""
        return self._streams + len(self.fanout.followers)

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

    def follow(
        self,
        operation: Operation,
        principal: Principal,
        reader: Reader,
        caller: Caller = NO_CALLER,
        *,
        last_event_id: str | None = None,
    ) -> Follower:
        """Begins a subscription that follows the event log; what comes of it goes to ``reader``.

        ``last_event_id``: the cursor of the last event that the client has seen, which goes before the one in the
        document. Raises RequestError when it cannot begin.
        """
        self._require_room(principal, caller)

        def begin(principal: Principal) -> Opened:
            return self._open(operation, principal, caller, last_event_id)

        follower = Follower(self.fanout, reader, caller, begin)
        follower.start(principal)
        return follower

    async def subscribe(
        self, operation: Operation, principal: Principal, caller: Caller = NO_CALLER
    ) -> AsyncGenerator[Payload, None]:
        """Run a subscription that has a source of its own; raises RequestError when it cannot begin, or breaks.

        Each event is read with the rights that the caller has when it happens.
        """
        self._require_room(principal, caller)
        self._streams += 1
        source: AsyncIterable[object] | None = None
        sent = 0
        try:
            prepared = prepare(self._schema, operation, self._make_context(await self._now(principal), caller))
            opened = open_source(prepared)
            source = opened if isinstance(opened, AsyncIterable) else await opened
            async for value in source:
                sent += 1
                if sent % _EVENTS_IN_A_ROW == 0:
                    # A source that is ahead and a client that reads fast would never let anybody else run.
                    await asyncio.sleep(0)
                context = self._make_context(await self._now(principal), caller)
                yield await self._respond(prepared, value, context)
        except (Exception, asyncio.CancelledError) as error:
            raise _refusal(error) from error
        finally:
            self._streams -= 1
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _now(self, principal: Principal) -> Principal:
        current = await self.authentication.renew(principal)
        if current is None:
            raise InvalidToken
        return current

    def _open(self, operation: Operation, principal: Principal, caller: Caller, last_event_id: str | None) -> Opened:
        context = self._make_context(principal, caller)
        try:
            prepared = prepare(self._schema, operation, context)
            stream = open_source(prepared)
            key = _group_key(operation, principal, of_person=context.depends_on_viewer)
        except Exception as error:
            raise _refusal(error) from error
        if not isinstance(stream, EventStream):
            message = "what is declared to follow the log does not"
            raise TypeError(message)
        if last_event_id is not None:
            try:
                stream = stream.resumed(last_event_id)
            except BadRequest as error:
                raise RequestError(RequestError.of_exception(error).errors, well_formed=True) from error

        async def execute(value: object, viewer: Viewer) -> Response:
            context = self._make_context(viewer.principal, viewer.caller)
            try:
                payload = await self._respond(prepared, value, context)
            except (RequestError, asyncio.CancelledError) as error:
                refusal = _refusal(error)
                if not isinstance(refusal, RequestError):
                    raise
                # Told with its cursor, so that who follows gets past it.
                payload = Payload(trimmed(encode_errors(refusal.errors)), self._event_id(value))
            return Response(payload, context.depends_on_viewer)

        async def opening(viewer: Viewer) -> Opening:
            context = self._make_context(viewer.principal, viewer.caller)
            try:
                values: Sequence[object] = (
                    () if stream.opening is None else await stream.opening(cast("Context", context))
                )
            except asyncio.CancelledError as error:
                raise _refusal(error) from error
            responses = [await execute(value, viewer) for value in values]
            personal = context.depends_on_viewer or any(each.personal for each in responses)
            return Opening([each.payload for each in responses], personal)

        return Opened(key, stream, execute, opening)

    async def _respond(self, prepared: Prepared, value: object, context: ContextLike) -> Payload:
        body = encode_result(await execute_event(prepared, value, context))
        return Payload(trimmed(body), self._event_id(value))

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


def _group_key(operation: Operation, principal: Principal, *, of_person: bool) -> Hashable:
    """What followers must have in common to share executions, but for what an execution finds to depend on the person.

    ``of_person``: whether which events are wanted does. The variable that only says where to begin is of no matter once
    that is done.
    """
    resumes_by = operation.following.resumes_by if operation.following is not None else None
    variables = {name: value for name, value in operation.variables.items() if name != resumes_by}
    return (
        operation.key,
        operation.name,
        blake2b(orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)).digest(),
        principal.organization_id,
        principal.scopes,
        principal.signed_in,
        (principal.user_id, principal.key_id) if of_person else None,
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
