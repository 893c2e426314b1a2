"""Members of an organization and their roles: who may change whose.

Nobody gives or takes a role above their own, and only owners make and unmake owners. An API key with ``members:admin``
acts for no person: it may give and take the roles whose scopes it has all of, and never that of an owner. Everybody may
leave. An organization always keeps an owner who can sign in.

Whoever loses rights loses with them what they could regain them by: the API keys that they made and that could do more
than they still may, and the invitations that they could not send any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from auth.api_keys import revoke_keys_beyond
from auth.errors import AccessDenied, SignInRequired
from auth.principal import MemberRole, Principal
from auth.refusal import Refusal
from auth.scopes import ROLE_SCOPES
from datasources.database.access import announce_access_change
from datasources.database.accounts import MembershipRow
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Scope, Transaction
from datasources.database.invitations import withdraw_sent_by
from datasources.database.members import change_organization, place_of, remove_member
from datasources.database.roster import has_other_owner, lock_organization, role_of, set_role

ADMINISTER_MEMBERS = "members:admin"
MAX_NAME = 120

_NOT_A_MEMBER = "There is no such member of your organization."
_LAST_OWNER = "This is the last owner. Make somebody else an owner first."


class RoleAbove(AccessDenied):
    """The role is not the caller's to give or to take."""

    def __init__(self, role: MemberRole) -> None:
        super().__init__([])
        whose = "an owner" if role is MemberRole.OWNER else "somebody with all the rights of that role"
        self.args = (f"The role {role.name} is given and taken only by {whose}.",)
        self.details = {}


@dataclass(frozen=True)
class Actor:
    """Who changes members, with what they may do within the transaction that changes them."""

    id: str
    role: MemberRole | None
    scopes: frozenset[str]

    def must_manage(self, role: MemberRole) -> None:
        """Raises ``RoleAbove`` where somebody with this role is not theirs to make or unmake."""
        if not may_manage(self.role, self.scopes, role):
            raise RoleAbove(role)


def may_manage(own: MemberRole | None, scopes: frozenset[str], role: MemberRole) -> bool:
    """Whether who has this role of their own (a key has none) and these scopes may give and take ``role``."""
    if ADMINISTER_MEMBERS not in scopes:
        return False
    if role is MemberRole.OWNER:
        return own is MemberRole.OWNER
    return ROLE_SCOPES[role] <= scopes


async def locked_actor(transaction: Transaction, principal: Principal) -> Actor:
    """Keeps others from changing the members, and says what the caller may do now that nobody does.

    Raises ``AccessDenied`` for who has lost their place, and ``SignInRequired`` for nobody.
    """
    await lock_organization(transaction)
    if principal.user_id is None:
        if principal.key_id is None:
            raise SignInRequired(principal.hint)
        return Actor(principal.key_id, None, principal.scopes)
    found = await role_of(transaction, principal.user_id)
    if found is None:
        raise AccessDenied([[ADMINISTER_MEMBERS]])
    role = MemberRole(found)
    scopes = ROLE_SCOPES[role]
    return Actor(principal.user_id, role, scopes if principal.only_scopes is None else scopes & principal.only_scopes)


async def change_member_role(scope: Scope, principal: Principal, user_id: str, role: MemberRole) -> MembershipRow:
    """Gives a member another role, at once; raises ``Refusal`` and ``AccessDenied``."""
    async with scope.transaction() as transaction:
        actor = await locked_actor(transaction, principal)
        was = await _role_of_member(transaction, user_id)
        actor.must_manage(was)
        actor.must_manage(role)
        if was is not role:
            await _keep_an_owner(transaction, user_id, was)
            await set_role(transaction, user_id, role.value)
            await take_back(transaction, user_id, role, actor=actor.id)
            await announce_access_change(transaction, user_id)
            risk = "HIGH" if MemberRole.OWNER in (was, role) else "MEDIUM"
            details = {"from": was.name, "to": role.name}
            await append_audit(transaction, NewAuditEntry(actor.id, "member.role_changed", user_id, risk, details))
    place = await place_of(scope, user_id)
    if place is None:
        raise Refusal("CONFLICT", "Somebody has just removed this member.", "userId")
    return place


async def end_membership(scope: Scope, principal: Principal, user_id: str) -> None:
    """Takes a member out of the organization, at once; raises ``Refusal`` and ``AccessDenied``."""
    async with scope.transaction() as transaction:
        actor = await locked_actor(transaction, principal)
        was = await _role_of_member(transaction, user_id)
        actor.must_manage(was)
        await _keep_an_owner(transaction, user_id, was)
        await _end(transaction, user_id, was, actor=actor.id)


async def leave_organization(scope: Scope, user_id: str) -> None:
    """Takes a person out of the organization of ``scope``, as they wish; raises ``Refusal``."""
    async with scope.transaction() as transaction:
        await lock_organization(transaction)
        found = await role_of(transaction, user_id)
        if found is None:
            raise Refusal("NOT_FOUND", "You belong to no such organization.", "organizationId")
        was = MemberRole(found)
        await _keep_an_owner(transaction, user_id, was, field="organizationId")
        await _end(transaction, user_id, was, actor=user_id)


async def take_back(transaction: Transaction, user_id: str, role: MemberRole | None, *, actor: str) -> None:
    """Ends what a person could do more with than their new role lets them; ``None``: they have none any more."""
    left = frozenset[str]() if role is None else ROLE_SCOPES[role]
    await revoke_keys_beyond(transaction, user_id, left, actor=actor)
    kept = [each.value for each in MemberRole if may_manage(role, left, each)]
    for invitation_id in await withdraw_sent_by(transaction, user_id, kept, datetime.now(UTC)):
        details = {"reason": "SENDER_LOST_RIGHTS"}
        await append_audit(transaction, NewAuditEntry(actor, "invitation.withdrawn", invitation_id, "LOW", details))


async def update_organization(
    scope: Scope, principal: Principal, *, name: str | None, capabilities: Sequence[str] | None
) -> None:
    """Changes the organization of ``scope``; ``None`` leaves a value as it is. Raises ``Refusal``."""
    values: dict[str, str | Sequence[str]] = {}
    if name is not None:
        values["name"] = name.strip()
        if not 1 <= len(values["name"]) <= MAX_NAME or not name.strip().isprintable():
            raise Refusal("INVALID", f"A name has 1 to {MAX_NAME} printable characters.", "name")
    if capabilities is not None:
        values["capabilities"] = list(dict.fromkeys(capabilities))
    if not values:
        return
    # A name may be a person's; what the organization may do is nobody's secret.
    details = {"fields": sorted(values), "capabilities": values.get("capabilities", [])}
    async with scope.transaction() as transaction:
        await change_organization(transaction, values)
        entry = NewAuditEntry(principal.actor, "organization.updated", scope.organization_id, "LOW", details)
        await append_audit(transaction, entry)


async def _role_of_member(transaction: Transaction, user_id: str) -> MemberRole:
    found = await role_of(transaction, user_id)
    if found is None:
        raise Refusal("NOT_FOUND", _NOT_A_MEMBER, "userId")
    return MemberRole(found)


async def _keep_an_owner(transaction: Transaction, user_id: str, was: MemberRole, field: str = "userId") -> None:
    if was is MemberRole.OWNER and not await has_other_owner(transaction, user_id):
        raise Refusal("CONFLICT", _LAST_OWNER, field)


async def _end(transaction: Transaction, user_id: str, was: MemberRole, *, actor: str) -> None:
    await remove_member(transaction, user_id)
    await take_back(transaction, user_id, None, actor=actor)
    await announce_access_change(transaction, user_id)
    risk = "HIGH" if was is MemberRole.OWNER else "MEDIUM"
    await append_audit(transaction, NewAuditEntry(actor, "member.removed", user_id, risk, {"role": was.name}))
