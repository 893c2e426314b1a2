"""The signing key: its owner's alone, whole or not there, and one for all processes that start at once."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth.tokens import signing_key

RAW = (serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())


def test_a_new_key_is_readable_by_its_owner_alone_whatever_the_mask(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "signing-key.pem"
    before = os.umask(0)
    try:
        made = signing_key(path, create=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["signing-key.pem"]
    assert signing_key(path, create=True).private_bytes(*RAW) == made.private_bytes(*RAW)
    assert signing_key(path, create=False).private_bytes(*RAW) == made.private_bytes(*RAW)


def test_without_a_key_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        signing_key(tmp_path / "signing-key.pem", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_holds_no_key_is_left_alone_and_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 -- in the words of the library
        signing_key(path, create=True)
    assert path.read_bytes() == content


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(ValueError, match="holds no Ed25519 private key"):
        signing_key(path, create=True)


def test_processes_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    program = (
        "import sys; from datetime import timedelta; from pathlib import Path;"
        "from auth.tokens import Tokens, signing_key;"
        "key = signing_key(Path(sys.argv[1]), create=True);"
        "print(Tokens(key, issuer='', lifetime=timedelta(1)).key_id)"
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
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: signing_key(path, create=True).private_bytes(*RAW), range(8)))
    assert len(set(made)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_process_left_that_died_while_it_made_a_key_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container every start has the same process id."""
    path = tmp_path / "signing-key.pem"
    path.with_suffix(f".{os.getpid()}").write_bytes(b"half a k")
    made = signing_key(path, create=True)
    assert signing_key(path, create=False).private_bytes(*RAW) == made.private_bytes(*RAW)
