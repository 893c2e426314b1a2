"""The command line."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TextIO

from auth.passwords import Passwords
from auth.signing_keys import create_signing_keys
from datasources.database import migrate
from datasources.database.engine import Database
from datasources.database.seed import AlreadyInUse, seed
from gateway import demo
from gateway.app import create_app
from gateway.platforms import BUILT_IN, UnknownPlatform, chosen
from gateway.serve import serve
from gateway.settings import Settings, SettingsError, load
from schema.claims import CompositionError
from schema.composition import compose

MAX_SCALE = 100
SDL = Path(__file__).parents[1] / "schema.graphql"


class CommandFailed(Exception):
    """The command cannot be done; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it was done, 1 when it could not be, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    expected = (
        CommandFailed,
        SettingsError,
        UnknownPlatform,
        CompositionError,
        AlreadyInUse,
        demo.NotOurDatabase,
        LookupError,
    )
    try:
        options.run(options)
    except expected as error:
        _say(f"tributary: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _say(text: str, *, file: TextIO | None = None) -> None:
    print(text, file=file or sys.stdout, flush=True)


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
    reset = data.add_parser("reset", help="drop the tables and all that is in them")
    reset.add_argument("--yes", action="store_true", help="do it")
    reset.set_defaults(run=_reset)

    contract = commands.add_parser("schema", help="the schema").add_subparsers(required=True, metavar="command")
    contract.add_parser("print", help="print it as SDL").set_defaults(run=_print_schema)
    check = contract.add_parser("check", help="compare it with schema.graphql, as it is committed")
    check.add_argument("--write", action="store_true", help="write schema.graphql anew")
    check.set_defaults(run=_check_schema)

    key = commands.add_parser("key", help="keys").add_subparsers(required=True, metavar="command")
    key.add_parser("create-signing", help="make the signing key where there is none").set_defaults(run=_create_key)
    return parser


def _serve(options: argparse.Namespace) -> None:
    given = {"host": options.host, "port": options.port, "demo": options.demo}
    settings = load(**{name: value for name, value in given.items() if value is not None})
    if settings.demo:
        asyncio.run(demo.prepare(settings, chosen(settings.platforms), _say, scale=options.scale))
    elif not settings.key_file.exists():
        message = f"there is no signing key at {settings.key_file}. Make one: tributary key create-signing"
        raise CommandFailed(message)
    app = create_app(settings)
    _on_database(settings, lambda database: _check_migrated(database, settings))
    if settings.demo:
        _say(demo.greeting(settings))
    serve(app, settings, log_level="warning" if options.quiet or settings.demo else "info")


def _on_database(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(settings.database_url, pool_size=1)
        try:
            await _reach(database)
            await work(database)
        finally:
            await database.close()

    asyncio.run(run())


async def _reach(database: Database) -> None:
    try:
        await database.ping()
    except Exception as error:  # noqa: BLE001 -- whatever the driver raises
        # Its words may hold parts of the address, and a password is one of them.
        message = f"the database at DATABASE_URL cannot be used ({type(error).__name__})"
        raise CommandFailed(message) from None


def _branches(settings: Settings) -> list[migrate.Branch]:
    return demo.branches_of(chosen(settings.platforms))


async def _check_migrated(database: Database, settings: Settings) -> None:
    missing = await migrate.pending(database, _branches(settings))
    if missing:
        message = f"the database lacks {len(missing)} migrations ({missing[0]} …). Run: tributary db migrate"
        raise CommandFailed(message)


def _migrate(_: argparse.Namespace) -> None:
    settings = load()

    async def run(database: Database) -> None:
        missing = await migrate.pending(database, _branches(settings))
        await migrate.upgrade(database, _branches(settings))
        _say(f"{len(missing)} migrations applied." if missing else "The database is up to date.")

    _on_database(settings, run)


def _seed(options: argparse.Namespace) -> None:
    settings = load()
    # "!" is no hash of any password, so that nobody can sign in.
    password_hash = Passwords().hash_now(options.password) if options.password else "!"
    keys = {platform.key for platform in chosen(settings.platforms)}

    async def run(database: Database) -> None:
        await _check_migrated(database, settings)
        await seed(database, scale=options.scale, password_hash=password_hash, platforms=keys, progress=_say)

    _on_database(settings, run)


def _reset(options: argparse.Namespace) -> None:
    if not options.yes:
        message = "this drops every table with all that is in it. Say --yes to do it."
        raise CommandFailed(message)
    _on_database(load(), migrate.reset)


def _print_schema(_: argparse.Namespace) -> None:
    _say(compose(chosen(load().platforms)).sdl.rstrip())


def _check_schema(options: argparse.Namespace) -> None:
    sdl = compose(BUILT_IN).sdl
    if options.write:
        SDL.write_text(sdl, encoding="utf-8")
    elif not SDL.exists() or SDL.read_text(encoding="utf-8") != sdl:
        message = "schema.graphql is not what the code says. Look at the change: tributary schema check --write"
        raise CommandFailed(message)
    _say("schema.graphql is what the code says.")


def _create_key(_: argparse.Namespace) -> None:
    settings = load()
    if settings.key_file.exists():
        message = f"there is a signing key at {settings.key_file} already; it stays"
        raise CommandFailed(message)
    create_signing_keys(settings.key_file)
    _say(f"Made {settings.key_file}. Keep it secret, and keep it: without it all sessions end.")
