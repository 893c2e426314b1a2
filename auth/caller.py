"""Who sends a request, as the transport saw it, before anybody knows who that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Literal

from datasources.database.engine import Origin

MAX_USER_AGENT = 300
_IPV6_SITE_BITS = 64


@dataclass(slots=True)
class Reply:
    """The answer that a request will get, as far as it can still be added to."""

    cookies: list[str] = field(default_factory=list)
    """Values of ``Set-Cookie`` headers."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One request, or one socket.

    ``headers`` have lower-case names; on a socket the strings of the ``connection_init`` payload lie over those of the
    handshake. ``address`` is the client's IP address, ``""`` where there is none. ``reply`` is absent where no header
    can be added to the answer any more: on a socket and in a stream.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    method: Literal["GET", "POST", "SOCKET"] = "POST"
    reply: Reply | None = None

    @property
    def place(self) -> str:
        """The address as it is counted: all of IPv4, the site (/64) of IPv6, for one person has all of that."""
        try:
            address = ip_address(self.address.partition("%")[0])
        except ValueError:
            return self.address
        if not isinstance(address, IPv6Address):
            return str(address)
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS))

    def origin(self, user_id: str | None = None) -> Origin:
        """What the audit trail keeps aside of this; ``user_id`` is whose data that is."""
        user_agent = self.headers.get("user-agent", "")[:MAX_USER_AGENT].replace("\0", "")
        return Origin(self.address or None, user_agent or None, user_id)
