"""Signing keys: their owner's alone, whole or not there, one for all processes that start at once, and rotated."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from auth.signing_keys import SigningKeys, create_signing_keys, rotate_signing_keys


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A private key as it stands in a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_new_key_is_readable_by_its_owner_alone_whatever_the_mask(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "signing-key.pem"
    before = os.umask(0)
    try:
        create_signing_keys(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["signing-key.pem"]
    made = path.read_bytes()
    create_signing_keys(path)
    assert path.read_bytes() == made


def test_without_a_key_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SigningKeys(tmp_path / "signing-key.pem")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_holds_no_key_is_left_alone_and_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(content)
    create_signing_keys(path)
    with pytest.raises(ValueError):  # noqa: PT011 -- in the words of the library
        SigningKeys(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "neither Ed25519 nor RSA"),
        (rsa.generate_private_key(65_537, key_size=1024), "less than 2048 bits"),  # noqa: S505 -- refused for it
    ],
)
def test_a_key_of_another_kind_is_refused(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, why: str
) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(pem_of(key))
    with pytest.raises(ValueError, match=why):
        SigningKeys(path)


def test_the_file_of_an_older_gateway_is_read_too(tmp_path: Path) -> None:
    """A key with nothing above it has the same id in each process."""
    path = tmp_path / "signing-key.pem"
    create_signing_keys(path)
    bare = b"-----BEGIN" + path.read_bytes().partition(b"-----BEGIN")[2]
    path.write_bytes(bare)
    assert SigningKeys(path).current.id == SigningKeys(path).current.id


def test_processes_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    program = (
        "import sys; from pathlib import Path; from auth.signing_keys import SigningKeys, create_signing_keys;"
        "path = Path(sys.argv[1]); create_signing_keys(path); print(SigningKeys(path).current.id)"
    )
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen([sys.executable, "-c", program, path], cwd=root, stdout=subprocess.PIPE) for _ in range(4)
    ]
    printed = [process.communicate()[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert len(set(printed)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"

    def start(_: int) -> str:
        create_signing_keys(path)
        return SigningKeys(path).current.id

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(start, range(8)))
    assert len(set(made)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_process_left_that_died_while_it_made_a_key_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    (tmp_path / f".{path.name}-abandoned").write_bytes(b"half a k")
    create_signing_keys(path)
    assert SigningKeys(path).current.algorithm == "EdDSA"


def test_a_rotation_puts_a_new_key_first_and_keeps_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    create_signing_keys(path)
    old = SigningKeys(path).current
    new = rotate_signing_keys(path, algorithm="RS256")
    keys = SigningKeys(path)
    assert (keys.current.id, keys.current.algorithm) == (new.id, "RS256")
    assert keys.find(old.id) is not None
    assert [key["kid"] for key in keys.jwks()["keys"]] == [new.id, old.id]
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert all(private.isdisjoint(key) for key in keys.jwks()["keys"])
    newest = rotate_signing_keys(path, drop_old=True)
    keys = SigningKeys(path)
    assert [keys.find(each.id) is not None for each in (newest, new, old)] == [True, False, False]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
