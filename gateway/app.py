"""The application: settings in, one ASGI callable out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from auth.access import Access
from auth.audit_heads import AuditHeads
from auth.caller import Caller
from auth.cookies import Cookies
from auth.denials import Denials
from auth.key_uses import KeyUses
from auth.links import Links
from auth.principal import Principal
from auth.rights import Rights
from auth.signing_keys import SigningKeys, create_signing_keys
from auth.tokens import Tokens
from datasources.audit_heads import HeadsFile
from datasources.database.engine import Database
from datasources.database.event_retention import Limits as EventLimits
from datasources.database.events import EventRow
from datasources.files import FileStore
from datasources.keyring import Keyring
from gateway.account_pages import AccountPages
from gateway.accounts import accounts_of
from gateway.anonymous import AnonymousLimit
from gateway.demo import DEMO_LOGINS
from gateway.events_page import EventsPage
from gateway.graphql.endpoint import GraphQLEndpoint
from gateway.graphql.limits import Limits
from gateway.mail import outbox
from gateway.mail_page import mail_routes
from gateway.pages import Pages
from gateway.platforms import chosen
from gateway.settings import Settings, load_all
from gateway.webhooks import webhook_endpoints, webhooks
from schema.composed import Composition
from schema.composition import compose
from schema.context import Context
from schema.health import Health, HealthWatch
from schema.platform import Platform, Services
from subscriptions.bell import Bell
from subscriptions.cursors import Cursors
from subscriptions.log import EventLog
from subscriptions.retention import Retention

WEB = Path(__file__).parents[1] / "web" / "dist"
FILES = "files"
DEMO_KEY_ID = "demo"
_CORS_HEADERS = (
    "authorization",
    "content-type",
    "graphql-require-preflight",
    "x-api-key",
    "x-csrf-token",
    "x-organization-id",
)


@dataclass(frozen=True)
class Gateway:
    """What runs behind the routes; an ASGI server finds it at ``app.state.gateway``."""

    settings: Settings
    composition: Composition
    services: Services
    endpoint: GraphQLEndpoint
    access: Access
    work: Sequence[AbstractAsyncContextManager[object]]
    """What runs beside the requests, in the order in which it starts; it stops in the opposite one."""


def create_gateway(settings: Settings, platforms: Sequence[Platform] | None = None) -> Gateway:
    """Puts the parts together; opens nothing yet. Raises as ``create_app`` does."""
    plugged_in = chosen(settings.platforms) if platforms is None else platforms
    composition = compose(plugged_in)
    platform_settings = load_all({each.key: each.settings for each in plugged_in if each.settings is not None})
    keyring = Keyring.at(settings.keyring_file, create=settings.demo)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, audit_key=keyring.derived("audit trail")
    )
    if settings.demo:
        create_signing_keys(settings.key_file, key_id=DEMO_KEY_ID)
    token_lifetime = timedelta(seconds=settings.access_token_seconds)
    keys = SigningKeys(settings.key_file)
    tokens = Tokens(keys, issuer=settings.public_url or "tributary", lifetime=token_lifetime)
    rights = Rights(database, token_lifetime=token_lifetime)
    cookies = Cookies(keyring.derived("csrf"), same_site=settings.cookie_same_site)
    key_uses, denials = KeyUses(database), Denials(database)
    mail = outbox(settings, database, keyring)
    accounts = accounts_of(settings, database=database, tokens=tokens, cookies=cookies, keyring=keyring, outbox=mail)
    access = Access(
        rights, tokens, cookies, outsiders=accounts.outside, used=key_uses.used, refused=partial(_refused, denials)
    )
    health: dict[str, HealthWatch] = {}
    services = Services(
        database=database,
        files=FileStore(settings.data_dir / FILES),
        events=EventLog(database, Cursors(keyring.derived("event cursors"))),
        accounts=accounts,
        denials=denials,
        links=Links(keyring.derived("links"), base_url=settings.base_url),
        webhooks=webhook_endpoints(settings, keyring),
        settings=platform_settings,
        health=health,
    )
    health.update((each.key, HealthWatch(_check(each, services))) for each in plugged_in)
    endpoint = _endpoint(settings, composition, services, access)
    services.events.observers.append(rights.observe)
    heads = AuditHeads(database, HeadsFile(settings.heads_file, keyring.derived("audit heads")))
    keep = EventLimits(timedelta(days=settings.events_keep_days), settings.events_keep_rows)
    work: tuple[AbstractAsyncContextManager[object], ...] = (
        *_bell(settings, keyring, services),
        heads,
        services.events,
        rights,
        denials,
        key_uses,
        mail,
        accounts.work(),
        Retention(database, keep),
        webhooks(settings, keyring, services, composition.graphql, endpoint.engine),
    )
    return Gateway(settings, composition, services, endpoint, access, work)


def _bell(settings: Settings, keyring: Keyring, services: Services) -> Sequence[Bell]:
    """What tells other processes of events at once, where there is a Redis."""
    if settings.redis_url is None:
        return ()
    name = keyring.derived("redis channel").hex()[:32]
    return (Bell(settings.redis_url.get_secret_value(), name, services.database, services.events),)


def _refused(denials: Denials, caller: Caller, what: str) -> None:
    denials.refused(denials.database.scoped(None, caller.origin()), caller.place, what)


def _check(platform: Platform, services: Services) -> Callable[[], Awaitable[Health]] | None:
    return None if platform.health is None else partial(platform.health, services)


def _endpoint(settings: Settings, composition: Composition, services: Services, access: Access) -> GraphQLEndpoint:
    def context(principal: Principal, caller: Caller) -> Context:
        return Context(
            composition=composition,
            services=services,
            principal=principal,
            caller=caller,
            page_limit=settings.page_limit,
        )

    return GraphQLEndpoint(
        composition.graphql,
        authentication=access,
        make_context=context,
        admit=AnonymousLimit(settings.anonymous_per_minute),
        limits=Limits(
            max_body_bytes=settings.max_body_bytes,
            max_upload_bytes=settings.max_upload_bytes,
            max_depth=settings.max_depth,
            max_tokens=settings.max_tokens,
            suggestions=settings.suggestions,
        ),
        allowed_origins=settings.allowed_origins,
        page=_pages(settings).graphiql_page,
        event_id=partial(_cursor, services.events.cursors),
    )


def _cursor(cursors: Cursors, event: object) -> str | None:
    return cursors.encode(event.organization_id, event.place) if isinstance(event, EventRow) else None


def _pages(settings: Settings) -> Pages:
    return Pages(WEB, demo=DEMO_LOGINS if settings.demo else None)


def create_app(settings: Settings, *, platforms: Sequence[Platform] | None = None) -> Starlette:
    """The gateway as an ASGI application.

    ``platforms``: those to plug in; by default what the settings choose among the installed ones. Raises
    ``UnknownPlatform`` and ``CompositionError`` when they do not fit together, ``SettingsError`` for wrong settings of
    a platform, ``FileNotFoundError`` without a signing key.
    """
    gateway = create_gateway(settings, platforms)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok", "live": gateway.endpoint.live})

    async def ready(_: Request) -> Response:
        try:
            await gateway.services.database.ping()
        except Exception:  # noqa: BLE001 -- whatever it is, the answer is the same
            return JSONResponse({"status": "the database does not answer"}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def home(_: Request) -> Response:
        return RedirectResponse("/graphql")

    async def keys(_: Request) -> Response:
        return JSONResponse(gateway.access.tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})

    routes: list[BaseRoute] = [
        *gateway.endpoint.routes,
        *_pages(settings).pages_routes(),
        *AccountPages(WEB).routes(),
        *EventsPage(WEB, demo=DEMO_LOGINS if settings.demo else None).routes(),
        Route("/", home),
        Route("/.well-known/jwks.json", keys),
        Route("/healthz", live),
        Route("/readyz", ready),
    ]
    routes.extend(mail_routes(settings))
    for platform in gateway.composition.platforms:
        if platform.routes is not None:
            routes.extend(platform.routes(gateway.services))
    app = Starlette(routes=routes, middleware=_middleware(settings), lifespan=partial(_lifespan, gateway))
    app.state.gateway = gateway
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """CORS, where pages of other origins are let in; nothing otherwise, because each layer costs every request."""
    if not settings.allowed_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=sorted(settings.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=_CORS_HEADERS,
            allow_credentials=True,  # the cookies of a session; only for the origins that are listed
            expose_headers=["retry-after"],
            max_age=600,
        )
    ]


@asynccontextmanager
async def _lifespan(gateway: Gateway, _: Starlette) -> AsyncIterator[None]:
    services = gateway.services
    async with AsyncExitStack() as stack:
        stack.push_async_callback(services.database.close)
        for each in gateway.work:
            await stack.enter_async_context(each)
        for platform in gateway.composition.platforms:
            if platform.work is not None:
                await stack.enter_async_context(platform.work(services))
        yield
