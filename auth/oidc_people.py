"""Who the people of outside issuers are here: made when they are first seen, or linked to the account they have.

A person is known by (issuer, subject) alone. An address never lets anybody into an account: where a new person's
verified address has one, a link is sent to it, and only whoever follows that is linked. Within an organization they
join when they are first seen, and not again after they were removed from it.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from auth.errors import IdentityNotLinked, InvalidToken, IssuerUnreachable
from auth.mail import AccountPages, NewMail, PostMail
from auth.oidc_settings import IssuerSettings
from auth.oidc_tokens import text
from auth.principal import MemberRole
from datasources.database.access import announce_access_change
from datasources.database.accounts import memberships_of, organizations_by_id
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Origin, Transaction
from datasources.database.identities import (
    MOST_RECENT_LINKS,
    Account,
    Beaten,
    NewPerson,
    account_at,
    add_identity,
    add_person,
    call_organization,
    identified,
    join,
    locked_account,
    organization_called,
    recent_links,
    take_password_away,
)
from datasources.database.ids import new_id
from datasources.database.mail_links import new_link, use_link
from datasources.database.people import add_organization
from datasources.database.sessions import end_sessions_of
from datasources.mail.notices import in_words
from datasources.oidc import IssuerClient, IssuerRefused, IssuerUnavailable

LINK_LIFETIME = timedelta(hours=24)
LINK_PAUSE = timedelta(hours=1)
"""The shortest time between two mails about one person of an issuer."""
UNDELIVERABLE = "outside.invalid"
"""The domain (reserved by RFC 2606) of the addresses of people whose own is not known, or is somebody else's."""

_TRIES = 5
_LONGEST_ADDRESS = 254
_MOST_NAME = 200
# ASCII only: other letters can become the ASCII ones of somebody else's address when they are put in lower case.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outsider:
    """Somebody whom a token speaks for that holds. ``organization`` is the issuer's name for theirs, if it has one."""

    settings: IssuerSettings
    subject: str
    organization: str | None
    claims: Mapping[str, Any]
    token: str
    userinfo_endpoint: str | None

    @property
    def issuer(self) -> str:
        """Who vouches for them."""
        return self.settings.issuer


@dataclass(frozen=True)
class Insider:
    """The same person here, and the organization that they act for unless they say otherwise."""

    user_id: str
    home_id: str | None


@dataclass(frozen=True)
class _Told:
    """What the issuer says of a person; ``email`` only if it says that it has verified it."""

    email: str | None
    name: str | None


class OutsidePeople:
    """Finds, makes and links people; each change is one transaction with its audit entry."""

    def __init__(self, database: Database, client: IssuerClient, *, post: PostMail, pages: AccountPages) -> None:
        self._database = database
        self._client = client
        self._post = post
        self._pages = pages

    async def person(self, outsider: Outsider, origin: Origin, *, asked: bool = False) -> Insider:
        """Who this is here, made if they are new; ``asked``: they were sent a link a moment ago.

        Raises ``IdentityNotLinked``, ``IssuerUnreachable``, and ``InvalidToken`` where the settings name an
        organization that is not there.
        """
        told: _Told | None = None
        for _ in range(_TRIES):
            user_id = await identified(self._database, outsider.issuer, outsider.subject)
            try:
                if user_id is not None:
                    return Insider(user_id, await self._home_of_known(outsider, user_id, origin))
                if asked:
                    raise IdentityNotLinked
                told = told or await self._told(outsider)
                account = None if told.email is None else await account_at(self._database, told.email.lower())
                if account is not None:
                    await self._ask_to_link(outsider, account, origin)
                    raise IdentityNotLinked
                await self._introduce(outsider, told, origin)
            except Beaten:
                continue  # another request was first: look at what it has made
        raise InvalidToken

    async def confirm(self, token: str, issuers: Mapping[str, IssuerSettings], origin: Origin) -> str | None:
        """Links the identity that a mailed link is about to its account, and returns the person's id.

        ``None`` when the link does not hold, or no longer. Following the link proves the address. If nobody had proven
        it before, somebody else may have taken it for the account: the password and the sessions go.
        """
        scope = self._database.scoped(None, origin)
        try:
            async with scope.transaction() as transaction:
                link = await use_link(transaction, "LINK_IDENTITY", token)
                if link is None or link.user_id is None:
                    return None
                account = await locked_account(transaction, link.user_id)
                settings = issuers.get(link.data["issuer"])
                if account is None or account.email_key != link.email_key or settings is None:
                    return None
                await add_identity(transaction, settings.issuer, link.data["subject"], account.user_id)
                await self._link(transaction, account, settings, link.data["organization"])
        except Beaten:
            return None
        return account.user_id

    async def _home_of_known(self, outsider: Outsider, user_id: str, origin: Origin) -> str | None:
        if outsider.settings.organization_id is not None or outsider.organization is None:
            return outsider.settings.organization_id
        found = await organization_called(self._database, outsider.issuer, outsider.organization)
        if found is not None:
            return found
        made = new_id("org")
        async with self._database.scoped(made, origin._replace(user_id=user_id)).transaction() as transaction:
            await self._enter(transaction, user_id, outsider.settings, outsider.organization, new=True, name=None)
            await announce_access_change(transaction, user_id)
            await append_audit(transaction, _seen(user_id, outsider.settings, made_organization=True))
        return made

    async def _introduce(self, outsider: Outsider, told: _Told, origin: Origin) -> None:
        """Makes the person, and an organization where theirs is not there yet."""
        settings = outsider.settings
        home_id, new = await self._home_for_new(settings, outsider.organization)
        user_id = new_id("usr")
        email = told.email or made_up_address(user_id)
        person = NewPerson(user_id, email, told.name, email_verified=told.email is not None)
        async with self._database.scoped(home_id, origin._replace(user_id=user_id)).transaction() as transaction:
            await add_person(transaction, person)
            await add_identity(transaction, outsider.issuer, outsider.subject, user_id)
            await self._enter(transaction, user_id, settings, outsider.organization, new=new, name=told.name)
            await append_audit(transaction, _seen(user_id, settings, made_organization=new))

    async def _home_for_new(self, settings: IssuerSettings, organization: str | None) -> tuple[str, bool]:
        """The organization for somebody who is new, and whether it has yet to be made."""
        if settings.organization_id is not None:
            wanted = settings.organization_id
            if not await organizations_by_id(self._database.scoped(wanted), [wanted]):
                logger.error("the organization %s, for the people of %s, is not there", wanted, settings.issuer)
                raise InvalidToken
            return wanted, False
        found = None
        if organization is not None:
            found = await organization_called(self._database, settings.issuer, organization)
        return found or new_id("org"), found is None

    async def _enter(
        self,
        transaction: Transaction,
        user_id: str,
        settings: IssuerSettings,
        organization: str | None,
        *,
        new: bool,
        name: str | None,
    ) -> None:
        """Makes the person a member of the organization of the transaction, and that too if it is ``new``."""
        if new:
            called = organization or name or settings.display_name
            slug = str(transaction.scope.organization_id).replace("_", "-")
            await add_organization(transaction, called, ["BUYER"], (slug,), datetime.now(UTC))
            if organization is not None:
                await call_organization(transaction, settings.issuer, organization)
        role = MemberRole.OWNER if new else settings.role
        await join(transaction, user_id, role.value)

    async def _ask_to_link(self, outsider: Outsider, account: Account, origin: Origin) -> None:
        """Sends the account a link, unless it was sent one about this person within the last hour."""
        about = {"issuer": outsider.issuer, "subject": outsider.subject}
        home_id = await self._first_organization(account.user_id)
        async with self._database.scoped(home_id, origin).transaction() as transaction:
            locked = await locked_account(transaction, account.user_id)
            if locked is None or locked.email_key != account.email_key:
                raise Beaten
            recent = await recent_links(transaction, account.user_id, datetime.now(UTC) - LINK_PAUSE)
            if len(recent) >= MOST_RECENT_LINKS or any(about.items() <= each.items() for each in recent):
                return
            link = await new_link(
                transaction,
                "LINK_IDENTITY",
                user_id=account.user_id,
                email_key=account.email_key,
                data={**about, "organization": outsider.organization},
                lifetime=LINK_LIFETIME,
            )
            values = {
                "name": locked.name or locked.email,
                "provider": outsider.settings.display_name,
                "link": self._pages.link("link-identity", link),
                "lifetime": in_words(LINK_LIFETIME),
            }
            await self._post(transaction, NewMail("link_identity", locked.email, account.user_id, values))
            entry = NewAuditEntry(
                account.user_id, "identity.link_requested", account.user_id, "MEDIUM", {"issuer": outsider.issuer}
            )
            await append_audit(transaction, entry)

    async def _link(
        self, transaction: Transaction, account: Account, settings: IssuerSettings, organization: str | None
    ) -> None:
        """What linking brings: the password's end where nobody had proven the address, and the organization."""
        user_id, origin = account.user_id, transaction.scope.origin._replace(user_id=account.user_id)
        unproven = account.email_verified_at is None
        if unproven:
            await take_password_away(transaction, user_id)
            now = datetime.now(UTC)
            for session in await end_sessions_of(transaction, user_id, "IDENTITY_LINKED", now, but=None):
                await announce_access_change(_within(transaction, session.home_id, origin), session.id)
        home_id = await self._first_organization(user_id)
        if settings.organization_id is not None or organization is not None:
            home_id, new = await self._home_for_new(settings, organization)
            within = _within(transaction, home_id, origin)
            await self._enter(within, user_id, settings, organization, new=new, name=None)
            await announce_access_change(within, user_id)
        entry = NewAuditEntry(
            user_id, "identity.linked", user_id, "HIGH", {"issuer": settings.issuer, "password_removed": unproven}
        )
        await append_audit(_within(transaction, home_id, origin), entry)

    async def _first_organization(self, user_id: str) -> str | None:
        places = await memberships_of(self._database, user_id)
        return places[0].organization_id if places else None

    async def _told(self, outsider: Outsider) -> _Told:
        """What the token says of the person, or, where it has no address, the issuer when it is asked."""
        settings = outsider.settings
        told = _told(outsider.claims, settings.email_claim, settings.email_verified_claim, settings.name_claim)
        if settings.email_claim in outsider.claims or not settings.userinfo or outsider.userinfo_endpoint is None:
            return told
        try:
            asked = await self._client.userinfo(outsider.issuer, outsider.userinfo_endpoint, outsider.token)
        except IssuerRefused:
            return told  # a token for this API need not be one for that endpoint, and a machine has no address
        except IssuerUnavailable as error:
            logger.warning("%s does not say who somebody is: %s", outsider.issuer, error)
            raise IssuerUnreachable from None
        if asked.get("sub") != outsider.subject:  # OpenID Connect Core 1.0, section 5.3.2
            logger.warning("%s answered about somebody else than was asked for", outsider.issuer)
            return told
        return _told(asked, "email", "email_verified", "name")


def made_up_address(user_id: str) -> str:
    """An address for an account that has none, where no mail can be sent.

    It is made of the new id, and not of what the issuer calls the person: else anybody who knows that could register
    with the address first, and keep them out.
    """
    return f"{user_id}@{UNDELIVERABLE}"


def _told(claims: Mapping[str, Any], email_claim: str, verified_claim: str, name_claim: str) -> _Told:
    email = text(claims.get(email_claim), _LONGEST_ADDRESS)
    usable = email is not None and _ADDRESS.fullmatch(email) and not email.lower().endswith(".invalid")
    verified = claims.get(verified_claim) is True
    return _Told(email if usable and verified else None, text(claims.get(name_claim), _MOST_NAME))


def _within(transaction: Transaction, organization_id: str | None, origin: Origin) -> Transaction:
    """The same transaction as another organization."""
    scope = transaction.scope.database.scoped(organization_id, origin)
    return Transaction(
        scope,
        transaction.connection,
        transaction.announced,
        transaction.before_commit,
        transaction.after_commit,
    )


def _seen(user_id: str, settings: IssuerSettings, *, made_organization: bool) -> NewAuditEntry:
    details = {"issuer": settings.issuer, "organization_made": made_organization}
    return NewAuditEntry(user_id, "identity.seen_first", user_id, "LOW", details)
