"""Where webhooks may go: to the public internet, and to networks that the operator names; never into others.

Whoever administers an organization chooses the address, so it must not lead to what only the gateway can reach:
services beside it, the metadata of its cloud. A name is judged by all of its addresses, at each delivery anew. What is
not public is listed here after the registries of special addresses of IANA (RFC 6890 and its updates), because
``is_global`` of Python differs from version to version. An address is taken apart by the parser that the request is
made with.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Address = IPv4Address | IPv6Address

LONGEST_URL = 2_000
_WEB_PORTS = (80, 443)
_FIRST_FREE_PORT, _LAST_PORT = 1_024, 65_535

_NOT_PUBLIC_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind the translation of a provider
        "127.0.0.0/8",
        "168.63.129.16/32",  # what a machine in Azure asks about itself
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocols, and the metadata of clouds
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_MAPPED, _NAT64, _6TO4 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ENDS_IN_NUMBER = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)$")
"""What resolvers take for an address of IPv4 in one of its old spellings (``127.1``, ``0x7f000001``)."""


class UnfitUrl(Exception):
    """An address that webhooks are not posted to; the message says why, for whoever chose it."""


def check_url(url: str, networks: Sequence[str]) -> httpx.URL:
    """The address of an endpoint, if things may be posted there as far as can be told without a name server.

    ``networks``: private ones that are allowed. Raises ``UnfitUrl``.
    """
    try:
        parsed = httpx.URL(url) if len(url) <= LONGEST_URL else httpx.URL()
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL()
    host = host_of(parsed)
    if not parsed.scheme or not host:
        raise UnfitUrl(f"An address is like https://hooks.example.com/path, with at most {LONGEST_URL} characters.")
    # A name may lead into a network that is allowed; whether it does is seen when it is looked up.
    if parsed.scheme != "https" and not (parsed.scheme == "http" and networks):
        raise UnfitUrl("The address must begin with https://, for what is sent is nobody else's business.")
    if parsed.userinfo or parsed.fragment:
        raise UnfitUrl("Leave out user names, passwords and what comes after #: deliveries are signed instead.")
    literal = _literal(host)
    if literal is None:
        if not _NAME.fullmatch(host) or _ENDS_IN_NUMBER.search(host) or ("." not in host and not networks):
            raise UnfitUrl("The host must be a public name, such as hooks.example.com.")
    else:
        check_addresses([literal], networks, encrypted=parsed.scheme == "https")
    port = parsed.port
    if port is not None and port not in _WEB_PORTS and not _FIRST_FREE_PORT <= port <= _LAST_PORT:
        raise UnfitUrl(f"The port must be 443, 80 or one from {_FIRST_FREE_PORT} to {_LAST_PORT}.")
    return parsed


def host_of(url: httpx.URL) -> str:
    """The host as names are looked up and certificates issued: in ASCII, in lower case, without the root's dot."""
    return url.raw_host.decode("ascii").removesuffix(".").lower()


def check_addresses(addresses: Sequence[Address], networks: Sequence[str], *, encrypted: bool) -> None:
    """Raises ``UnfitUrl`` unless all of these may be connected to; without encryption only those in ``networks``."""
    allowed = [ip_network(each) for each in networks]
    for address in addresses:
        inside = {address, _within(address)}
        if any(each in network for each in inside for network in allowed):
            continue
        if not is_public(address):
            raise UnfitUrl("The address is not on the public internet.")
        if not encrypted:
            raise UnfitUrl("Without encryption nothing is sent to the public internet.")


def _literal(host: str) -> Address | None:
    """The address that a host is itself."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether it can be reached from anywhere on the internet, and is one machine's."""
    judged = _within(address)
    if isinstance(judged, IPv4Address):
        return not any(judged in network for network in _NOT_PUBLIC_4)
    return judged in _PUBLIC_6 and not any(judged in network for network in _NOT_PUBLIC_6)


def _within(address: Address) -> Address:
    """Where packets to it come to: the IPv4 address that is wrapped in it, if there is one."""
    if isinstance(address, IPv6Address):
        if address in _MAPPED or address in _NAT64:
            return IPv4Address(address.packed[12:])
        if address in _6TO4:
            return IPv4Address(address.packed[2:6])
    return address
