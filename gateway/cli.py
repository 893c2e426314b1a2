"""The command line."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from auth.passwords import Passwords
from datasources.database import migrate
from datasources.database.after_restore import GatewayRuns, renumber, skip_positions
from datasources.database.engine import Database
from datasources.database.seed import AlreadyInUse, seed
from datasources.keyring import KeyringError
from gateway import cli_audit, cli_keys, cli_secrets, cli_users, cli_webhooks, demo
from gateway.app import create_app
from gateway.commands import CommandFailed, branches, check_migrated, on_database, say
from gateway.platforms import BUILT_IN, UnknownPlatform, chosen
from gateway.serve import ListeningFailed, serve
from gateway.settings import SettingsError, load
from gateway.supervisor import NoneStarted
from schema.claims import CompositionError
from schema.composition import compose

MAX_SCALE = 100
SDL = Path(__file__).parents[1] / "schema.graphql"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it was done, 1 when it could not be, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    expected = (
        CommandFailed,
        SettingsError,
        UnknownPlatform,
        CompositionError,
        AlreadyInUse,
        KeyringError,
        ListeningFailed,
        demo.NotOurDatabase,
        LookupError,
    )
    try:
        options.run(options)
    except expected as error:
        say(f"tributary: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _scale(text: str) -> int:
    scale = int(text)
    if not 1 <= scale <= MAX_SCALE:
        message = f"a whole number from 1 to {MAX_SCALE}"
        raise argparse.ArgumentTypeError(message)
    return scale


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tributary", description="A GraphQL API gateway over several SaaS platforms.")
    commands = parser.add_subparsers(required=True, metavar="command")

    run = commands.add_parser("serve", help="run the gateway")
    run.add_argument("--host", help="the address to listen on (HOST)")
    run.add_argument("--port", type=int, help="the port to listen on (PORT)")
    run.add_argument("--workers", type=int, help="processes that serve on that port (WORKERS)")
    run.add_argument("--demo", action="store_true", default=None, help="with made-up data in a SQLite file of its own")
    run.add_argument("--scale", type=_scale, default=1, help="how much made-up data, 1 to 100")
    run.add_argument("--quiet", action="store_true", help="log warnings only")
    run.set_defaults(run=_serve)

    data = commands.add_parser("db", help="look after the database").add_subparsers(required=True, metavar="command")
    data.add_parser("migrate", help="create or update the tables").set_defaults(run=_migrate)
    fill = data.add_parser("seed", help="fill an empty database with made-up data")
    fill.add_argument("--scale", type=_scale, default=1, help="1 is about 10,000 orders, 100 about a million")
    fill.add_argument("--password", help="what everybody signs in with; nobody can sign in when absent")
    fill.set_defaults(run=_seed)
    restored = data.add_parser(
        "after-restore",
        help="make the event log fit the database that it was restored into; stop the gateway first",
        description="Makes the event log fit the database that it was restored into from a back-up. Stop the gateway "
        "first, and run this before it starts again.",
    )
    restored.add_argument(
        "--anyway", action="store_true", help="also where PostgreSQL's transaction ids do not ask for it"
    )
    restored.set_defaults(run=_after_restore)
    reset = data.add_parser("reset", help="drop the tables and all that is in them")
    reset.add_argument("--yes", action="store_true", help="do it")
    reset.set_defaults(run=_reset)

    contract = commands.add_parser("schema", help="the schema").add_subparsers(required=True, metavar="command")
    contract.add_parser("print", help="print it as SDL").set_defaults(run=_print_schema)
    check = contract.add_parser("check", help="compare it with schema.graphql, as it is committed")
    check.add_argument("--write", action="store_true", help="write schema.graphql anew")
    check.set_defaults(run=_check_schema)

    for module in (cli_audit, cli_keys, cli_secrets, cli_users, cli_webhooks):
        module.add_commands(commands)
    return parser


def _serve(options: argparse.Namespace) -> None:
    given = {"host": options.host, "port": options.port, "workers": options.workers, "demo": options.demo}
    load_given = partial(load, **{name: value for name, value in given.items() if value is not None})
    settings = load_given()
    if settings.demo:
        asyncio.run(demo.prepare(settings, chosen(settings.platforms), say, scale=options.scale))
    elif not settings.key_file.exists():
        message = f"there is no signing key at {settings.key_file}. Make one: tributary key create-signing"
        raise CommandFailed(message)
    app = create_app(settings)
    on_database(settings, lambda database: check_migrated(database, settings))
    if settings.demo:
        say(demo.greeting(settings))
    try:
        serve(app, settings, log_level="warning" if options.quiet or settings.demo else "info", load=load_given)
    except NoneStarted:
        raise CommandFailed("the workers ended before they served; what they said is above") from None


def _migrate(_: argparse.Namespace) -> None:
    settings = load()

    async def run(database: Database) -> None:
        missing = await migrate.pending(database, branches(settings))
        await migrate.upgrade(database, branches(settings))
        say(f"{len(missing)} migrations applied." if missing else "The database is up to date.")

    on_database(settings, run)


def _seed(options: argparse.Namespace) -> None:
    settings = load()
    # "!" is no hash of any password, so that nobody can sign in.
    password_hash = Passwords().hash_now(options.password) if options.password else "!"
    keys = {platform.key for platform in chosen(settings.platforms)}

    async def run(database: Database) -> None:
        await check_migrated(database, settings)
        await seed(database, scale=options.scale, password_hash=password_hash, platforms=keys, progress=say)

    on_database(settings, run)


def _after_restore(options: argparse.Namespace) -> None:
    settings = load()

    async def run(database: Database) -> None:
        await check_migrated(database, settings)
        if database.dialect == "sqlite":
            changed = await skip_positions(database)
            say("New events come after all cursors from before." if changed else "Nothing had to be changed.")
            return
        try:
            count = await renumber(database, datetime.now(UTC), anyway=options.anyway)
        except GatewayRuns as running:
            raise CommandFailed(
                f"others are connected to the database as the gateway's user ({running.connections}). Stop the gateway "
                "and whatever else is, and try again"
            ) from None
        if count is None:
            say(
                "Nothing had to be changed: the transaction ids of this PostgreSQL cluster are ahead of the event log. "
                "If clients have cursors from after the back-up, say --anyway."
            )
            return
        say(f"{count} events renumbered. Cursors from before are refused.")

    on_database(settings, run)


def _reset(options: argparse.Namespace) -> None:
    if not options.yes:
        message = "this drops every table with all that is in it. Say --yes to do it."
        raise CommandFailed(message)
    on_database(load(), migrate.reset)


def _print_schema(_: argparse.Namespace) -> None:
    say(compose(chosen(load().platforms)).sdl.rstrip())


def _check_schema(options: argparse.Namespace) -> None:
    sdl = compose(BUILT_IN).sdl
    if options.write:
        SDL.write_text(sdl, encoding="utf-8")
    elif not SDL.exists() or SDL.read_text(encoding="utf-8") != sdl:
        message = "schema.graphql is not what the code says. Look at the change: tributary schema check --write"
        raise CommandFailed(message)
    say("schema.graphql is what the code says.")
