"""Invitations to an organization.

The link goes to the invited address alone; no answer of the API has it. It works once, within seven days, and inviting
again sends another and ends the one before. Whoever follows it has shown that the mail of the address is theirs:

- who is signed in with an account of that address joins;
- who is signed in as somebody else is refused, for two people would get mixed up;
- who has an account and is not signed in gives its password, which is counted as a sign-in is;
- who has none chooses a password, and has one.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from auth.caller import Caller
from auth.errors import PersonRequired
from auth.mail import AccountPages, NewMail, PostMail
from auth.members import ADMINISTER_MEMBERS, Actor, locked_actor
from auth.password_rules import PasswordRules
from auth.passwords import Passwords
from auth.principal import MemberRole, Principal
from auth.profile import fitted
from auth.refusal import Refusal
from auth.scopes import ROLE_SCOPES
from auth.sessions import Session, Sessions
from auth.signin import SignIn
from auth.throttle import Throttle
from datasources.database.access import announce_access_change
from datasources.database.accounts import MembershipRow, organizations_by_id
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Scope, Transaction
from datasources.database.identities import join
from datasources.database.ids import new_id
from datasources.database.invitations import (
    InvitationRow,
    NewInvitation,
    accept,
    add_invitation,
    invitations_by_id,
    pending_by_token,
    sent_lately,
    withdraw,
)
from datasources.database.members import is_member_address, named, organization_name
from datasources.database.people import NewAccount, account_at, add_account
from datasources.database.profiles import own_account, verify_address
from datasources.database.roster import lock_organization, role_of
from datasources.mail.addresses import can_be_reached
from datasources.mail.notices import in_words

LIFETIME = timedelta(days=7)
KEPT = timedelta(days=30)
"""How long an invitation that has ended can still be looked at."""
MOST_PENDING = 50
MOST_A_DAY = 100
MOST_A_DAY_TO_ADDRESS = 5
"""How many invitations of an organization are open, and how many it sends in a day, in all and to one address."""

_DAY = timedelta(days=1)
_TOKEN_LENGTH = 43
_GONE = "This invitation was accepted or withdrawn, or has ended. Ask for a new one."
_NO_SUCH_INVITATION = "There is no open invitation with this id that you may see."


@dataclass(frozen=True)
class Acceptance:
    """Somebody follows the link. ``cookie``: whether the tokens of their session are to be in cookies."""

    token: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    name: str | None = None
    cookie: bool = False


class Invitations:
    """Sends, withdraws and accepts invitations."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        rules: PasswordRules,
        throttle: Throttle,
        sessions: Sessions,
        sign_in: SignIn,
        *,
        post_mail: PostMail,
        pages: AccountPages,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._rules = rules
        self._throttle = throttle
        self._sessions = sessions
        self._sign_in = sign_in
        self._post_mail = post_mail
        self._pages = pages

    async def invite(self, scope: Scope, principal: Principal, email: str, role: MemberRole) -> InvitationRow:
        """Invites an address to the organization of ``scope``; raises ``Refusal`` and ``AccessDenied``."""
        address, now = email.strip(), datetime.now(UTC)
        if not can_be_reached(address):
            raise Refusal("INVALID", "No mail can be sent to that address. Write it like ada@example.com.", "email")
        token = secrets.token_urlsafe()
        invitation = NewInvitation(
            id=new_id("inv"),
            email=address,
            email_key=address.lower(),
            role=role.value,
            invited_by=principal.actor,
            digest=_digest(token),
            created_at=now,
            expires_at=now + LIFETIME,
        )
        async with scope.transaction() as transaction:
            actor = await locked_actor(transaction, principal)
            actor.must_manage(role)
            await _must_have_room(transaction, invitation.email_key, now)
            await add_invitation(transaction, invitation, keep_since=now - KEPT)
            await self._send(transaction, actor, invitation, token)
            risk = "MEDIUM" if ADMINISTER_MEMBERS in ROLE_SCOPES[role] else "LOW"
            entry = NewAuditEntry(
                actor.id, "invitation.sent", invitation.id, risk, {"role": role.name}, email=invitation.email_key
            )
            await append_audit(transaction, entry)
        return (await invitations_by_id(scope, [invitation.id]))[invitation.id]

    async def withdraw(self, scope: Scope, principal: Principal, invitation_id: str) -> InvitationRow:
        """Ends an open invitation of the organization; raises ``Refusal`` and ``AccessDenied``."""
        async with scope.transaction() as transaction:
            actor = await locked_actor(transaction, principal)
            if not await withdraw(transaction, invitation_id, datetime.now(UTC)):
                raise Refusal("NOT_FOUND", _NO_SUCH_INVITATION, "id")
            await append_audit(transaction, NewAuditEntry(actor.id, "invitation.withdrawn", invitation_id, "LOW"))
        return (await invitations_by_id(scope, [invitation_id]))[invitation_id]

    async def accept(self, acceptance: Acceptance, principal: Principal, caller: Caller) -> Session:
        """Makes who follows the link a member, and opens a session there.

        Raises ``Refusal``, ``PersonRequired``, ``TooManyAttempts`` and ``TooBusy``.
        """
        if principal.key_id is not None:
            raise PersonRequired
        token, invitation = acceptance.token, None
        if len(token) == _TOKEN_LENGTH and token.isascii():
            invitation = await pending_by_token(self._database, _digest(token), datetime.now(UTC))
        if invitation is None:
            raise Refusal("INVALID", _GONE, "token")
        if principal.user_id is not None:
            return await self._join_signed_in(invitation, principal.user_id, acceptance, caller)
        if await account_at(self._database, invitation.email_key) is None:
            return await self._join_new(invitation, acceptance, caller)
        return await self._join_known(invitation, acceptance, caller)

    async def _join_signed_in(
        self, invitation: InvitationRow, user_id: str, acceptance: Acceptance, caller: Caller
    ) -> Session:
        account = await own_account(self._database, user_id)
        if account is None or account.email_key != invitation.email_key:
            message = "You are signed in as somebody else than was invited. Sign out, then follow the link again."
            raise Refusal("NOT_ALLOWED_IN_STATE", message, "token")
        async with self._scope(invitation, user_id, caller).transaction() as transaction:
            return await self._join(transaction, invitation, user_id, acceptance)

    async def _join_known(self, invitation: InvitationRow, acceptance: Acceptance, caller: Caller) -> Session:
        if acceptance.password is None:
            message = "There is an account with the invited address. Give its password, or sign in first."
            raise Refusal("REQUIRED", message, "password")
        checked = await self._sign_in.check(invitation.email_key, acceptance.password, caller)
        wrong = Refusal("INVALID", "That is not the password of the account with the invited address.", "password")
        if checked is None:
            raise wrong
        async with self._scope(invitation, checked.user_id, caller).transaction() as transaction:
            await lock_organization(transaction)  # before the account, as wherever both are locked
            if not await self._sign_in.confirm(transaction, checked, caller):
                raise wrong
            return await self._join(transaction, invitation, checked.user_id, acceptance)

    async def _join_new(self, invitation: InvitationRow, acceptance: Acceptance, caller: Caller) -> Session:
        password = acceptance.password
        if password is None:
            raise Refusal(
                "REQUIRED", "Choose a password: there is no account with the invited address yet.", "password"
            )
        columns, unfit = fitted({"name": acceptance.name})
        if unfit:
            raise Refusal("INVALID", unfit[0].message, "name")
        name = columns["name"] if isinstance(columns["name"], str) else None
        home = self._database.scoped(invitation.organization_id)
        (organization,) = (await organizations_by_id(home, [invitation.organization_id])).values()
        fault = await self._rules.fault(password, invitation.email, name, organization.name)
        if fault is not None:
            raise Refusal("INVALID", fault, "password")
        now = datetime.now(UTC)
        account = NewAccount(
            id=new_id("usr"),
            email=invitation.email,
            email_key=invitation.email_key,
            password_hash=await self._passwords.hash(password),
            name=name,
            email_verified_at=now,
        )
        async with self._scope(invitation, account.id, caller).transaction() as transaction:
            await lock_organization(transaction)
            if not await add_account(transaction, account, now):
                message = "Somebody has just made an account with the invited address. Give its password."
                raise Refusal("CONFLICT", message, "password")
            entry = NewAuditEntry(account.id, "account.registered", account.id, "LOW", {"verified": True})
            await append_audit(transaction, entry)
            await self._throttle.make_familiar(transaction, account.id, account.email_key, caller.place)
            return await self._join(transaction, invitation, account.id, acceptance)

    async def _join(
        self, transaction: Transaction, invitation: InvitationRow, user_id: str, acceptance: Acceptance
    ) -> Session:
        now = datetime.now(UTC)
        await lock_organization(transaction)
        if not await accept(transaction, invitation.id, user_id, now):
            raise Refusal("INVALID", _GONE, "token")
        joined = await join(transaction, user_id, invitation.role)  # who is a member already keeps their role
        role = await role_of(transaction, user_id) or invitation.role
        await verify_address(transaction, user_id)
        await announce_access_change(transaction, user_id)
        details = {"role": role, "joined": joined}
        await append_audit(transaction, NewAuditEntry(user_id, "invitation.accepted", invitation.id, "LOW", details))
        place = MembershipRow(invitation.organization_id, user_id, role, now)
        return await self._sessions.open(transaction, place, method="INVITATION", cookie=acceptance.cookie)

    async def _send(self, transaction: Transaction, actor: Actor, invitation: NewInvitation, token: str) -> None:
        organization = await organization_name(transaction)
        person = await named(transaction, actor.id)
        values = {
            "inviter": organization if person is None else person.name or person.email,
            "organization": organization,
            "role": invitation.role.lower(),
            "link": self._pages.link("accept-invitation", token),
            "lifetime": in_words(LIFETIME),
        }
        await self._post_mail(transaction, NewMail("invitation", invitation.email, None, values))

    def _scope(self, invitation: InvitationRow, user_id: str, caller: Caller) -> Scope:
        return self._database.scoped(invitation.organization_id, caller.origin(user_id))


async def _must_have_room(transaction: Transaction, email_key: str, now: datetime) -> None:
    if await is_member_address(transaction, email_key):
        raise Refusal("CONFLICT", "Somebody with this address is a member already.", "email")
    sent = await sent_lately(transaction, email_key, now=now, since=now - _DAY)
    if sent.pending >= MOST_PENDING:
        message = f"An organization has at most {MOST_PENDING} open invitations. Withdraw one that is not needed."
        raise Refusal("QUOTA_EXCEEDED", message)
    if sent.lately >= MOST_A_DAY:
        raise Refusal("RATE_LIMITED", f"An organization sends at most {MOST_A_DAY} invitations a day. Try tomorrow.")
    if sent.lately_to_address >= MOST_A_DAY_TO_ADDRESS:
        message = f"This address was sent {MOST_A_DAY_TO_ADDRESS} invitations within a day. Try tomorrow."
        raise Refusal("RATE_LIMITED", message, "email")


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
