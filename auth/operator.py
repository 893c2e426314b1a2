"""What operators do with accounts from the command line: make people, give them roles, bar them.

Operators stand above the roles, so they may do what no member may, except to leave an organization without an owner who
can sign in. Every change is in the audit trail as theirs, and running gateways feel it at once.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from auth.mail import AccountPages, NewMail, PostMail
from auth.members import take_back
from auth.principal import MemberRole
from auth.refusal import Refusal
from auth.registration import name_fault, slugs_for
from datasources.database.access import announce_access_change
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.identities import Beaten, NewPerson, add_person
from datasources.database.ids import new_id
from datasources.database.mail_links import new_link
from datasources.database.people import add_organization
from datasources.database.profiles import end_links, set_password
from datasources.database.roster import (
    Person,
    Place,
    add_member,
    has_other_owner,
    lock_organization,
    person_at,
    places_of,
    role_of,
    set_disabled,
    set_role,
)
from datasources.database.sessions import end_sessions_of
from datasources.mail.addresses import NotAnAddress, mailbox
from datasources.mail.notices import in_words

OPERATOR = "operator"
LINK_LIFETIME = timedelta(days=1)
"""How long somebody for whom an account was made can choose a password with the first link."""


@dataclass(frozen=True)
class NewUser:
    """Somebody to make an account for.

    ``organization`` is the id of one that there is, or the name of one to make, whose owner they are. Without a
    ``password_hash`` they choose a password by a link.
    """

    email: str
    name: str | None
    organization: str
    role: MemberRole | None
    password_hash: str | None = field(default=None, repr=False)

    @property
    def founds(self) -> bool:
        """Whether the organization is to be made."""
        return not self.organization.startswith("org_")


async def create_user(
    database: Database, wanted: NewUser, *, pages: AccountPages, post_mail: PostMail | None
) -> tuple[Place, str | None]:
    """Makes an account; returns where it belongs, and the link for its first password where no mail takes it there.

    Raises ``Refusal``.
    """
    for text in (wanted.name, wanted.organization):
        if text is not None and (fault := name_fault(text)) is not None:
            raise Refusal("INVALID", fault)
    try:
        mailbox(wanted.email)
    except NotAnAddress:
        raise Refusal("INVALID", "No mail can be sent to that address. Write it like ada@example.com.") from None
    role = wanted.role or (MemberRole.OWNER if wanted.founds else MemberRole.MEMBER)
    if wanted.founds and role is not MemberRole.OWNER:
        message = "There is no organization with this id. Name one to make, whose first person is its OWNER."
        raise Refusal("INVALID", message)
    organization_id = new_id("org") if wanted.founds else wanted.organization
    user_id = new_id("usr")
    async with database.scoped(organization_id).transaction() as transaction:
        if wanted.founds:
            slugs = slugs_for(wanted.organization, organization_id)
            await add_organization(transaction, wanted.organization, ["BUYER"], slugs, datetime.now(UTC))
        elif not await lock_organization(transaction):
            raise Refusal("NOT_FOUND", f"There is no organization {organization_id}.")
        try:
            await add_person(transaction, NewPerson(user_id, wanted.email, wanted.name, email_verified=False))
        except Beaten:
            raise Refusal("TAKEN", "That address has an account. Give it a role: tributary user promote.") from None
        await append_audit(transaction, NewAuditEntry(OPERATOR, "account.registered", user_id, "LOW"))
        await _join(transaction, user_id, role)
        link = None
        if wanted.password_hash is None:
            link = await _first_link(transaction, wanted, user_id, pages, post_mail)
        else:
            await set_password(transaction, user_id, wanted.password_hash, was=None)
    return Place(organization_id, wanted.organization, role.value), link


async def give_role(database: Database, email: str, organization_id: str, role: MemberRole) -> MemberRole | None:
    """Gives a person a role in an organization, also one that they are not a member of yet; returns what they were.

    Raises ``Refusal``.
    """
    person = await _person(database, email)
    async with database.scoped(organization_id).transaction() as transaction:
        if not await lock_organization(transaction):
            raise Refusal("NOT_FOUND", f"There is no organization {organization_id}.")
        found = await role_of(transaction, person.id)
        was = None if found is None else MemberRole(found)
        if was is role:
            return was
        if was is None:
            await _join(transaction, person.id, role)
        else:
            if was is MemberRole.OWNER and not await has_other_owner(transaction, person.id):
                raise Refusal(
                    "CONFLICT", f"{email} is the last owner of {organization_id}. Promote somebody else first."
                )
            await set_role(transaction, person.id, role.value)
            await take_back(transaction, person.id, role, actor=OPERATOR)
            risk = "HIGH" if MemberRole.OWNER in (was, role) else "MEDIUM"
            details = {"from": was.name, "to": role.name}
            await append_audit(transaction, NewAuditEntry(OPERATOR, "member.role_changed", person.id, risk, details))
        await announce_access_change(transaction, person.id)
    return was


async def disable(database: Database, email: str) -> list[Place]:
    """Bars a person from signing in, ends their sessions and keys at once, and takes back what they have sent.

    Returns the organizations that have no owner now who can sign in. Raises ``Refusal``.
    """
    person = await _person(database, email)
    places = sorted(await places_of(database, person.id))
    orphaned = []
    async with database.scoped(None).transaction() as transaction:
        for place in places:
            await lock_organization(transaction.acting_for(place.organization_id))
        if not await set_disabled(transaction, person.id, disabled=True):
            raise Refusal("CONFLICT", f"{email} is disabled already.")
        await end_links(transaction, person.email.lower(), "RESET_PASSWORD")
        now = datetime.now(UTC)
        for session in await end_sessions_of(transaction, person.id, "ACCOUNT_DISABLED", now, but=None):
            await announce_access_change(transaction.acting_for(session.home_id), session.id)
        for place in places:
            own = transaction.acting_for(place.organization_id)
            await take_back(own, person.id, None, actor=OPERATOR)
            if place.role == MemberRole.OWNER.value and not await has_other_owner(own, person.id):
                orphaned.append(place)
        await _tell(transaction, person, places, "account.disabled")
    return orphaned


async def enable(database: Database, email: str) -> None:
    """Lets a person sign in again; raises ``Refusal``."""
    person = await _person(database, email)
    places = sorted(await places_of(database, person.id))
    async with database.scoped(None).transaction() as transaction:
        if not await set_disabled(transaction, person.id, disabled=False):
            raise Refusal("CONFLICT", f"{email} is not disabled.")
        await _tell(transaction, person, places, "account.enabled")


async def _person(database: Database, email: str) -> Person:
    person = await person_at(database, email.strip().lower())
    if person is None:
        raise Refusal("NOT_FOUND", f"There is no account with the address {email}.")
    return person


async def _join(transaction: Transaction, user_id: str, role: MemberRole) -> None:
    await add_member(transaction, user_id, role.value)
    risk = "HIGH" if role is MemberRole.OWNER else "MEDIUM"
    await append_audit(transaction, NewAuditEntry(OPERATOR, "member.added", user_id, risk, {"role": role.name}))


async def _first_link(
    transaction: Transaction, wanted: NewUser, user_id: str, pages: AccountPages, post_mail: PostMail | None
) -> str | None:
    email_key = wanted.email.lower()
    token = await new_link(
        transaction, "RESET_PASSWORD", user_id=user_id, email_key=email_key, data={}, lifetime=LINK_LIFETIME
    )
    link = pages.link("reset-password", token)
    if post_mail is None:
        return link
    values = {"name": wanted.name or wanted.email, "link": link, "lifetime": in_words(LINK_LIFETIME)}
    await post_mail(transaction, NewMail("reset_password", wanted.email, user_id, values))
    return None


async def _tell(transaction: Transaction, person: Person, places: list[Place], action: str) -> None:
    """Says in every organization of a person what was done to their account, and to all gateways that it was."""
    entry = NewAuditEntry(OPERATOR, action, person.id, "HIGH")
    for place in places:
        own = transaction.acting_for(place.organization_id)
        await announce_access_change(own, person.id)
        await append_audit(own, entry)
    if not places:
        await append_audit(transaction, entry)
