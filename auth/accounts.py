"""All that has to do with accounts, put together once at start."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import random

from auth.account_deletion import AccountDeletion
from auth.api_keys import ApiKeys
from auth.breached import Breaches
from auth.cookies import Cookies
from auth.invitations import Invitations
from auth.mail import AccountPages, PostMail
from auth.oidc import OutsideIssuers
from auth.oidc_settings import IssuerSettings
from auth.own_account import OwnAccounts
from auth.password_again import PasswordAgain
from auth.password_reset import PasswordResets
from auth.password_rules import PasswordRules
from auth.passwords import Passwords
from auth.registration import RegistrationMode, Registrations
from auth.sessions import Sessions
from auth.signin import SignIn
from auth.throttle import LONGEST_MEMORY, Throttle
from auth.tokens import Tokens
from datasources.breached_passwords import BreachedPasswords
from datasources.database.attempts import sweep_attempts
from datasources.database.engine import Database
from datasources.database.people import sweep_people
from datasources.database.sessions import sweep_sessions
from datasources.keyring import Keyring

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3_600.0
PLACES_KEPT = timedelta(days=180)
LINKS_KEPT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class AccountOptions:
    """What an operator may choose. ``home_page`` and ``pages`` are where people begin, and where links in mails lead.

    ``breached_passwords_url``: the range API that new passwords are compared with; ``None``: none.
    """

    home_page: str
    pages: AccountPages
    registration: RegistrationMode = "open"
    refresh_lifetime: timedelta = timedelta(days=7)
    session_lifetime: timedelta = timedelta(days=30)
    password_min_length: int = 15
    breached_passwords_url: str | None = None
    argon2_memory_kib: int = 19_456
    argon2_time_cost: int = 2
    argon2_parallelism: int = 1
    hashes_at_once: int | None = None
    issuers: tuple[IssuerSettings, ...] = ()
    longest_key: timedelta = timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """What mutations about accounts call."""

    database: Database
    cookies: Cookies
    passwords: Passwords
    password_rules: PasswordRules
    throttle: Throttle
    sessions: Sessions
    sign_in: SignIn
    registrations: Registrations
    invitations: Invitations
    api_keys: ApiKeys
    password_resets: PasswordResets
    own_accounts: OwnAccounts
    account_deletion: AccountDeletion
    post_mail: PostMail
    pages: AccountPages
    breaches: Breaches | None
    outside: OutsideIssuers

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """Removes, every hour, what is kept for a time only; ends threads and connections at the end."""
        sweeping = asyncio.create_task(self._sweep_again_and_again(), name="accounts-sweep")
        try:
            yield
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping
            self.passwords.close()
            if self.breaches is not None:
                await self.breaches.close()
            await self.outside.close()

    async def sweep(self) -> None:
        """Removes what has had its time: sessions, refresh tokens, counters, familiar places, links."""
        now = datetime.now(UTC)
        await sweep_sessions(self.database, now)
        await sweep_attempts(self.database, now, LONGEST_MEMORY)
        await sweep_people(self.database, now, places=PLACES_KEPT, links=LINKS_KEPT)

    async def _sweep_again_and_again(self) -> None:
        while True:
            # Not at the start, and not all processes at once.
            await asyncio.sleep(SWEEP_SECONDS * (0.5 + random()))  # noqa: S311 -- no secret
            try:
                await self.sweep()
            except Exception:
                logger.exception("removing what accounts keep for a time only failed; it is tried again in an hour")


def make_accounts(
    database: Database,
    tokens: Tokens,
    cookies: Cookies,
    keyring: Keyring,
    post_mail: PostMail,
    options: AccountOptions,
) -> Accounts:
    """Puts the parts together; opens nothing yet."""
    passwords = Passwords(
        memory_kib=options.argon2_memory_kib,
        time_cost=options.argon2_time_cost,
        parallelism=options.argon2_parallelism,
        at_once=options.hashes_at_once,
    )
    url = options.breached_passwords_url
    breaches = None if url is None else Breaches(BreachedPasswords(url))
    rules = PasswordRules(breaches, min_length=options.password_min_length)
    throttle = Throttle(database, keyring.derived("attempts"))
    sessions = Sessions(
        database, tokens, cookies, refresh_lifetime=options.refresh_lifetime, lifetime=options.session_lifetime
    )
    registrations = Registrations(
        database,
        passwords,
        rules,
        throttle,
        sessions,
        mode=options.registration,
        post_mail=post_mail,
        pages=options.pages,
        home_page=options.home_page,
    )
    sign_in = SignIn(database, passwords, throttle, sessions)
    invitations = Invitations(
        database, passwords, rules, throttle, sessions, sign_in, post_mail=post_mail, pages=options.pages
    )
    again = PasswordAgain(database, passwords, throttle)
    return Accounts(
        database=database,
        cookies=cookies,
        passwords=passwords,
        password_rules=rules,
        throttle=throttle,
        sessions=sessions,
        sign_in=sign_in,
        registrations=registrations,
        invitations=invitations,
        api_keys=ApiKeys(longest=options.longest_key),
        password_resets=PasswordResets(
            database, passwords, rules, throttle, sessions, post_mail=post_mail, pages=options.pages
        ),
        own_accounts=OwnAccounts(
            database, passwords, rules, throttle, sessions, again, post_mail=post_mail, pages=options.pages
        ),
        account_deletion=AccountDeletion(database, throttle, sessions, again, post_mail=post_mail),
        post_mail=post_mail,
        pages=options.pages,
        breaches=breaches,
        outside=OutsideIssuers(
            database, options.issuers, post=post_mail, pages=options.pages, own_issuer=tokens.issuer
        ),
    )
