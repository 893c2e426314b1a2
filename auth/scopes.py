"""Which scopes there are, and which a role has. The schema says what each is needed for."""

from collections.abc import Mapping

from auth.principal import MemberRole

READ = frozenset({"businesses:read", "campaigns:read", "customers:read", "events:read", "orders:read", "usage:read"})
WORK = frozenset({"orders:write"})
ADMINISTER = frozenset(
    {"audit:read", "keys:admin", "members:admin", "organization:admin", "platforms:admin", "webhooks:admin"}
)

ROLE_SCOPES: Mapping[MemberRole, frozenset[str]] = {
    MemberRole.VIEWER: READ,
    MemberRole.MEMBER: READ | WORK,
    MemberRole.ADMIN: READ | WORK | ADMINISTER,
    MemberRole.OWNER: READ | WORK | ADMINISTER,
}

KNOWN_SCOPES = frozenset[str]().union(*ROLE_SCOPES.values())
"""Every scope that there is."""
