"""``tributary key``: API keys of organizations, and the keys that access tokens are signed with."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from auth.api_keys import ApiKeys, WantedKey
from auth.refusal import Refusal
from auth.scopes import KNOWN_SCOPES
from auth.signing_keys import ALGORITHMS, create_signing_keys, rotate_signing_keys
from datasources.database.accounts import organizations_by_id
from datasources.database.api_keys import ApiKeyRow, api_keys_of, organization_of_key
from datasources.database.engine import Database
from datasources.file_lock import InUse, locked
from gateway.commands import CommandFailed, on_database, say
from gateway.settings import Settings, load

OPERATOR = "operator"


def add_commands(commands: Any) -> None:
    """Adds ``key`` to the commands (what ``add_subparsers`` returns)."""
    key = commands.add_parser("key", help="API keys and signing keys").add_subparsers(required=True, metavar="command")

    create = key.add_parser("create", help="make an API key; its secret is shown this once")
    create.add_argument("--organization", metavar="ID", required=True, help="whose it is")
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument(
        "--scopes", required=True, metavar="A,B", help=f"what it may do, of {', '.join(sorted(KNOWN_SCOPES))}"
    )
    create.add_argument("--days", type=int, help="how long it lasts; 90 when absent")
    create.set_defaults(run=_create)

    revoke = key.add_parser("revoke", help="end an API key at once")
    revoke.add_argument("id", metavar="ID", help="which, as `key list` shows it")
    revoke.set_defaults(run=_revoke)

    listed = key.add_parser("list", help="the API keys of an organization")
    listed.add_argument("--organization", metavar="ID", required=True, help="of which")
    listed.set_defaults(run=_list)

    first = key.add_parser("create-signing", help="make the signing key where there is none")
    first.add_argument("--algorithm", choices=ALGORITHMS, default=ALGORITHMS[0], help="EdDSA unless said otherwise")
    first.set_defaults(run=_create_signing)

    rotate = key.add_parser("rotate-signing", help="sign with a new key; nobody is signed out")
    rotate.add_argument("--algorithm", choices=ALGORITHMS, help="as before unless said otherwise")
    rotate.add_argument(
        "--compromised", action="store_true", help="drop the old keys at once: access tokens end, sessions can refresh"
    )
    rotate.set_defaults(run=_rotate_signing)


def _create(options: argparse.Namespace) -> None:
    settings = load()
    now = datetime.now(UTC)
    if options.days is not None and not 1 <= options.days <= settings.api_key_max_days:
        raise CommandFailed(f"--days is from 1 to {settings.api_key_max_days} (API_KEY_MAX_DAYS)")
    ends = None if options.days is None else now + timedelta(days=options.days)
    scopes = [scope.strip() for scope in options.scopes.split(",") if scope.strip()]
    wanted = WantedKey(options.name, scopes, ends)

    async def run(database: Database) -> None:
        await _must_be_there(database, options.organization)
        made = await _api_keys(settings).create_as(database.scoped(options.organization), OPERATOR, wanted)
        say(f"Made {made.row.id}, which {_state(made.row, now)}. Its secret is shown this once:")
        say(made.secret)

    _on_database(settings, run)


def _revoke(options: argparse.Namespace) -> None:
    settings = load()

    async def run(database: Database) -> None:
        organization_id = await organization_of_key(database, options.id)
        if organization_id is None:
            raise CommandFailed(f"there is no API key {options.id}. See: tributary key list")
        await _api_keys(settings).revoke(database.scoped(organization_id), OPERATOR, options.id)
        say(f"{options.id} does not hold any more.")

    _on_database(settings, run)


def _list(options: argparse.Namespace) -> None:
    settings = load()

    async def run(database: Database) -> None:
        organization_id = options.organization
        await _must_be_there(database, organization_id)
        now = datetime.now(UTC)
        found = await api_keys_of(database.scoped(organization_id), [organization_id], now=now)
        for row in found[organization_id] or ():
            used = "never used" if row.last_used_at is None else f"last used {row.last_used_at:%Y-%m-%d %H:%M} UTC"
            say(f"{row.id}  {row.prefix}…  {row.name}  ({' '.join(row.scopes)})  {_state(row, now)}, {used}")

    _on_database(settings, run)


def _create_signing(options: argparse.Namespace) -> None:
    settings = load()
    if settings.key_file.exists():
        raise CommandFailed(f"there is a signing key at {settings.key_file} already; it stays")
    create_signing_keys(settings.key_file, algorithm=options.algorithm)
    say(f"Made {settings.key_file}. Keep it secret, and keep it: without it all access tokens end.")


def _rotate_signing(options: argparse.Namespace) -> None:
    path = load().key_file
    try:
        with locked(path.with_name(f"{path.name}.lock")):
            new = rotate_signing_keys(path, algorithm=options.algorithm, drop_old=options.compromised)
    except FileNotFoundError:
        raise CommandFailed(f"there is no signing key at {path}. Make one: tributary key create-signing") from None
    except InUse:
        raise CommandFailed("the signing keys are being rotated already") from None
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    if options.compromised:
        then = (
            "Every access token has ended; sessions go on with refreshSession. "
            "Restart the gateways to close sockets that are open."
        )
    else:
        then = "The keys before it verify for a day more."
    say(f"Signing with {new.id} ({new.algorithm}). {then}")


def _on_database(settings: Settings, work: Callable[[Database], Any]) -> None:
    async def run(database: Database) -> None:
        try:
            await work(database)
        except Refusal as refusal:
            raise CommandFailed(str(refusal)) from None

    on_database(settings, run, audited=True)


def _api_keys(settings: Settings) -> ApiKeys:
    return ApiKeys(longest=timedelta(days=settings.api_key_max_days))


async def _must_be_there(database: Database, organization_id: str) -> None:
    if organization_id not in await organizations_by_id(database.scoped(organization_id), [organization_id]):
        raise CommandFailed(f"there is no organization {organization_id}")


def _state(row: ApiKeyRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return f"was revoked on {row.revoked_at:%Y-%m-%d}"
    if row.expires_at is None:
        return "holds"
    return f"{'holds until' if row.expires_at > now else 'ended on'} {row.expires_at:%Y-%m-%d}"
