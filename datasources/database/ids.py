"""Global ids: typed, opaque, and the primary key itself.

``bus_01jdx…`` is a short type prefix and a ULID (https://github.com/ulid/spec: 48 bits of milliseconds and 80 random
bits in Crockford's base 32, here in lower case). An id is stored as it is shown, so that no row pays for encoding it,
and it grows with time, so that new rows land at the end of an index.
"""

import secrets
import time
from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 30
"""Characters of an id: three of prefix, an underscore, 26 of ULID."""


def ulid(milliseconds: int, randomness: int) -> str:
    """The 26 characters of a ULID for a time in ``milliseconds`` since 1970 and 80 bits of ``randomness``."""
    value = (milliseconds << 80) | randomness
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def new_id(prefix: str, *, randbits: Callable[[int], int] = secrets.randbits) -> str:
    """A new id of the type with this three-letter ``prefix``."""
    return f"{prefix}_{ulid(time.time_ns() // 1_000_000, randbits(80))}"


def prefix_of(global_id: str) -> str | None:
    """The type prefix of ``global_id``, or ``None`` when no id of ours looks like that."""
    if len(global_id) != ID_LENGTH or global_id[3] != "_" or not global_id[4:].isalnum() or not global_id.isascii():
        return None
    return global_id[:3]
