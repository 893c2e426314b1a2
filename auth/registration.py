"""Registering: a person, their organization, and a first session.

How is the operator's choice (``REGISTRATION``):

- ``open``: the account is there at once. An address that has an account is answered TAKEN, which tells that it has one;
  that many services do so too makes it no better. Choose ``confirmed`` where it matters.
- ``confirmed``: nothing is made before a link in a mail was followed. Answer and work are the same whether or not the
  address has an account: in the one case the mail has the link, in the other it says that there is an account. Whoever
  follows the link gives the password again: a stranger who registers with somebody's address must not get them to
  confirm an account that the stranger has the password of.
- ``closed``: people come by invitation or through an identity provider.
"""

import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from auth.caller import Caller
from auth.mail import AccountPages, NewMail, PostMail
from auth.password_rules import PasswordRules
from auth.passwords import Passwords
from auth.principal import MemberRole
from auth.refusal import Refusal
from auth.sessions import Session, Sessions
from auth.throttle import MAIL_FROM_PLACE, MAIL_TO_ADDRESS, REGISTRATION, Limit, Throttle, TooManyAttempts
from datasources.database.accounts import MembershipRow
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.ids import new_id
from datasources.database.mail_links import new_link, use_link
from datasources.database.people import (
    NewAccount,
    account_at,
    add_account,
    add_membership,
    add_organization,
    pending_registration,
)
from datasources.mail.addresses import NotAnAddress, mailbox
from datasources.mail.notices import in_words

RegistrationMode: TypeAlias = Literal["open", "confirmed", "closed"]

LINK_LIFETIME = timedelta(days=1)
MAX_NAME_LENGTH = 120
MAX_SLUG_LENGTH = 48
_CONFIRMING = Limit("password of a registration", 5, timedelta(seconds=30), timedelta(hours=1))


class Faulty(Exception):
    """The input has to be mended first, in all these ways."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__()
        self.refusals = refusals


@dataclass(frozen=True)
class Registration:
    """Who registers. ``cookie``: whether the tokens are to be in cookies."""

    email: str
    password: str = field(repr=False)
    name: str | None
    organization_name: str
    capabilities: Sequence[str] = ("BUYER",)
    cookie: bool = False

    @property
    def email_key(self) -> str:
        """The address as it is compared."""
        return self.email.lower()

    def tidied(self) -> "Registration":
        """The same without spaces around; no name rather than an empty one."""
        return Registration(
            email=self.email.strip(),
            password=self.password,
            name=(self.name or "").strip() or None,
            organization_name=self.organization_name.strip(),
            capabilities=tuple(dict.fromkeys(self.capabilities)) or ("BUYER",),
            cookie=self.cookie,
        )


class Registrations:
    """Registers people."""

    def __init__(  # noqa: PLR0913 -- what registering touches, put together in one place
        self,
        database: Database,
        passwords: Passwords,
        rules: PasswordRules,
        throttle: Throttle,
        sessions: Sessions,
        *,
        mode: RegistrationMode,
        post_mail: PostMail,
        pages: AccountPages,
        home_page: str,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._rules = rules
        self._throttle = throttle
        self._sessions = sessions
        self._mode = mode
        self._post_mail = post_mail
        self._pages = pages
        self._home_page = home_page

    async def register(self, registration: Registration, caller: Caller) -> Session | None:
        """A session; ``None`` where a link in a mail has to be followed first.

        Raises ``Faulty`` and ``Refusal``.
        """
        if self._mode == "closed":
            raise Refusal("NOT_ALLOWED_IN_STATE", "Nobody can register here. Ask somebody to invite you.")
        wanted = registration.tidied()
        faults = [*_faults(wanted)]
        if not faults:
            # What the password is compared with elsewhere costs somebody else, so a place cannot ask for it at will.
            await self._throttle.admit((REGISTRATION, caller.place))
            about = (wanted.email, wanted.name, wanted.organization_name)
            fault = await self._rules.fault(wanted.password, *about)
            faults += [] if fault is None else [Refusal("INVALID", fault, "password")]
        if faults:
            raise Faulty(faults)
        password_hash = await self._passwords.hash(wanted.password)
        if self._mode == "confirmed":
            await self._send_link(wanted, password_hash, caller)
            return None
        account = _account(wanted, password_hash, verified=False)
        scope = self._database.scoped(new_id("org"), caller.origin(account.id))
        async with scope.transaction() as transaction:
            return await self._make(transaction, account, wanted, caller)

    async def confirm(self, token: str, password: str, caller: Caller, *, cookie: bool) -> Session:
        """Makes the account that a link was sent for; raises ``Refusal``, about ``token`` where that is over."""
        if self._mode == "closed":
            raise _link_over()
        data = await pending_registration(self._database, token)
        if data is None:
            raise _link_over()
        counted = await self._throttle.admit((_CONFIRMING, token))
        if not await self._passwords.verify(password, data["passwordHash"]):
            raise Refusal("INVALID", "Give the password that you have chosen when you registered.", "password")
        wanted = _remembered(data, password, cookie=cookie)
        account = _account(wanted, data["passwordHash"], verified=True)
        scope = self._database.scoped(new_id("org"), caller.origin(account.id))
        try:
            async with scope.transaction() as transaction:
                if await use_link(transaction, "CONFIRM_REGISTRATION", token) is None:
                    raise _link_over()
                await self._throttle.forgive(transaction, counted)
                return await self._make(transaction, account, wanted, caller)
        except Refusal as refused:
            # The address has an account by now: another link to it was faster.
            raise (_link_over() if refused.code == "TAKEN" else refused) from None

    async def _make(
        self, transaction: Transaction, account: NewAccount, wanted: Registration, caller: Caller
    ) -> Session:
        """Raises ``Refusal`` when the address has an account."""
        now = datetime.now(UTC)
        organization_id = str(transaction.scope.organization_id)
        if not await add_account(transaction, account, now):
            message = "There is an account with that address. Sign in, or have a new password sent to you."
            raise Refusal("TAKEN", message, "email")
        slugs = slugs_for(wanted.organization_name, organization_id)
        await add_organization(transaction, wanted.organization_name, wanted.capabilities, slugs, now)
        role = MemberRole.OWNER.value
        await add_membership(transaction, account.id, role, now)
        details = {"verified": account.email_verified_at is not None}
        await append_audit(transaction, NewAuditEntry(account.id, "account.registered", account.id, "LOW", details))
        place = MembershipRow(organization_id, account.id, role, now)
        session = await self._sessions.open(transaction, place, method="REGISTRATION", cookie=wanted.cookie)
        await self._throttle.make_familiar(transaction, account.id, account.email_key, caller.place)
        values = {
            "name": _called(wanted),
            "organization": wanted.organization_name,
            "link": self._home_page,
        }
        await self._post_mail(transaction, NewMail("welcome", account.email, account.id, values))
        return session

    async def _send_link(self, wanted: Registration, password_hash: str, caller: Caller) -> None:
        try:
            await self._throttle.admit((MAIL_TO_ADDRESS, wanted.email_key), (MAIL_FROM_PLACE, caller.place))
        except TooManyAttempts:
            return  # in silence: the answer is that of a mail that was sent
        known = await account_at(self._database, wanted.email_key)
        data = {
            "passwordHash": password_hash,
            "email": wanted.email,
            "name": wanted.name,
            "organizationName": wanted.organization_name,
            "capabilities": list(wanted.capabilities),
        }
        async with self._database.scoped(None, caller.origin()).transaction() as transaction:
            # Where there is an account the token goes to nobody; the link is made for the work that it is.
            token = await new_link(
                transaction,
                "CONFIRM_REGISTRATION",
                user_id=None,
                email_key=wanted.email_key,
                data=data,
                lifetime=LINK_LIFETIME,
            )
            if known is None:
                values = {
                    "name": _called(wanted),
                    "link": self._pages.link("confirm", token),
                    "lifetime": in_words(LINK_LIFETIME),
                }
                mail = NewMail("confirm_registration", wanted.email, None, values)
            else:
                values = {"name": known.name or known.email, "link": self._pages.link("reset-password")}
                mail = NewMail("account_exists", known.email, known.id, values)
            await self._post_mail(transaction, mail)


def _link_over() -> Refusal:
    return Refusal("INVALID", "That link has been used, or has ended. Register again, or sign in.", "token")


def _faults(wanted: Registration) -> Iterator[Refusal]:
    try:
        mailbox(wanted.email)
    except NotAnAddress:
        yield Refusal("INVALID", "No mail can be sent to that address. Write it like ada@example.com.", "email")
    if not wanted.organization_name:
        yield Refusal("REQUIRED", "Give your organization a name.", "organizationName")
    for name, text in (("name", wanted.name), ("organizationName", wanted.organization_name)):
        if text is not None and (fault := name_fault(text)) is not None:
            yield Refusal("INVALID", fault, name)


def name_fault(text: str) -> str | None:
    """What is wrong with the name of a person or an organization."""
    if len(text) > MAX_NAME_LENGTH:
        return f"A name has at most {MAX_NAME_LENGTH} characters."
    # Control characters, halves of a pair, and what is in no alphabet; joiners within words and emoji are fine.
    if any(unicodedata.category(each) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for each in text):
        return "A name has no control characters and no line breaks."
    return None


def _account(wanted: Registration, password_hash: str, *, verified: bool) -> NewAccount:
    return NewAccount(
        id=new_id("usr"),
        email=wanted.email,
        email_key=wanted.email_key,
        password_hash=password_hash,
        name=wanted.name,
        email_verified_at=datetime.now(UTC) if verified else None,
    )


def _remembered(data: Mapping[str, Any], password: str, *, cookie: bool) -> Registration:
    return Registration(
        email=data["email"],
        password=password,
        name=data["name"],
        organization_name=data["organizationName"],
        capabilities=data["capabilities"],
        cookie=cookie,
    )


def _called(wanted: Registration) -> str:
    return wanted.name or wanted.email


def slugs_for(name: str, organization_id: str) -> Sequence[str]:
    """Names for addresses, the nicest first; the last cannot be taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = "".join(each if each.isalnum() else " " for each in plain).split()
    slug = "-".join(words)[:MAX_SLUG_LENGTH].strip("-")
    own = organization_id.replace("_", "-")
    return (slug, f"{slug}-{secrets.token_hex(3)}", own) if slug else (own,)
