"""Members, invitations and the organization itself, as its administrators change them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import strawberry

from auth import members
from auth import principal as principals
from auth.invitations import Acceptance
from auth.refusal import Refusal
from datasources.database.accounts import organizations_by_id, users_by_id
from datasources.database.engine import Scope
from datasources.database.invitations import InvitationRow, pending_invitations_of
from schema.accounts import Capability, MemberRole, Membership, Organization, User
from schema.context import Info, as_graphql
from schema.directives import Authenticated, ListSize, Public, scopes
from schema.node import Node
from schema.payloads import UserError, refused
from schema.relations import relation
from schema.scalars import EmailAddress
from schema.session import IN_COOKIES, SessionPayload, no_room_for_cookies, not_opened, opened

ADMINISTER_MEMBERS = scopes(members.ADMINISTER_MEMBERS)
ADMINISTER_ORGANIZATION = scopes("organization:admin")


@strawberry.type(
    description="Somebody is asked to join. The link is in the mail to the invited address alone.",
    directives=[ADMINISTER_MEMBERS],
)
class Invitation(Node):
    """``Invitation``."""

    email: EmailAddress = strawberry.field(description="Who is asked.")
    role: MemberRole = strawberry.field(description="What they will be.")
    invited_by: User | None = relation(
        users_by_id,
        key="invited_by",
        description="Who asked them; null where that was an API key, or is no member any more.",
    )
    created_at: datetime = strawberry.field(description="When the mail was sent.")
    expires_at: datetime = strawberry.field(description="Until when the link holds.")
    accepted_at: datetime | None = strawberry.field(description="When they joined.")
    withdrawn_at: datetime | None = strawberry.field(description="When it was withdrawn, or another was sent.")


async def _pending(scope: Scope, organization_ids: Sequence[str]) -> Mapping[str, list[InvitationRow] | None]:
    return await pending_invitations_of(scope, organization_ids, now=datetime.now(UTC))


@strawberry.type(description="Who is asked to join.")
class OrganizationInvitations:
    """Fields of ``Organization``."""

    invitations: list[Invitation] | None = relation(
        _pending,
        key="id",
        many=True,
        description="Who is asked to join and has not yet, the newest first; null for another organization than the "
        "one that you act for.",
        directives=(ListSize(assumed_size=50),),
    )


@strawberry.input(description="Somebody to ask to join.")
class InviteMemberInput:
    """``InviteMemberInput``."""

    email: EmailAddress = strawberry.field(description="Where the link goes. Inviting again ends the link before.")
    role: MemberRole = strawberry.field(description="What they will be; none above your own.")


@strawberry.input(description="An invitation to take back.")
class WithdrawInvitationInput:
    """``WithdrawInvitationInput``."""

    id: strawberry.ID = strawberry.field(description="An open invitation.")


@strawberry.input(description="Somebody joins.")
class AcceptInvitationInput:
    """``AcceptInvitationInput``."""

    token: str = strawberry.field(description="What stands in the link after `token=`.")
    password: str | None = strawberry.field(
        default=None,
        description="For who has no account yet: one to choose. For who has one and is not signed in: its password.",
    )
    name: str | None = strawberry.field(default=None, description="For who has no account yet.")
    cookie: bool | None = strawberry.field(default=False, description=IN_COOKIES)


@strawberry.input(description="A member and a role.")
class ChangeMemberRoleInput:
    """``ChangeMemberRoleInput``."""

    user_id: strawberry.ID = strawberry.field(description="Whose.")
    role: MemberRole = strawberry.field(description="What they are from now on; none above your own.")


@strawberry.input(description="A member who goes.")
class RemoveMemberInput:
    """``RemoveMemberInput``."""

    user_id: strawberry.ID = strawberry.field(description="Who.")


@strawberry.input(description="An organization to leave.")
class LeaveOrganizationInput:
    """``LeaveOrganizationInput``."""

    organization_id: strawberry.ID = strawberry.field(description="Which of yours.")


@strawberry.input(description="What is to change of the organization; what is absent stays.")
class UpdateOrganizationInput:
    """``UpdateOrganizationInput``."""

    name: str | None = strawberry.field(default=None, description="As it is shown.")
    capabilities: list[Capability] | None = strawberry.field(
        default=None, description="All that it may do from now on."
    )


@strawberry.type(description="An invitation, or why there is none.")
class InviteMemberPayload:
    """``InviteMemberPayload``."""

    invitation: Invitation | None = strawberry.field(description="As it was sent.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="An invitation that does not hold any more, or why it does.")
class WithdrawInvitationPayload:
    """``WithdrawInvitationPayload``."""

    invitation: Invitation | None = strawberry.field(description="As it stands now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="A member after a change, or why there was none.")
class ChangeMemberRolePayload:
    """``ChangeMemberRolePayload``."""

    membership: Membership | None = strawberry.field(description="As it stands now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="An organization without a member, or why they are still there.")
class RemoveMemberPayload:
    """``RemoveMemberPayload``."""

    organization: Organization | None = strawberry.field(
        description="As it stands now; null when it was yourself whom you have removed."
    )
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="Whether you have left.")
class LeaveOrganizationPayload:
    """``LeaveOrganizationPayload``."""

    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="An organization after a change, or why there was none.")
class UpdateOrganizationPayload:
    """``UpdateOrganizationPayload``."""

    organization: Organization | None = strawberry.field(description="As it stands now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


@strawberry.type(description="Mutations about members.")
class MemberMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Asks somebody to join the organization, by a mail to them alone.", directives=[ADMINISTER_MEMBERS]
    )
    @staticmethod
    async def invite_member(
        info: Info, input: Annotated[InviteMemberInput, strawberry.argument(description="Whom.")]
    ) -> InviteMemberPayload | None:
        """``inviteMember``."""
        context = info.context
        _ = context.organization_id
        role = principals.MemberRole[input.role.name]
        try:
            row = await context.services.accounts.invitations.invite(
                context.scope, context.principal, input.email, role
            )
        except Refusal as refusal:
            return InviteMemberPayload(invitation=None, user_errors=[refused(refusal)])
        return InviteMemberPayload(invitation=as_graphql(row), user_errors=[])

    @strawberry.mutation(
        description="Takes an invitation back: its link does not hold any more.", directives=[ADMINISTER_MEMBERS]
    )
    @staticmethod
    async def withdraw_invitation(
        info: Info, input: Annotated[WithdrawInvitationInput, strawberry.argument(description="Which.")]
    ) -> WithdrawInvitationPayload | None:
        """``withdrawInvitation``."""
        context = info.context
        _ = context.organization_id
        try:
            row = await context.services.accounts.invitations.withdraw(context.scope, context.principal, input.id)
        except Refusal as refusal:
            return WithdrawInvitationPayload(invitation=None, user_errors=[refused(refusal)])
        return WithdrawInvitationPayload(invitation=as_graphql(row), user_errors=[])

    @strawberry.mutation(
        description="Joins an organization with the link of an invitation, and signs in there. Who has no account yet "
        "gets one.",
        directives=[Public(reason="The link says who is invited, and whoever follows it may have no account yet.")],
    )
    @staticmethod
    async def accept_invitation(
        info: Info, input: Annotated[AcceptInvitationInput, strawberry.argument(description="The link.")]
    ) -> SessionPayload:
        """``acceptInvitation``."""
        context = info.context
        if input.cookie and (error := no_room_for_cookies(context, "cookie")) is not None:
            return not_opened(error)
        acceptance = Acceptance(input.token, input.password, input.name, bool(input.cookie))
        try:
            session = await context.services.accounts.invitations.accept(acceptance, context.principal, context.caller)
        except Refusal as refusal:
            return not_opened(refusal)
        return opened(context, session)

    @strawberry.mutation(
        description="Gives a member another role, which holds at once. Only owners make and unmake owners.",
        directives=[ADMINISTER_MEMBERS],
    )
    @staticmethod
    async def change_member_role(
        info: Info, input: Annotated[ChangeMemberRoleInput, strawberry.argument(description="Whose, and which.")]
    ) -> ChangeMemberRolePayload | None:
        """``changeMemberRole``."""
        context = info.context
        _ = context.organization_id
        role = principals.MemberRole[input.role.name]
        try:
            place = await members.change_member_role(context.scope, context.principal, input.user_id, role)
        except Refusal as refusal:
            return ChangeMemberRolePayload(membership=None, user_errors=[refused(refusal)])
        return ChangeMemberRolePayload(membership=as_graphql(place), user_errors=[])

    @strawberry.mutation(
        description="Takes a member out of the organization, at once. The API keys that they made are revoked.",
        directives=[ADMINISTER_MEMBERS],
    )
    @staticmethod
    async def remove_member(
        info: Info, input: Annotated[RemoveMemberInput, strawberry.argument(description="Who.")]
    ) -> RemoveMemberPayload | None:
        """``removeMember``."""
        context = info.context
        organization_id = context.organization_id
        try:
            await members.end_membership(context.scope, context.principal, input.user_id)
        except Refusal as refusal:
            return RemoveMemberPayload(organization=None, user_errors=[refused(refusal)])
        left = input.user_id == context.principal.user_id
        organization = None if left else await _organization(context.scope, organization_id)
        return RemoveMemberPayload(organization=organization, user_errors=[])

    @strawberry.mutation(
        description="Leaves an organization. The API keys that you made there are revoked.",
        directives=[Authenticated()],
    )
    @staticmethod
    async def leave_organization(
        info: Info, input: Annotated[LeaveOrganizationInput, strawberry.argument(description="Which.")]
    ) -> LeaveOrganizationPayload | None:
        """``leaveOrganization``: of any of one's own, whichever the request acts for."""
        context, user_id = info.context, info.context.user_id
        scope = context.services.database.scoped(input.organization_id, context.caller.origin(user_id))
        try:
            await members.leave_organization(scope, user_id)
        except Refusal as refusal:
            return LeaveOrganizationPayload(user_errors=[refused(refusal)])
        return LeaveOrganizationPayload(user_errors=[])

    @strawberry.mutation(
        description="Changes what the organization is called and what it may do.", directives=[ADMINISTER_ORGANIZATION]
    )
    @staticmethod
    async def update_organization(
        info: Info, input: Annotated[UpdateOrganizationInput, strawberry.argument(description="What.")]
    ) -> UpdateOrganizationPayload | None:
        """``updateOrganization``."""
        context = info.context
        organization_id = context.organization_id
        capabilities = None if input.capabilities is None else [each.name for each in input.capabilities]
        try:
            await members.update_organization(
                context.scope, context.principal, name=input.name, capabilities=capabilities
            )
        except Refusal as refusal:
            return UpdateOrganizationPayload(organization=None, user_errors=[refused(refusal)])
        organization = await _organization(context.scope, organization_id)
        return UpdateOrganizationPayload(organization=organization, user_errors=[])


async def _organization(scope: Scope, organization_id: str) -> Any:
    return (await organizations_by_id(scope, [organization_id])).get(organization_id)
