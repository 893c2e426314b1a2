"""Cursors of the event log: opaque, and good for one organization only.

A cursor is the place of an event, encrypted and signed with AES-SIV (RFC 5297), whose associated data is the
organization. It tells nobody how many events there are, cannot be made up, and that of another organization is none.
The same place always has the same cursor, so that clients can compare them for equality.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from datasources.database.events import EventPosition

_PLACE = struct.Struct(">QQ")
_LENGTH = 43
"""Characters of 32 bytes in base64 without padding: a tag of 16 bytes and the place."""
_REMEMBERED = 8_192


class Cursors:
    """Makes and reads cursors under one ``key`` of 32 bytes, the same in all processes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)
        # An event is handed to many readers, each of which wants its cursor.
        self.encode = lru_cache(_REMEMBERED)(self._encode)

    def _encode(self, organization_id: str, place: EventPosition) -> str:
        """The cursor of a place in the log of an organization."""
        sealed = self._cipher.encrypt(_PLACE.pack(*place), [organization_id.encode()])
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def decode(self, organization_id: str, cursor: str) -> EventPosition | None:
        """The place of a cursor; ``None`` when it is none of this organization."""
        if len(cursor) != _LENGTH:
            return None
        try:
            sealed = urlsafe_b64decode(cursor.encode("ascii") + b"=")
            place = EventPosition(*_PLACE.unpack(self._cipher.decrypt(sealed, [organization_id.encode()])))
        except (InvalidTag, ValueError, struct.error, binascii.Error):
            return None
        # Base64 has several spellings of the last character; a cursor has one.
        return place if self.encode(organization_id, place) == cursor else None
