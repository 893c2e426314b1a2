"""Strawberry as its documentation shows subscriptions: an async generator, served by ``strawberry.asgi`` on uvicorn.

Each subscription reads a queue of its own, into which what is published goes.
"""

import asyncio
import gc
import os
from collections.abc import AsyncGenerator
from enum import Enum

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

from benchmarks.contenders import published

subscribers: set[asyncio.Queue[published.OrderChanged]] = set()


@strawberry.enum
class OrderStatus(Enum):
    """The two that are published."""

    PENDING = "PENDING"
    CANCELLED = "CANCELLED"


@strawberry.type
class OrderChanged:
    """As the gateway's."""

    id: strawberry.ID
    at: str
    before: OrderStatus = strawberry.field(name="from")
    to: OrderStatus


@strawberry.type
class Query:
    """A schema needs one."""

    ready: bool = True


@strawberry.type
class Subscription:
    """The live events."""

    @strawberry.subscription
    async def order_changed(self) -> AsyncGenerator[OrderChanged, None]:
        """What is published from now on."""
        queue: asyncio.Queue[published.OrderChanged] = asyncio.Queue()
        subscribers.add(queue)
        try:
            while True:
                event = await queue.get()
                yield OrderChanged(
                    id=strawberry.ID(event.id),
                    at=event.at,
                    before=OrderStatus(event.before),
                    to=OrderStatus(event.after),
                )
        finally:
            subscribers.discard(queue)


async def publish(request: Request) -> Response:
    """Gives an event to every subscription."""
    event = published.order_changed(await request.json())
    for queue in subscribers:
        queue.put_nowait(event)
    return JSONResponse({"data": event.id})


async def settle(_: Request) -> Response:
    """Frees what is not needed, before memory is looked at."""
    gc.collect()
    return JSONResponse({"data": None})


def main() -> None:
    """Serves until it is told to stop."""
    graphql_app: GraphQL[None, None] = GraphQL(strawberry.Schema(Query, subscription=Subscription))
    routes = [
        Route("/publish", publish, methods=["POST"]),
        Route("/settle", settle, methods=["POST"]),
        Route("/graphql", graphql_app),
        WebSocketRoute("/graphql", graphql_app),
    ]
    app = Starlette(routes=routes)
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
