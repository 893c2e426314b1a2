"""What people change about their own account: their profile and their password."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auth.caller import Caller
from auth.errors import InvalidToken
from auth.mail import AccountPages, NewMail, PostMail
from auth.password_again import PasswordAgain
from auth.password_rules import PasswordRules
from auth.passwords import Passwords, normal
from auth.principal import Principal
from auth.profile import fitted
from auth.refusal import Refusal
from auth.registration import Faulty
from auth.sessions import Sessions
from auth.throttle import Counted, Throttle
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.profiles import OwnAccount, change_profile, end_links, own_account, set_password
from datasources.database.sessions import home_of


@dataclass(frozen=True)
class PasswordChange:
    """The password that somebody has, and the one that they want."""

    current: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True)
class _Changed:
    """A new password that may be set."""

    password_hash: str
    counted: Counted


class OwnAccounts:
    """Changes accounts for the people whose they are."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        rules: PasswordRules,
        throttle: Throttle,
        sessions: Sessions,
        again: PasswordAgain,
        *,
        post_mail: PostMail,
        pages: AccountPages,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._rules = rules
        self._throttle = throttle
        self._sessions = sessions
        self._again = again
        self._post_mail = post_mail
        self._pages = pages

    async def update(
        self, principal: Principal, caller: Caller, given: Mapping[str, object], password: PasswordChange | None
    ) -> None:
        """Changes what of a profile is given (by column, ``None`` clears), and the password: all of it or nothing.

        A new password ends the person's other sessions at once. ``principal`` is a person. Raises ``Faulty`` and
        ``Refusal``.
        """
        columns, unfit = fitted(given)
        faults = [Refusal("INVALID", each.message, _in_camel_case(each.field)) for each in unfit]
        account = await own_account(self._database, principal.user_id or "")
        if account is None:
            raise InvalidToken
        if password is not None and (fault := await self._rules.fault(password.new, account.email, account.name)):
            faults.append(Refusal("INVALID", fault, "password", "new"))
        if faults:
            raise Faulty(faults)
        changed = None if password is None else await self._changed(account, principal, caller, password)
        home_id = principal.organization_id or await home_of(self._database, account.id)
        async with self._database.scoped(home_id, caller.origin(account.id)).transaction() as transaction:
            if columns:
                if not await change_profile(transaction, account.id, columns):
                    raise InvalidToken
                details = {"fields": sorted(columns)}
                entry = NewAuditEntry(principal.actor, "account.profile_changed", account.id, "LOW", details)
                await append_audit(transaction, entry)
            if changed is not None:
                await self._set_password(transaction, account, principal, changed)

    async def _changed(
        self, account: OwnAccount, principal: Principal, caller: Caller, password: PasswordChange
    ) -> _Changed:
        counted = await self._again.check(account, principal, caller, password.current, "password", "current")
        if normal(password.new) == normal(password.current):
            raise Refusal("INVALID", "Choose another password than the one you have.", "password", "new")
        return _Changed(await self._passwords.hash(password.new), counted)

    async def _set_password(
        self, transaction: Transaction, account: OwnAccount, principal: Principal, changed: _Changed
    ) -> None:
        if not await set_password(transaction, account.id, changed.password_hash, was=account.password_hash):
            raise Refusal("CONFLICT", "Your password was changed at this moment. Try again.", "password")
        await self._throttle.forgive(transaction, changed.counted)
        await end_links(transaction, account.email_key, "RESET_PASSWORD")
        await self._sessions.end_all(
            transaction, account.id, actor=principal.actor, reason="PASSWORD_CHANGED", but=principal.session_id
        )
        await append_audit(
            transaction, NewAuditEntry(principal.actor, "account.password_changed", account.id, "MEDIUM")
        )
        await self._post_mail(transaction, password_changed(account, self._pages))


def password_changed(account: OwnAccount, pages: AccountPages) -> NewMail:
    """What tells a person that their password is another one now, in case it was not them."""
    values = {"name": account.name or account.email, "link": pages.link("reset-password")}
    return NewMail("password_changed", account.email, account.id, values)


def _in_camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
