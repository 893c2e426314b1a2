"""The accounts of the gateway, as its settings say."""

from datetime import timedelta
from functools import cache

from auth.accounts import AccountOptions, Accounts, make_accounts
from auth.cookies import Cookies
from auth.mail import AccountPages, NewMail, PostMail
from auth.tokens import Tokens
from datasources.database.engine import Database, Transaction
from datasources.keyring import Keyring
from datasources.mail.notices import Notice
from datasources.mail.outbox import Outbox
from datasources.mail.template import template
from gateway.settings import Settings

_template = cache(template)


def posting_to(outbox: Outbox) -> PostMail:
    """What puts the mails of accounts into the outbox."""

    async def post(transaction: Transaction, mail: NewMail) -> None:
        await outbox.post(transaction, Notice(_template(mail.template), mail.to, mail.values, mail.user_id))

    return post


def accounts_of(
    settings: Settings, *, database: Database, tokens: Tokens, cookies: Cookies, keyring: Keyring, outbox: Outbox
) -> Accounts:
    """Puts them together; opens nothing yet."""
    options = AccountOptions(
        home_page=f"{settings.base_url}/graphql",
        pages=AccountPages(settings.account_pages_url),
        registration=settings.registration,
        refresh_lifetime=timedelta(seconds=settings.refresh_token_seconds),
        session_lifetime=timedelta(days=settings.session_days),
        password_min_length=settings.password_min_length,
        breached_passwords_url=settings.breach_service,
        argon2_memory_kib=settings.argon2_memory_kib,
        argon2_time_cost=settings.argon2_time_cost,
        argon2_parallelism=settings.argon2_parallelism,
        hashes_at_once=settings.hashes_at_once,
        issuers=settings.oidc_issuers,
        longest_key=timedelta(days=settings.api_key_max_days),
    )
    return make_accounts(database, tokens, cookies, keyring, posting_to(outbox), options)
