"""The GraphQL endpoint that an application mounts: three transports over one engine."""

import asyncio
from contextlib import suppress

from graphql import GraphQLSchema
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.graphql.authentication import Admit, Authentication
from gateway.graphql.engine import Engine, EventId, MakeContext
from gateway.graphql.http import HTTPTransport, Page
from gateway.graphql.limits import Limits
from gateway.graphql.websocket import WebSocketTransport


class GraphQLEndpoint:
    """GraphQL over HTTP, WebSocket and SSE at one path.

    ``authentication`` says who is asking. ``make_context`` makes what resolvers get as ``info.context``, anew for each
    operation and for each event of a subscription. ``admit`` may turn operations away before they begin, on every
    transport. ``page`` answers browsers that navigate to the path.
    ``event_id`` gives events their cursor. Pages of ``allowed_origins`` may open sockets besides those of this host;
    CORS for HTTP is the application's.
    """

    def __init__(  # noqa: PLR0913 -- what an application decides, each by its name
        self,
        schema: GraphQLSchema,
        *,
        authentication: Authentication,
        make_context: MakeContext,
        limits: Limits,
        admit: Admit | None = None,
        allowed_origins: frozenset[str] = frozenset(),
        page: Page | None = None,
        event_id: EventId | None = None,
        path: str = "/graphql",
    ) -> None:
        self._engine = Engine(schema, make_context, limits, authentication, admit=admit, event_id=event_id)
        self._http = HTTPTransport(self._engine, page)
        self._websocket = WebSocketTransport(self._engine, allowed_origins)
        self._path = path

    @property
    def engine(self) -> Engine:
        """What runs operations, whoever asks."""
        return self._engine

    @property
    def routes(self) -> list[BaseRoute]:
        """The HTTP route and the WebSocket route; both are plain ASGI applications."""
        return [Route(self._path, self._http), WebSocketRoute(self._path, self._websocket)]

    @property
    def live(self) -> int:
        """How many subscriptions are open, over all transports."""
        return self._engine.live

    async def close(self) -> None:
        """Close sockets with 1001 and end event streams, so that clients connect again elsewhere.

        Call it before the server stops its connections: it waits for open event streams. What the log has handed out
        is sent first, as far as that takes no longer than a second.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._engine.fanout.flush()
        self._http.close()
        await self._websocket.close()
