"""The signing key is replaced while gateways run: nobody is signed out, unless the old one is in wrong hands."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import jwt
import pytest

from auth.signing_keys import SigningKeys, create_signing_keys, rotate_signing_keys
from auth.tokens import AUDIENCE
from gateway.demo import PASSWORD
from tests.auth.visitor import Visitor
from tests.gateway.inline import run_inline
from tests.organizations.company import Member, said, socket_of, until
from tests.serving import ADA, Running, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def both(seeded_sqlite: Path, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Two processes on one database and one data folder."""
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    with running(url, tmp_path) as here, running(url, tmp_path) as there:
        yield here, there


async def rotate(gateway: Running, *options: str) -> CompletedProcess[str]:
    """Replaces the key as an operator does."""
    settings = {"DATA_DIR": str(gateway.app.state.gateway.settings.data_dir)}
    return await asyncio.to_thread(run_inline, "key", "rotate-signing", *options, settings=settings)


def signed_in(gateway: Running) -> tuple[Visitor, dict[str, str]]:
    """Ada, with a session of her own."""
    visitor = Visitor(gateway)
    return visitor, visitor.signed_in("login", email=ADA, password=PASSWORD)


def kid(token: str) -> str:
    """The key that a token names."""
    return str(jwt.get_unverified_header(token)["kid"])


def verified(gateway: Running, token: str) -> bool:
    """Whether the keys that a gateway publishes verify a token, for a service that has just fetched them."""
    keys = jwt.PyJWKClient(f"{gateway.url}/.well-known/jwks.json", cache_jwk_set=False)
    try:
        jwt.decode(token, keys.get_signing_key_from_jwt(token), audience=AUDIENCE)
    except jwt.PyJWKClientError:
        return False
    return True


async def test_a_rotation_signs_nobody_out_in_any_process(both: tuple[Running, Running]) -> None:
    here = both[0]
    ada, session = signed_in(here)
    tokens = [session["accessToken"]]
    keys: list[str] = []

    def signs_with_the_new_key() -> bool:
        return kid(signed_in(here)[1]["accessToken"]) == keys[-1]

    def all_are_published() -> bool:
        return all(verified(gateway, token) for gateway in both for token in tokens)

    async with socket_of(Member(here, token=ada.token)) as socket:
        for algorithm in ("EdDSA", "RS256"):
            done = await rotate(here, "--algorithm", algorithm)
            assert (done.returncode, done.stderr) == (0, "")
            new = SigningKeys(here.app.state.gateway.settings.key_file).current
            assert (new.algorithm, new.id in done.stdout) == (algorithm, True)
            keys.append(new.id)
            await until(signs_with_the_new_key)
            tokens.append(signed_in(here)[1]["accessToken"])
            assert kid(tokens[-1]) == new.id
            for gateway in both:
                # At once, although the other process has not looked at the file since.
                assert [Visitor(gateway, token=token).whoami() for token in tokens] == [ADA] * len(tokens)
            await until(all_are_published)
        assert (await said(socket))["data"]["viewer"] is not None
    assert len({kid(token) for token in tokens}) == 3


def test_a_key_that_is_not_known_is_looked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may sign with it already; otherwise the file is looked at once a second."""
    monkeypatch.setattr("auth.signing_keys._LOOK_AGAIN_SECONDS", 3_600.0)
    path = tmp_path / "signing-key.pem"
    create_signing_keys(path)
    keys = SigningKeys(path)
    old = keys.current
    new = rotate_signing_keys(path)
    assert keys.current.id == old.id
    assert [found.id for found in (keys.find(new.id), keys.find(old.id)) if found is not None] == [new.id, old.id]
    assert (keys.current.id, keys.generation) == (new.id, 1)
    assert keys.find("of-nobody") is None


def test_the_file_of_the_keys_stays_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    create_signing_keys(path)
    rotate_signing_keys(path)
    assert path.read_text().count("BEGIN PRIVATE KEY") == 2
    assert path.stat().st_mode & 0o077 == 0
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


async def test_a_key_in_wrong_hands_is_dropped_and_sessions_go_on(both: tuple[Running, Running]) -> None:
    here, there = both
    ada, session = signed_in(here)
    elsewhere = Visitor(there, token=session["accessToken"])
    assert ada.whoami() == elsewhere.whoami() == ADA
    done = await rotate(here, "--compromised")
    assert done.returncode == 0
    assert "sessions go on with refreshSession" in done.stdout
    await until(lambda: ada.whoami() is None)
    await until(lambda: elsewhere.whoami() is None)
    ada.signed_in("refreshSession", refreshToken=session["refreshToken"])
    assert ada.whoami() == ADA
    assert Visitor(there, token=ada.token).whoami() == ADA


async def test_without_a_key_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path)}
    refused = await asyncio.to_thread(run_inline, "key", "rotate-signing", settings=settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Make one: tributary key create-signing" in refused.stderr
    made = await asyncio.to_thread(run_inline, "key", "create-signing", "--algorithm", "RS256", settings=settings)
    assert made.returncode == 0
    assert SigningKeys(tmp_path / "signing-key.pem").current.algorithm == "RS256"
    (tmp_path / "signing-key.pem").write_text("no key")
    refused = await asyncio.to_thread(run_inline, "key", "rotate-signing", settings=settings)
    assert refused.stderr.startswith("tributary: ")
    assert (tmp_path / "signing-key.pem").read_text() == "no key"
