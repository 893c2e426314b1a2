"""An issuer of tokens that is not ours: oauth2-mock-server in Node, with keys that the tests know too."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_curve_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.servers.process import free_port, running, scratch_folder

HERE = Path(__file__).parent
API = "https://api.example.com/"
APP = "app"
OLDEST_NODE = (20, 19)
_INSTALL = ("npm", "ci", "--ignore-scripts", "--loglevel=error")
_HTTP = httpx.Client(timeout=60, trust_env=False)


def new_key(algorithm: str, key_id: str, *, bits: int = 2048) -> dict[str, Any]:
    """A private key as a JSON Web Key."""
    if algorithm == "EdDSA":
        jwk = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    elif algorithm == "ES256":
        jwk = ECAlgorithm.to_jwk(new_curve_key(SECP256R1()), as_dict=True)
    else:
        jwk = RSAAlgorithm.to_jwk(new_rsa_key(65_537, bits), as_dict=True)
    found = {name: value for name, value in jwk.items() if name != "key_ops"}
    return {**found, "kid": key_id, "alg": algorithm}


def private(jwk: Mapping[str, Any]) -> Any:
    """The key itself."""
    return PyJWK(dict(jwk)).key


@dataclass
class MockIssuer:
    """An issuer at ``url``; ``keys`` are those that it has at the moment."""

    port: int
    control: int
    keys: list[dict[str, Any]] = field(default_factory=list)
    slash: str = ""

    @property
    def url(self) -> str:
        """Its name, which is its address."""
        return f"http://127.0.0.1:{self.port}{self.slash}"

    def serve(
        self,
        keys: list[dict[str, Any]],
        *,
        userinfo: Mapping[str, Any] | None = None,
        userinfo_status: int = 200,
        slash: str = "",
    ) -> None:
        """Answers from now on, with these keys; what was asked before is forgotten."""
        self.keys, self.slash = keys, slash
        told = {"url": self.url, "keys": keys, "userinfo": userinfo or {}, "userinfoStatus": userinfo_status}
        self._tell("serve", told)

    def stop(self) -> None:
        """Answers nobody, until it serves again."""
        self._tell("stop")

    def asked(self, path: str) -> int:
        """How often a path was asked for since it began to serve."""
        return int(self._tell("seen").get(path, 0))

    def token(self, key_id: str, **claims: Any) -> str:
        """A token as its token endpoint gives it out, signed with one of its keys."""
        told = {"aud": API, "azp": APP, **claims}
        body = {"grant_type": "client_credentials", "claims": json.dumps(told)}
        answer = _HTTP.post(f"http://127.0.0.1:{self.port}/token", params={"kid": key_id}, data=body)
        return str(answer.raise_for_status().json()["access_token"])

    def _tell(self, what: str, told: object = None) -> dict[str, Any]:
        answer = _HTTP.post(f"http://127.0.0.1:{self.control}/{what}", json=told)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@contextmanager
def mock_issuer() -> Iterator[MockIssuer]:
    """An issuer in a process of its own, that does not serve yet."""
    _install()
    issuer = MockIssuer(free_port(), free_port())

    def answers() -> bool:
        try:
            issuer.asked("/")
        except httpx.TransportError:
            return False
        return True

    command = ("node", HERE / "issuer.mjs", str(issuer.port), str(issuer.control))
    with scratch_folder() as folder, running(command, folder, answers=answers):
        yield issuer


def _install() -> None:
    """Puts the packages beside the script, once for all the processes that run tests."""
    node = shutil.which("node")
    told = (
        "" if node is None else subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    )
    version = tuple(int(part) for part in told.strip().removeprefix("v").split(".") if part)
    if version < OLDEST_NODE or shutil.which("npm") is None:
        pytest.fail(f"these tests need Node {'.'.join(map(str, OLDEST_NODE))} or newer, with npm, on the path")
    modules = HERE / "node_modules"
    modules.mkdir(exist_ok=True)
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    with (HERE / "package-lock.json").open() as guarded:
        fcntl.flock(guarded, fcntl.LOCK_EX)
        mark = modules / ".installed"
        if not mark.is_file() or mark.read_text() != lock:
            done = subprocess.run(_INSTALL, cwd=HERE, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"npm ci failed in {HERE}:\n{done.stdout}{done.stderr}"
            mark.write_text(lock)
