"""The keys that access tokens are signed with: one file of private keys in PEM, newest first.

The first key signs, all of them verify, so that a rotation ends no session. Above each key stand its id and when it was
made. Ed25519 (EdDSA, RFC 8037) and RSA of 2,048 bits or more (RS256) are known; the file of an older gateway, one
Ed25519 key with nothing above it, is read as well.
"""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from datasources.secret_file import write_secret_file

ALGORITHMS = ("EdDSA", "RS256")
MIN_RSA_BITS = 2048
NEW_RSA_BITS = 3072
KEPT = timedelta(days=1)
"""How long a key that was replaced still verifies; no access token lives longer."""

_LOOK_AGAIN_SECONDS = 1.0
_KEY = re.compile(
    r"((?:[a-z]+: [^\n]*\n)*)(-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?)"
)
_NOTE = re.compile(r"([a-z]+): ([^\n]*)\n")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class SigningKey:
    """One key with its id (``kid``) and the algorithm that it is pinned to."""

    id: str
    private: Ed25519PrivateKey | RSAPrivateKey
    made_at: datetime

    @property
    def algorithm(self) -> str:
        """``EdDSA`` or ``RS256``."""
        return "EdDSA" if isinstance(self.private, Ed25519PrivateKey) else "RS256"

    def jwk(self) -> dict[str, Any]:
        """The public half as RFC 7517 writes it."""
        written = (
            OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            if isinstance(self.private, Ed25519PrivateKey)
            else RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        )
        return {**written, "kid": self.id, "alg": self.algorithm, "use": "sig"}


class SigningKeys:
    """The keys of one file, which is looked at again every second, so that all processes follow a rotation."""

    def __init__(self, path: Path) -> None:
        """Raises ``FileNotFoundError`` without the file, ``ValueError`` when it holds something else."""
        self._path = path
        self._version = _version(path)
        self._keys = _read(path)
        self._look_again = 0.0
        self.generation = 0
        """Grows whenever the keys have changed."""

    @property
    def current(self) -> SigningKey:
        """The key to sign with."""
        self._refresh()
        return self._keys[0]

    def find(self, key_id: str) -> SigningKey | None:
        """The key with this id; for one that is not known the file is looked at now, for it may have just been made."""
        self._refresh()
        found = self._known(key_id)
        if found is None:
            self._look_again = 0.0
            self._refresh()
            found = self._known(key_id)
        return found

    def _known(self, key_id: str) -> SigningKey | None:
        return next((key for key in self._keys if key.id == key_id), None)

    def jwks(self) -> dict[str, Any]:
        """All public keys as a JSON Web Key Set (RFC 7517)."""
        self._refresh()
        return {"keys": [key.jwk() for key in self._keys]}

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._look_again:
            return
        self._look_again = now + _LOOK_AGAIN_SECONDS
        version = _version(self._path)
        if version != self._version:
            self._keys = _read(self._path)
            self._version = version
            self.generation += 1


def create_signing_keys(path: Path, *, algorithm: str = "EdDSA", key_id: str | None = None) -> None:
    """Writes a first key, for its owner only, where there is no file; of two processes one wins, both use its key."""
    if not path.exists():
        _write(path, [_new_key(algorithm, key_id)], replace=False)


def rotate_signing_keys(path: Path, *, algorithm: str | None = None, drop_old: bool = False) -> SigningKey:
    """Puts a new key first. Keys that were replaced more than a day ago go; with ``drop_old`` all of them.

    ``algorithm``: that of the present key unless named. Raises as ``SigningKeys`` does.
    """
    keys = _read(path)
    new = _new_key(algorithm or keys[0].algorithm, None)
    replaced_at = [new.made_at, *(key.made_at for key in keys)]
    kept = [key for key, since in zip(keys, replaced_at, strict=False) if new.made_at - since < KEPT]
    _write(path, [new] if drop_old else [new, *kept], replace=True)
    return new


def _new_key(algorithm: str, key_id: str | None) -> SigningKey:
    private = (
        Ed25519PrivateKey.generate() if algorithm == "EdDSA" else generate_private_key(65_537, key_size=NEW_RSA_BITS)
    )
    return SigningKey(key_id or _thumbprint(private), private, datetime.now(UTC).replace(microsecond=0))


def _thumbprint(key: Ed25519PrivateKey | RSAPrivateKey) -> str:
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).hexdigest()[:16]


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _read(path: Path) -> list[SigningKey]:
    text = path.read_text(encoding="utf-8", errors="replace")
    keys = [_parsed(path, dict(_NOTE.findall(notes)), pem) for notes, pem in _KEY.findall(text)]
    if not keys:
        message = f"{path} holds no private key in PEM"
        raise ValueError(message)
    if len({key.id for key in keys}) != len(keys):
        message = f"{path} has two keys of one id"
        raise ValueError(message)
    return keys


def _parsed(path: Path, notes: dict[str, str], pem: str) -> SigningKey:
    private = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(private, Ed25519PrivateKey | RSAPrivateKey):
        message = f"{path} holds a key that is neither Ed25519 nor RSA"
        raise ValueError(message)  # noqa: TRY004 -- the content is wrong, not a type in our code
    if isinstance(private, RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
        message = f"{path} holds an RSA key of less than {MIN_RSA_BITS} bits"
        raise ValueError(message)
    key_id = notes.get("kid") or _thumbprint(private)
    if not _KEY_ID.fullmatch(key_id):
        message = f"{path} has a key id with other characters than letters, digits, - and _"
        raise ValueError(message)
    made_at = datetime.fromisoformat(notes["made"]) if "made" in notes else datetime.now(UTC)
    return SigningKey(key_id, private, made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC))


def _write(path: Path, keys: list[SigningKey], *, replace: bool) -> None:
    text = "".join(
        f"kid: {key.id}\nmade: {key.made_at.isoformat()}\n"
        + key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        for key in keys
    )
    write_secret_file(path, text, replace=replace)
