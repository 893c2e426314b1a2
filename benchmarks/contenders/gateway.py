"""The gateway as ``./tributary serve`` runs it, with two more routes: the benchmark makes events, and has memory freed.

Arguments are the packages of outside platforms to plug in beside the built-in ones.
"""

import gc
import sys
from importlib import import_module

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.data import ORGANIZATION
from datasources.database.events import NewEvent, append_event
from gateway.app import Gateway, create_app
from gateway.platforms import BUILT_IN
from gateway.serve import serve
from gateway.settings import load


def main() -> None:
    """Serves until it is told to stop."""
    settings = load()
    platforms = [*BUILT_IN, *(import_module(package).PLATFORM for package in sys.argv[1:])]
    app = create_app(settings, platforms=platforms)
    gateway: Gateway = app.state.gateway

    async def publish(request: Request) -> Response:
        event = await request.json()
        change = {"from": event["from"], "to": event["to"]}
        async with gateway.services.database.scoped(ORGANIZATION).transaction() as transaction:
            identity = await append_event(
                transaction, NewEvent("messaging", "OrderChanged", event["orderId"], None, change)
            )
        return JSONResponse({"data": identity})

    async def settle(_: Request) -> Response:
        gc.collect()
        return JSONResponse({"data": None})

    app.router.routes += [Route("/publish", publish, methods=["POST"]), Route("/settle", settle, methods=["POST"])]
    serve(app, settings, log_level="error")


if __name__ == "__main__":
    main()
