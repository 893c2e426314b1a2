"""The secret keys of the gateway, and what is stored encrypted under them.

They are lines of one file that only its owner reads, ``<use> <id> <32 bytes in base64>``:

- one ``root`` key, which stays: from it the keys of the audit trail, of signed links and of digests are derived
  (HKDF-SHA-256, RFC 5869, with the purpose as its info);
- ``encryption`` keys, newest first: the first encrypts, all decrypt, and ``tributary secrets rotate`` renews them.

What is sealed reads ``<key id>.<nonce and ciphertext in base64>``: AES-256-GCM (NIST SP 800-38D) with a random nonce of
96 bits, and as associated data the place where it is stored, so that it holds nowhere else.
"""

import binascii
import logging
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from datasources.secret_file import write_secret_file

logger = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12
_LINE = re.compile(r"(root|encryption) ([a-z0-9]{1,16}) ([A-Za-z0-9_-]{43}=?)")


class KeyringError(Exception):
    """The file is not a keyring, or there is none; the message says what to do and nothing of what is in it."""


class Unreadable(Exception):
    """A sealed text was altered, is of another place, or of a key that is gone."""


class Keyring:
    """The keys in one file; it is read again when it has changed, so that all processes follow a rotation."""

    def __init__(self, path: Path) -> None:
        """Raises ``KeyringError``."""
        self.path = path
        self._version = _version(path)
        self._root, self._encryption = _read(path)

    @classmethod
    def at(cls, path: Path, *, create: bool) -> "Keyring":
        """The keyring in this file; with ``create`` a new one where there is none. Raises ``KeyringError``."""
        if create and not path.exists():
            key_id = new_key_id()
            _write(path, {"root": {"r1": _new_key()}, "encryption": {key_id: _new_key()}}, replace=False)
        return cls(path)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the encryption keys, newest first."""
        return tuple(self._encryption)

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose, always the same."""
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"tributary {purpose}".encode()).derive(self._root)

    def seal(self, text: str, place: str) -> str:
        """``text`` encrypted for ``place``: table, column and id of the row.

        Looks at the file: what would be sealed under a key that another process has replaced could outlive that key.
        """
        self._follow()
        key_id = next(iter(self._encryption))
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self._encryption[key_id]).encrypt(nonce, text.encode(), place.encode())
        return f"{key_id}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, place: str) -> str:
        """What was sealed for ``place``; raises ``Unreadable``."""
        key_id, _, encoded = sealed.partition(".")
        if key_id not in self._encryption:
            self._follow()
        key = self._encryption.get(key_id)
        if key is None:
            raise Unreadable
        try:
            packed = urlsafe_b64decode(encoded.encode())
            return AESGCM(key).decrypt(packed[:NONCE_BYTES], packed[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unreadable from None

    def add_encryption_key(self) -> str:
        """Puts a new key before the others, in the file first; returns its id. One process at a time may do so."""
        self._follow()
        key_id = new_key_id()
        self._replace({key_id: _new_key(), **self._encryption})
        return key_id

    def drop_encryption_keys(self, key_ids: frozenset[str]) -> None:
        """Forgets keys that nothing is sealed under any more; never the newest. One process at a time may do so."""
        self._follow()
        newest = next(iter(self._encryption))
        self._replace({name: key for name, key in self._encryption.items() if name == newest or name not in key_ids})

    def _follow(self) -> None:
        """Reads the file again if it has changed; while it cannot be read, the keys that are known go on."""
        try:
            version = _version(self.path)
            if version != self._version:
                self._root, self._encryption = _read(self.path)
                self._version = version
        except KeyringError:
            logger.exception("the secret keys cannot be read again")

    def _replace(self, encryption: Mapping[str, bytes]) -> None:
        _write(self.path, {"root": {"r1": self._root}, "encryption": encryption}, replace=True)
        self._encryption = dict(encryption)
        self._version = _version(self.path)


def new_key_id() -> str:
    """An id that no key has had."""
    return f"e{secrets.token_hex(4)}"


def _new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _version(path: Path) -> tuple[int, int, int]:
    """Differs when the file does; raises ``KeyringError``."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unusable(path, error) from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[bytes, dict[str, bytes]]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None
    roots: list[bytes] = []
    encryption: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fits = _LINE.fullmatch(line.strip())
        if fits is None:
            raise KeyringError(f"line {number} of {path} is not `root` or `encryption`, an id, and 32 bytes in base64")
        try:
            key = urlsafe_b64decode(fits[3].rstrip("=") + "=")
        except binascii.Error:
            raise KeyringError(f"line {number} of {path} has no 32 bytes in base64") from None
        if fits[1] == "root":
            roots.append(key)
        else:
            encryption[fits[2]] = key
    if len(roots) != 1 or not encryption:
        raise KeyringError(f"{path} needs one root key and at least one encryption key")
    return roots[0], encryption


def _unusable(path: Path, error: Exception) -> KeyringError:
    if isinstance(error, FileNotFoundError):
        return KeyringError(f"there are no secret keys at {path}. Make them: tributary secrets create")
    return KeyringError(f"the secret keys at {path} cannot be read ({type(error).__name__})")


def _write(path: Path, keys: Mapping[str, Mapping[str, bytes]], *, replace: bool) -> None:
    """Whole or not at all, for its owner only; without ``replace`` the first of two processes wins."""
    text = "# Secret keys of this gateway. Keep a copy: secrets cannot be read nor the audit trail verified without.\n"
    for use, by_id in keys.items():
        text += "".join(f"{use} {key_id} {urlsafe_b64encode(key).decode()}\n" for key_id, key in by_id.items())
    write_secret_file(path, text, replace=replace)
