"""``tributary webhooks``: operators look at where events are posted to, and help where that has failed."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

from auth.refusal import Refusal
from datasources.database.engine import Database, Scope
from datasources.database.roster import organization_name
from datasources.database.webhook_reading import EndpointState, endpoint_states, organization_of_endpoint
from datasources.database.webhook_replays import replays_of
from gateway.commands import CommandFailed, keyring_of, on_database, say
from gateway.settings import load
from gateway.webhooks import webhook_endpoints
from schema.errors import CursorTooOld
from schema.webhook_endpoints import WantedReplay, WebhookEndpoints

OPERATOR = "operator"


def add_commands(commands: Any) -> None:
    """Adds ``webhooks`` to the commands (what ``add_subparsers`` returns)."""
    webhooks = commands.add_parser("webhooks", help="where events are posted to").add_subparsers(
        required=True, metavar="command"
    )

    listed = webhooks.add_parser("list", help="endpoints, and how they are doing")
    listed.add_argument("--organization", metavar="ID", help="only those of this one")
    listed.set_defaults(run=_list)

    replay = webhooks.add_parser("replay", help="deliver again")
    replay.add_argument("endpoint", metavar="ENDPOINT", help="which, as `webhooks list` shows it")
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument("--after", metavar="CURSOR", help="all events of its types after this place of the log")
    what.add_argument("--delivery", metavar="ID", action="append", help="this delivery; may be given several times")
    replay.set_defaults(run=_replay)

    resume = webhooks.add_parser("resume", help="go on with an endpoint that is paused or disabled")
    resume.add_argument("endpoint", metavar="ENDPOINT", help="which, as `webhooks list` shows it")
    resume.set_defaults(run=_resume)


def _list(options: argparse.Namespace) -> None:
    async def run(database: Database) -> None:
        only = options.organization
        if only is not None and await organization_name(database, only) is None:
            raise CommandFailed(f"there is no organization {only}")
        for state in await endpoint_states(database, only):
            say(
                f"{state.id}  {state.organization_id}  {state.url}  ({' '.join(state.events)})  {_health(state)}, "
                f"{state.pending} waiting, {state.failed} failed{_progress(state)}"
            )

    on_database(load(), run)


def _replay(options: argparse.Namespace) -> None:
    async def run(scope: Scope, endpoints: WebhookEndpoints) -> None:
        wanted = WantedReplay(options.endpoint, options.after, options.delivery)
        say(f"Deliveries on their way: {await endpoints.replay(scope, OPERATOR, wanted)}.")
        for replay in (await replays_of(scope, [options.endpoint])).values():
            say(
                f"{replay.scheduled} of {replay.total} are due now. A gateway that runs goes on as they are taken; "
                "see: tributary webhooks list"
            )

    _change(options.endpoint, run)


def _resume(options: argparse.Namespace) -> None:
    async def run(scope: Scope, endpoints: WebhookEndpoints) -> None:
        await endpoints.resume(scope, OPERATOR, options.endpoint)
        say(f"{options.endpoint} is active. What waits for it is delivered now.")

    _change(options.endpoint, run)


def _health(state: EndpointState) -> str:
    if state.failing_since is None:
        return state.status
    return f"{state.status}, failing since {state.failing_since:%Y-%m-%d %H:%M} UTC"


def _progress(state: EndpointState) -> str:
    return "" if state.replayed is None else f", replay at {state.replayed} of {state.to_replay}"


def _change(endpoint_id: str, work: Callable[[Scope, WebhookEndpoints], Awaitable[None]]) -> None:
    settings = load()
    endpoints = webhook_endpoints(settings, keyring_of(settings))

    async def run(database: Database) -> None:
        organization_id = await organization_of_endpoint(database, endpoint_id)
        if organization_id is None:
            raise CommandFailed(f"there is no webhook endpoint {endpoint_id}. See: tributary webhooks list")
        try:
            await work(database.scoped(organization_id), endpoints)
        except (Refusal, CursorTooOld) as refusal:
            raise CommandFailed(str(refusal)) from None

    on_database(settings, run, audited=True)
