"""What is configured of an outside identity provider."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from auth.principal import MemberRole
from datasources.oidc import may_ask

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA"]
"""Signatures of RFC 7518 and RFC 8037 with a key pair; ``HS*`` and ``none`` cannot be written."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Several = Annotated[tuple[Name, ...], BeforeValidator(_several), Field(min_length=1)]
"""One text or a list of them."""


class IssuerSettings(BaseModel):
    """One issuer whose access tokens are taken (Auth0, Keycloak, any OpenID provider).

    The issuer is trusted for one thing: to say truly who the bearer of its tokens is. Whom that is here, and what they
    may do, is decided by the gateway.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Name
    """As its tokens and its discovery document name it, byte for byte; Auth0's ends in a slash."""
    audience: Several
    """What a token must be for: the identifier of this API at the issuer, one or several."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256",)
    client_ids: Several | None = None
    """The clients (``azp``, ``client_id``) whose tokens are taken; those of every client when absent."""
    leeway: Annotated[int, Field(ge=0, le=60)] = 30
    """How many seconds the issuer's clock may differ from this one."""
    name: Name | None = None
    """What people call it; the host of the issuer when absent."""
    organization_id: Name | None = None
    """The organization that everybody of this issuer joins when they are first seen."""
    organization_claim: Name | None = None
    """The claim that names their organization (Auth0: ``org_id``); its first person makes it and owns it.

    A token without this claim is refused. With neither setting each person gets an organization of their own.
    """
    role: MemberRole = MemberRole.MEMBER
    """What people become in an organization that they join."""
    email_claim: Name = "email"
    email_verified_claim: Name = "email_verified"
    name_claim: Name = "name"
    scopes_claim: Name | None = None
    """A claim, a list or a text with spaces, that narrows the rights of the role to the scopes that it names."""
    userinfo: bool = True
    """Whether the issuer is asked who somebody is whose token has no address, when they are first seen."""

    @property
    def display_name(self) -> str:
        """What people call it."""
        return self.name or urlsplit(self.issuer).hostname or self.issuer

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not may_ask(self.issuer, self.issuer) or {"?", "#"} & set(self.issuer):
            message = "issuer must be an https address (http on this machine only) without query and fragment"
            raise ValueError(message)
        if self.organization_id is not None and self.organization_claim is not None:
            message = "set organization_id or organization_claim, not both"
            raise ValueError(message)
        if self.role is MemberRole.OWNER:
            message = "role cannot be OWNER: whoever is known to the issuer would own the organization"
            raise ValueError(message)
        if set(self.audience) & set(self.client_ids or ()):
            message = (
                "audience must not be a client id: a token for a client is an ID token, which says nothing of rights"
            )
            raise ValueError(message)
        return self


def by_issuer(settings: Iterable[IssuerSettings], own: str | None = None) -> Mapping[str, IssuerSettings]:
    """The settings by their issuer; ``own`` is the gateway's own issuer.

    Raises ``ValueError`` for two of one issuer, and for one that says to be the gateway itself.
    """
    found: dict[str, IssuerSettings] = {}
    for each in settings:
        if each.issuer in found or each.issuer == own:
            raise ValueError(f"{each.issuer} is an issuer already")
        found[each.issuer] = each
    return found
