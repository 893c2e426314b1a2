"""Deleting an account: the person goes, and what must be kept for the books stays without them.

The person's organizations go on without them. Where they are the last owner and others are left, somebody else must be
made an owner first. An organization in which nobody is left is closed: its keys and invitations end, nobody can sign in
to it any more, and its records stay for as long as the operator must keep them. What names the person elsewhere
(orders, histories, the audit trail) has only their id. Nothing that this leaves in the audit trail says from where it
was done: that would be personal data too.
"""

from auth.caller import Caller
from auth.errors import InvalidToken
from auth.mail import NewMail, PostMail
from auth.members import take_back
from auth.password_again import PasswordAgain
from auth.principal import MemberRole, Principal
from auth.refusal import Refusal
from auth.sessions import Sessions
from auth.throttle import Counted, Throttle
from datasources.database.access import announce_access_change
from datasources.database.account_deletion import (
    Belonging,
    belongings_of,
    close_organizations,
    leave_a_pseudonym,
    leave_organizations,
    lock_account,
)
from datasources.database.audit import NewAuditEntry, append_audit, erase_personal
from datasources.database.engine import Database, Transaction
from datasources.database.outbox import forget_mail
from datasources.database.profiles import OwnAccount, own_account
from datasources.database.sessions import home_of

_CHANGED = "Your account was changed at this moment. Try again."
_ORGANIZATION_CLOSED = "ORGANIZATION_CLOSED"


class AccountDeletion:
    """Deletes accounts for the people whose they are."""

    def __init__(
        self, database: Database, throttle: Throttle, sessions: Sessions, again: PasswordAgain, *, post_mail: PostMail
    ) -> None:
        self._database = database
        self._throttle = throttle
        self._sessions = sessions
        self._again = again
        self._post_mail = post_mail

    async def delete(self, principal: Principal, caller: Caller, password: str) -> None:
        """Deletes the account of ``principal``, a person, for good; access ends at once. Raises ``Refusal``."""
        account = await own_account(self._database, principal.user_id or "")
        if account is None:
            raise InvalidToken
        counted = await self._again.check(account, principal, caller, password, "password")
        home_id = principal.organization_id or await home_of(self._database, account.id)
        async with self._database.scoped(home_id, caller.origin(account.id)).transaction() as transaction:
            await self._delete(transaction, account, counted)

    async def _delete(self, transaction: Transaction, account: OwnAccount, counted: Counted) -> None:
        if await lock_account(transaction, account.id) != account.password_hash:
            raise Refusal("CONFLICT", _CHANGED)
        belongings = await belongings_of(transaction, account.id)
        _must_be_replaceable(belongings)
        await self._throttle.forgive(transaction, counted)
        await self._sessions.end_all(transaction, account.id, actor=account.id, reason="ACCOUNT_DELETED")
        for each in belongings:
            own = transaction.acting_for(each.organization_id)
            await take_back(own, account.id, None, actor=account.id)
            await announce_access_change(own, account.id)
        await leave_organizations(transaction, account.id)
        await _close(transaction, account.id, [each.organization_id for each in belongings if not each.others])
        await forget_mail(transaction, account.id)
        await erase_personal(transaction, account.id, email=account.email_key)
        await leave_a_pseudonym(transaction, account.id, account.email_key)
        entry = NewAuditEntry(account.id, "account.deleted", account.id, "HIGH")
        for each in belongings:
            await append_audit(transaction.acting_for(each.organization_id), entry)
        if not belongings:
            await append_audit(transaction.acting_for(None), entry)
        values = {"name": account.name or account.email}
        await self._post_mail(transaction, NewMail("account_deleted", account.email, None, values))


def _must_be_replaceable(belongings: list[Belonging]) -> None:
    stuck = [
        each.organization
        for each in belongings
        if each.role == MemberRole.OWNER.value and each.others and not each.other_owners
    ]
    if stuck:
        message = (
            f"You are the last owner of {', '.join(stuck)}, which has other members. Make one of them an owner, or "
            "remove them, first."
        )
        raise Refusal("CONFLICT", message)


async def _close(transaction: Transaction, user_id: str, closed: list[str]) -> None:
    for key in await close_organizations(transaction, closed):
        own = transaction.acting_for(key.organization_id)
        await announce_access_change(own, key.id)
        details = {"reason": _ORGANIZATION_CLOSED}
        await append_audit(own, NewAuditEntry(user_id, "key.revoked", key.id, "LOW", details))
