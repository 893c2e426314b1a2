"""``tributary user``: who has an account, and what they may do where."""

import argparse
import asyncio
import getpass
import json
import sys
from typing import Any

from auth import operator
from auth.breached import Breaches
from auth.mail import AccountPages
from auth.password_rules import PasswordRules
from auth.passwords import Passwords
from auth.principal import MemberRole
from auth.refusal import Refusal
from datasources.breached_passwords import BreachedPasswords
from datasources.database.engine import Database
from datasources.database.roster import Person, Place, listed, organization_name
from datasources.mail.notices import in_words
from gateway.accounts import posting_to
from gateway.commands import CommandFailed, keyring_of, on_database, say
from gateway.mail import outbox
from gateway.settings import Settings, load

_ROLES = tuple(role.name for role in MemberRole)


def add_commands(commands: Any) -> None:
    """Adds ``user`` to the commands (what ``add_subparsers`` returns)."""
    user = commands.add_parser("user", help="people and their roles").add_subparsers(required=True, metavar="command")

    everybody = user.add_parser("list", help="who has an account, and where they belong")
    everybody.add_argument("--organization", metavar="ID", help="only its members")
    everybody.add_argument("--json", action="store_true", help="as JSON, one object a line")
    everybody.set_defaults(run=_list)

    create = user.add_parser(
        "create",
        help="make an account",
        description="Makes an account. Unless a password is given, its person chooses one by a link, which goes out by "
        "mail, or is shown here where no mail is sent.",
    )
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--name", help="as the person wants to be called")
    create.add_argument(
        "--organization", metavar="NAME|ID", required=True, help="the id of one that there is, or a name to make one"
    )
    create.add_argument("--role", choices=_ROLES, help="OWNER in a new organization, MEMBER in another unless said")
    how = create.add_mutually_exclusive_group()
    how.add_argument("--password", action="store_true", dest="ask", help="ask for a password here")
    how.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    how.add_argument("--show-link", action="store_true", help="show the link here instead of sending it")
    create.set_defaults(run=_create)

    promote = user.add_parser("promote", help="give somebody a role in an organization, also as a new member")
    promote.add_argument("email", metavar="EMAIL")
    promote.add_argument("--organization", metavar="ID", required=True, help="where")
    promote.add_argument("--role", choices=_ROLES, required=True, help="what they are from now on")
    promote.set_defaults(run=_promote)

    disable = user.add_parser("disable", help="bar somebody; their sessions and API keys end at once")
    disable.add_argument("email", metavar="EMAIL")
    disable.set_defaults(run=_disable)

    enable = user.add_parser("enable", help="let somebody sign in again")
    enable.add_argument("email", metavar="EMAIL")
    enable.set_defaults(run=_enable)


def _list(options: argparse.Namespace) -> None:
    async def run(database: Database) -> None:
        only = options.organization
        if only is not None and await organization_name(database, only) is None:
            raise CommandFailed(f"there is no organization {only}")
        for person, places in await listed(database, only):
            say(json.dumps(_as_json(person, places)) if options.json else _as_text(person, places))

    on_database(load(), run)


def _create(options: argparse.Namespace) -> None:
    settings = load()
    password = _password(options)
    password_hash = None if password is None else asyncio.run(_hashed(settings, password, options))
    role = None if options.role is None else MemberRole(options.role)
    name, organization = (options.name or "").strip() or None, options.organization.strip()
    wanted = operator.NewUser(options.email.strip(), name, organization, role, password_hash)

    async def run(database: Database) -> None:
        post = None
        if settings.mail_way != "none" and not options.show_link:
            post = posting_to(outbox(settings, database, keyring_of(settings)))
        pages = AccountPages(settings.account_pages_url)
        try:
            place, link = await operator.create_user(database, wanted, pages=pages, post_mail=post)
        except Refusal as refusal:
            raise CommandFailed(str(refusal)) from None
        say(f"Made {wanted.email}, {place.role} of {_shown(place.organization)} ({place.organization_id}).")
        if link is not None:
            say(f"To choose a password, within {in_words(operator.LINK_LIFETIME)}: {link}")
        elif password_hash is None:
            say("A running gateway sends them a link to choose a password.")

    on_database(settings, run, audited=True)


def _promote(options: argparse.Namespace) -> None:
    role = MemberRole(options.role)

    async def run(database: Database) -> None:
        try:
            was = await operator.give_role(database, options.email, options.organization, role)
        except Refusal as refusal:
            raise CommandFailed(str(refusal)) from None
        before = "no member before" if was is None else f"{was.name} before"
        say(f"{options.email} is {role.name} of {options.organization} ({before}).")

    on_database(load(), run, audited=True)


def _disable(options: argparse.Namespace) -> None:
    async def run(database: Database) -> None:
        try:
            orphaned = await operator.disable(database, options.email)
        except Refusal as refusal:
            raise CommandFailed(str(refusal)) from None
        say(f"{options.email} is disabled: no sign-in, session or API key of theirs holds any more.")
        for place in orphaned:
            where = f"{_shown(place.organization)} ({place.organization_id})"
            say(f"{where} has no owner now who can sign in. Make one: tributary user promote")

    on_database(load(), run, audited=True)


def _enable(options: argparse.Namespace) -> None:
    async def run(database: Database) -> None:
        try:
            await operator.enable(database, options.email)
        except Refusal as refusal:
            raise CommandFailed(str(refusal)) from None
        say(f"{options.email} can sign in again. API keys that were revoked stay so.")

    on_database(load(), run, audited=True)


def _password(options: argparse.Namespace) -> str | None:
    """The password that was given, asked for twice where nobody sees what is typed."""
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not options.ask:
        return None
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandFailed("the two passwords differ")
    return password


async def _hashed(settings: Settings, password: str, options: argparse.Namespace) -> str:
    breaches = None if settings.breach_service is None else Breaches(BreachedPasswords(settings.breach_service))
    rules = PasswordRules(breaches, min_length=settings.password_min_length)
    try:
        fault = await rules.fault(password, options.email, options.name, options.organization)
    finally:
        if breaches is not None:
            await breaches.close()
    if fault is not None:
        raise CommandFailed(fault)
    hasher = Passwords(
        memory_kib=settings.argon2_memory_kib,
        time_cost=settings.argon2_time_cost,
        parallelism=settings.argon2_parallelism,
    )
    return hasher.hash_now(password)


def _as_json(person: Person, places: list[Place]) -> dict[str, object]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "createdAt": person.created_at.isoformat(),
        "disabledAt": None if person.disabled_at is None else person.disabled_at.isoformat(),
        "organizations": [
            {"id": each.organization_id, "name": each.organization, "role": each.role} for each in places
        ],
    }


def _as_text(person: Person, places: list[Place]) -> str:
    state = "" if person.disabled_at is None else f"  disabled since {person.disabled_at:%Y-%m-%d}"
    name = f" ({_shown(person.name)})" if person.name else ""
    where = [f"  {place.role} of {_shown(place.organization)} ({place.organization_id})" for place in places]
    return "\n".join([f"{_shown(person.email)}{name}  {person.id}{state}", *(where or ["  in no organization"])])


def _shown(text: str) -> str:
    """A text that people chose, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
