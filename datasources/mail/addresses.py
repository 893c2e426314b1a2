"""Mail addresses: which can be written to, and in what form they go into a header."""

import re
from email.headerregistry import Address
from email.utils import parseaddr

MAX_CHARACTERS = 254
"""The longest address that fits into the commands of SMTP (RFC 5321, 4.5.3.1.3)."""

# A dot-atom of RFC 5322 and RFC 6532; nobody's mail depends on quoted local parts and address literals.
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>(?:{_LABEL}\.)*(?![0-9]+$){_LABEL})")
_MAX_LOCAL = 64

NOWHERE = "invalid"
"""The top-level domain that can never exist (RFC 2606): made-up addresses are below it."""


class NotAnAddress(ValueError):
    """A text is no mail address that can be written to; the message does not repeat it."""


def mailbox(address: str, name: str = "") -> Address:
    """``address`` for a header, its domain in the form of DNS; raises ``NotAnAddress``."""
    fits = _ADDRESS.fullmatch(address) if len(address) <= MAX_CHARACTERS else None
    if fits is None or len(fits["local"]) > _MAX_LOCAL:
        raise NotAnAddress("not a mail address")
    try:
        domain = fits["domain"].encode("idna").decode("ascii").lower()
        return Address(display_name=name, username=fits["local"], domain=domain)
    except ValueError:
        raise NotAnAddress("not a mail address") from None


def sender_mailbox(text: str) -> Address:
    """An address with or without a name: ``Name <name@example.com>``; raises ``NotAnAddress``."""
    if any(ord(character) < ord(" ") for character in text):
        raise NotAnAddress("a mail address has no control characters")
    name, address = parseaddr(text)
    return mailbox(address, name)


def can_be_reached(address: str) -> bool:
    """Whether it is an address, and not one that was made up to be nobody's."""
    try:
        domain = mailbox(address).domain
    except NotAnAddress:
        return False
    return domain.rpartition(".")[2] != NOWHERE
