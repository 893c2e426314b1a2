"""How the secret of an API key is written.

    trb_ + 12 characters + _ + 43 characters + 6 characters

of A-Z, a-z and 0-9, so that a double click selects all of it. The first 16 characters are its prefix: they may be shown
and find the key. The 43 are random, 256 bits. The last six are the CRC-32 of all before, in base 62, as GitHub's tokens
have it: a typing mistake, or a key that was cut off in copying, is refused without a look into the database, and
scanners for leaked secrets can tell a key from what merely looks like one. It is no protection: anybody can reckon it.
"""

import re
import secrets
import string
from zlib import crc32

KEY_START = "trb_"
"""What every API key begins with, so that scanners for leaked secrets find it."""
PREFIX_LENGTH = 16
"""How much of a key, its start included, may be shown and finds it."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM_LENGTH = 6
_FORM = re.compile(r"trb_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def new_secret() -> str:
    """The secret of a new key, which is known to nobody else."""
    text = f"{KEY_START}{_random(PREFIX_LENGTH - len(KEY_START))}_{_random(43)}"
    return text + _checksum(text)


def is_well_formed(secret: str) -> bool:
    """Whether a text has the form of a key and its checksum fits; it may still be the secret of no key."""
    if _FORM.fullmatch(secret) is None:
        return False
    return _checksum(secret[:-_CHECKSUM_LENGTH]) == secret[-_CHECKSUM_LENGTH:]


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    rest = crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
