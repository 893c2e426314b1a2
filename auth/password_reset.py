"""A new password by a link in a mail (OWASP's Forgot Password Cheat Sheet).

Whether or not an address has an account that may be signed in to, asking takes the same statements and gets the same
answer: the link and the mail are made in either case, and the mail to nobody goes nowhere. Too much asking is refused
in silence. What others ask for from places where a person has never been does not use up what they may ask for
themselves. A link works once, for 30 minutes, and only the newest one; it ends all sessions and opens a new one.
"""

from datetime import timedelta

from auth.caller import Caller
from auth.mail import AccountPages, NewMail, PostMail
from auth.own_account import password_changed
from auth.password_rules import PasswordRules
from auth.passwords import Passwords
from auth.refusal import Refusal
from auth.sessions import Session, Sessions
from auth.throttle import MAIL_FROM_PLACE, MAIL_TO_ADDRESS, Throttle, TooManyAttempts
from datasources.database.accounts import MembershipRow, memberships_of
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.mail_links import new_link, use_link
from datasources.database.people import credentials
from datasources.database.profiles import (
    OwnAccount,
    account_of_link,
    end_links,
    open_account_at,
    set_password,
    verify_address,
)
from datasources.mail.notices import in_words

LINK_LIFETIME = timedelta(minutes=30)

_NOBODY = "nobody@nobody.invalid"
"""Where the mail goes that is made for an address without an account; nothing is ever sent there."""


class PasswordResets:
    """Sends links, and takes new passwords from who has followed one."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        rules: PasswordRules,
        throttle: Throttle,
        sessions: Sessions,
        *,
        post_mail: PostMail,
        pages: AccountPages,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._rules = rules
        self._throttle = throttle
        self._sessions = sessions
        self._post_mail = post_mail
        self._pages = pages

    async def request(self, email: str, caller: Caller) -> None:
        """Sends a link to the account with this address, if there is one, and takes older links back."""
        email_key = email.strip().lower()
        place = self._throttle.place_of(email_key, caller.place)
        known = await credentials(self._database, email_key, place)
        familiar = known is not None and known.usable and known.familiar_since is not None
        subject = f"{email_key}\0{caller.place}" if familiar else email_key
        try:
            await self._throttle.admit((MAIL_TO_ADDRESS, subject), (MAIL_FROM_PLACE, caller.place))
        except TooManyAttempts:
            return
        async with self._database.scoped(None, caller.origin()).transaction() as transaction:
            account = await open_account_at(transaction, email_key)
            user_id = None if account is None else account.id
            await end_links(transaction, email_key, "RESET_PASSWORD")
            token = await new_link(
                transaction, "RESET_PASSWORD", user_id=user_id, email_key=email_key, data={}, lifetime=LINK_LIFETIME
            )
            address, name = (_NOBODY, _NOBODY) if account is None else (account.email, account.name or account.email)
            values = {
                "name": name,
                "link": self._pages.link("reset-password", token),
                "lifetime": in_words(LINK_LIFETIME),
            }
            await self._post_mail(transaction, NewMail("reset_password", address, user_id, values))
            # In the gateway's own chain: anybody may ask, so nobody's organization is told of it.
            entry = NewAuditEntry("nobody", "account.password_reset_requested", user_id, "LOW", email=email_key)
            await append_audit(transaction, entry)

    async def reset(self, token: str, password: str, caller: Caller, *, cookie: bool) -> Session:
        """Sets a new password and opens a session; raises ``Refusal``, about ``token`` where the link is over."""
        account = await account_of_link(self._database, "RESET_PASSWORD", token)
        if account is None:
            raise _link_over()
        fault = await self._rules.fault(password, account.email, account.name)
        if fault is not None:
            raise Refusal("INVALID", fault, "password")
        place = next(iter(await memberships_of(self._database, account.id)), None)
        if place is None:
            message = "You belong to no organization. Ask somebody to invite you; the link in that mail lets you in."
            raise Refusal("NOT_ALLOWED_IN_STATE", message)
        password_hash = await self._passwords.hash(password)
        scope = self._database.scoped(place.organization_id, caller.origin(account.id))
        async with scope.transaction() as transaction:
            if await use_link(transaction, "RESET_PASSWORD", token) is None:
                raise _link_over()
            if not await set_password(transaction, account.id, password_hash, was=account.password_hash):
                raise _link_over()
            return await self._sign_in(transaction, account, place, caller, cookie=cookie)

    async def _sign_in(
        self, transaction: Transaction, account: OwnAccount, place: MembershipRow, caller: Caller, *, cookie: bool
    ) -> Session:
        """All that follows on a new password."""
        await verify_address(transaction, account.id)
        await end_links(transaction, account.email_key, "RESET_PASSWORD")
        await append_audit(transaction, NewAuditEntry(account.id, "account.password_reset", account.id, "MEDIUM"))
        await self._sessions.end_all(transaction, account.id, actor=account.id, reason="PASSWORD_RESET")
        await self._throttle.make_familiar(transaction, account.id, account.email_key, caller.place)
        await self._post_mail(transaction, password_changed(account, self._pages))
        return await self._sessions.open(transaction, place, method="LINK", cookie=cookie)


def _link_over() -> Refusal:
    message = "That link has been used, has ended, or a newer one was sent. Have another one sent."
    return Refusal("INVALID", message, "token")
