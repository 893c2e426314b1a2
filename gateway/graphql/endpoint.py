"""The GraphQL endpoint that an application mounts: three transports over one engine."""

from graphql import GraphQLSchema
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.graphql.engine import Engine, EventId, MakeContext
from gateway.graphql.headers import Authenticate
from gateway.graphql.http import HTTPTransport, Page
from gateway.graphql.limits import Limits
from gateway.graphql.websocket import WebSocketTransport


class GraphQLEndpoint:
    """GraphQL over HTTP, WebSocket and SSE at one path.

    ``authenticate`` gets the lower-cased headers of a request; on a socket, the handshake's with the string entries of
    the ``connection_init`` payload over them. ``make_context`` makes what resolvers get as ``info.context``, anew for
    each operation and for each event of a subscription. ``page`` answers browsers that navigate to the path.
    ``event_id`` gives events their cursor. Pages of ``allowed_origins`` may open sockets besides those of this host;
    CORS for HTTP is the application's.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        authenticate: Authenticate,
        make_context: MakeContext,
        limits: Limits,
        allowed_origins: frozenset[str] = frozenset(),
        page: Page | None = None,
        event_id: EventId | None = None,
        path: str = "/graphql",
    ) -> None:
        self._engine = Engine(schema, make_context, limits, event_id)
        self._http = HTTPTransport(self._engine, authenticate, page)
        self._websocket = WebSocketTransport(self._engine, authenticate, allowed_origins)
        self._path = path

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

        Call it before the server stops its connections: it waits for open event streams.
        """
        self._http.close()
        await self._websocket.close()
