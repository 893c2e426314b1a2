"""The table of sample values: what a required argument is given where a check needs one."""

from collections.abc import AsyncIterator, Mapping

from datasources.database.ids import ulid
from tests.schema.operations import Samples

DAYS = {"from": "2026-10-28T00:00:00Z", "to": "2026-10-30T00:00:00Z"}
"""Two days of the demo data."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)

IDS_OF: Mapping[str, str] = {
    "Query.business(id:)": "Business",
    "Query.node(id:)": "Business",
    "Query.nodes(ids:)": "Business",
    "SubmitPaymentProofInput.orderId": "ServiceOrder",
    "ReviewPaymentInput.orderId": "ServiceOrder",
    "CompleteOrderInput.orderId": "ServiceOrder",
    "CancelOrderInput.orderId": "ServiceOrder",
    "WithdrawInvitationInput.id": "Invitation",
    "ChangeMemberRoleInput.userId": "User",
    "RemoveMemberInput.userId": "User",
    "LeaveOrganizationInput.organizationId": "Organization",
    "RevokeApiKeyInput.id": "ApiKey",
    "UpdateWebhookEndpointInput.id": "WebhookEndpoint",
    "DeleteWebhookEndpointInput.id": "WebhookEndpoint",
    "RotateWebhookSecretInput.id": "WebhookEndpoint",
    "ResumeWebhookEndpointInput.id": "WebhookEndpoint",
    "ReplayWebhookDeliveriesInput.endpointId": "WebhookEndpoint",
}
"""Required arguments that take an id, with the type that it is an id of."""

TEXTS: Mapping[str, object] = {
    "Query.echo(text:)": "hello",
    "Query.promptBySlug(slug:)": "there-is-none",
    "LoginInput.email": "nobody@example.com",
    "LoginInput.password": "wrong",
    "InviteMemberInput.email": "nobody@example.com",
    "InviteMemberInput.role": "VIEWER",
    "AcceptInvitationInput.token": "of-no-invitation",
    "ChangeMemberRoleInput.role": "VIEWER",
    "CreateApiKeyInput.name": "a key of nobody",
    "CreateApiKeyInput.scopes": ["orders:read"],
    "CreateWebhookEndpointInput.url": "https://hooks.example.com/",
    "CreateWebhookEndpointInput.events": ["NothingHappens"],
    "RequestPasswordResetInput.email": "nobody@example.com",
    "ResetPasswordInput.token": "of-no-link",
    "ResetPasswordInput.password": "nobody will ever have it",
    "DeleteAccountInput.password": "wrong",
    "ReviewPaymentInput.accepted": True,
    "Subscription.heartbeat(count:)": 1,
    "Subscription.viewerHeartbeat(count:)": 1,
}


class PngFile:
    """A small picture, as a transport hands it on."""

    async def stream(self) -> AsyncIterator[bytes]:
        """Its content."""
        yield PNG


BY_TYPE: Mapping[str, object] = {"TimeRange": DAYS, "Upload": PngFile()}


def samples(ids: Mapping[str, list[str]], **texts: object) -> Samples:
    """The table, with an id of somebody's for each argument that takes one; ``texts`` go by the argument's name."""
    chosen = {coordinate: ids[kind][0] for coordinate, kind in IDS_OF.items() if ids.get(kind)}
    named = {each: texts[name] for each in TEXTS for name in texts if each.endswith((f"({name}:)", f".{name}"))}
    return Samples({**TEXTS, **chosen, **named}, BY_TYPE)


def unknown_like(identity: str) -> str:
    """An id of the same type that nothing has."""
    return f"{identity[:3]}_{ulid(0, 7)}"
