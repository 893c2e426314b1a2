"""The keys that a gateway needs to start."""

from pathlib import Path

from auth.signing_keys import create_signing_keys
from datasources.keyring import Keyring


def make_keys(folder: Path) -> Path:
    """Makes signing and secret keys in ``folder``, a gateway's ``data_dir``; returns the path of the signing key."""
    path = folder / "signing-key.pem"
    create_signing_keys(path)
    Keyring.at(folder / "secret-keys", create=True)
    return path
