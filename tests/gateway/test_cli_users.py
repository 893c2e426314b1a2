"""``tributary user``: operators make people, give them roles and bar them, while a gateway runs and feels it."""

import asyncio
import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from datasources.database.engine import Database
from gateway.cli import main
from gateway.demo import PASSWORD
from tests.auth.newcomers import announced
from tests.auth.visitor import GOOD
from tests.gateway.program import PATIENCE_SECONDS, command, environment, serving
from tests.keys import make_keys
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port
from tests.serving import ADA, GRACE, LOGIN, fill

MARISOL, JOAO, NOOR = "marisol@example.com", "joao@example.com", "noor@example.com"
RESET = """mutation ($input: ResetPasswordInput!) {
  resetPassword(input: $input) { session { accessToken user { email } organization { name } } userErrors { message } }
}"""
WHO = "{ viewer { email memberships { role organization { id name } } } }"


@dataclass
class Office:
    """A folder with a gateway that runs in it, and its commands."""

    folder: Path
    settings: dict[str, str]
    url: str

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, within this process: starting one takes longer than all the rest."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            for name, value in (self.settings | settings).items():
                patch.setenv(name, value)
            code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def done(self, *arguments: str) -> str:
        """What a command says that must succeed."""
        result = self.run(*arguments)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """What a command says that must fail, with a line of its own."""
        result = self.run(*arguments)
        assert result.returncode == 1, result
        assert result.stderr.startswith("tributary: ")
        assert "Traceback" not in result.stderr
        return result.stderr

    def ask(self, query: str, token: str | None = None, **variables: object) -> dict[str, Any]:
        """The whole answer of the gateway."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        body = {"query": query, "variables": variables}
        found: dict[str, Any] = httpx.post(
            f"{self.url}/graphql", json=body, headers=headers, timeout=60, trust_env=False
        ).json()
        return found

    def login(self, email: str, password: str = PASSWORD) -> str | None:
        """An access token, if address and password fit."""
        session = self.ask(LOGIN, input={"email": email, "password": password})["data"]["login"]["session"]
        return None if session is None else str(session["accessToken"])

    def places(self, token: str) -> dict[str, str]:
        """Roles by the name of the organization, as the gateway tells them; empty for nobody."""
        viewer = (self.ask(WHO, token).get("data") or {}).get("viewer")
        return {each["organization"]["name"]: each["role"] for each in (viewer or {}).get("memberships", [])}

    def until(self, token: str, wanted: dict[str, str]) -> None:
        """Waits until the running gateway has felt a change."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.places(token) != wanted:
            assert time.monotonic() < deadline, self.places(token)
            time.sleep(0.02)

    def announced(self, email: str) -> int:
        """How often all gateways were told to forget what they know of a person."""
        user_id = self.people()[email]["id"]

        async def count() -> int:
            database = Database(self.settings["DATABASE_URL"], pool_size=1)
            try:
                return await announced(database, user_id)
            finally:
                await database.close()

        return asyncio.run(count())

    def people(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """What ``user list`` shows, by address."""
        lines = self.done("user", "list", "--json", *arguments).splitlines()
        return {each["email"]: each for each in map(json.loads, lines)}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A running gateway over the demo data, on each database."""
    folder = tmp_path_factory.mktemp("office")
    make_keys(folder / "var")
    port = free_port()
    settings = {
        "BREACHED_PASSWORDS_URL": "off",
        "ARGON2_MEMORY_KIB": "64",
        "ARGON2_TIME_COST": "1",
        "PORT": str(port),
    }

    def serve(database_url: str) -> Iterator[Office]:
        own = {**settings, "DATABASE_URL": database_url}
        with serving(folder, port, "--quiet", **own):
            yield Office(folder, own, f"http://127.0.0.1:{port}")

    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("seeded_sqlite"), folder / "office.db")
        yield from serve(f"sqlite:///{folder / 'office.db'}")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(like=server.template("demo", fill)) as url:
            yield from serve(url)


def test_an_account_is_made_with_a_link_to_its_first_password(office: Office) -> None:
    said = office.done("user", "create", "Lena@example.com", "--name", "Lena", "--organization", "Lenas Laden")
    assert "OWNER of Lenas Laden" in said
    (token,) = re.findall(r"/account/reset-password#token=([\w-]{43})", said)
    assert office.login("lena@example.com", GOOD) is None
    answer = office.ask(RESET, input={"token": token, "password": GOOD})["data"]["resetPassword"]
    assert answer["session"]["organization"] == {"name": "Lenas Laden"}
    signed_in = office.login("lena@example.com", GOOD)
    assert signed_in is not None
    assert office.places(signed_in) == {"Lenas Laden": "OWNER"}
    assert "has an account" in office.refused("user", "create", "lena@EXAMPLE.com", "--organization", "Another")
    assert [each["name"] for each in office.people()["Lena@example.com"]["organizations"]] == ["Lenas Laden"]


def test_a_password_from_standard_input_follows_the_rules(office: Office) -> None:
    lakeside = office.people()[ADA]["organizations"][0]["id"]
    arguments = ("user", "create", "omar@example.com", "--organization", lakeside, "--password-stdin")

    def create(password: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=office.folder,
            env=environment(office.settings),
            input=f"{password}\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    short = create("short")
    assert (short.returncode, short.stdout) == (1, "")
    assert "at least 15 characters" in short.stderr
    assert "omar@example.com" not in office.people()
    made = create(GOOD)
    assert (made.returncode, made.stderr) == (0, "")
    assert GOOD not in made.stdout
    token = office.login("omar@example.com", GOOD)
    assert token is not None
    assert office.places(token) == {"Lakeside Collective": "MEMBER"}


def test_the_list_shows_who_belongs_where(office: Office) -> None:
    everybody = office.people()
    papier = next(each for each in everybody[NOOR]["organizations"] if each["name"] == "Papierflieger")
    assert papier["role"] == "OWNER"
    assert set(office.people("--organization", papier["id"])) == {NOOR}
    text = office.done("user", "list", "--organization", papier["id"])
    assert text.startswith(f"{NOOR} (Noor van Dijk)  {everybody[NOOR]['id']}\n")
    assert f"OWNER of Papierflieger ({papier['id']})" in text
    assert "argon2" not in str(everybody)
    assert "there is no organization" in office.refused("user", "list", "--organization", "org_none")


def test_a_role_counts_at_once_in_the_running_gateway(office: Office) -> None:
    belongs = {each["name"]: each for each in office.people()[NOOR]["organizations"]}
    papier, marea = belongs["Papierflieger"], belongs["Casa Marea"]
    token = office.login(NOOR)
    assert token is not None
    assert office.places(token) == {"Papierflieger": "OWNER", "Casa Marea": "MEMBER"}
    before = office.announced(NOOR)
    said = office.done("user", "promote", NOOR, "--organization", marea["id"], "--role", "ADMIN")
    assert office.announced(NOOR) == before + 1
    assert "ADMIN" in said
    assert "MEMBER before" in said
    office.until(token, {"Papierflieger": "OWNER", "Casa Marea": "ADMIN"})
    refused = office.refused("user", "promote", NOOR, "--organization", papier["id"], "--role", "VIEWER")
    assert "last owner" in refused
    assert office.places(token)["Papierflieger"] == "OWNER"
    northwind = office.people()[GRACE]["organizations"][0]["id"]
    assert "no member before" in office.done("user", "promote", NOOR, "--organization", northwind, "--role", "VIEWER")
    office.until(token, {"Papierflieger": "OWNER", "Casa Marea": "ADMIN", "Northwind Studio": "VIEWER"})


def test_who_is_disabled_is_out_at_once_and_nobody_else_is(office: Office) -> None:
    joao, ada = office.login(JOAO), office.login(ADA)
    assert joao is not None
    assert ada is not None
    make = 'mutation { createApiKey(input: {name: "till", scopes: ["orders:read"]}) { secret } }'
    secret = office.ask(make, joao)["data"]["createApiKey"]["secret"]
    before = office.announced(JOAO)
    said = office.done("user", "disable", JOAO)
    assert office.announced(JOAO) > before
    assert "Casa Marea" in said
    assert "has no owner now" in said
    office.until(joao, {})
    assert office.places(ada) == {"Lakeside Collective": "OWNER"}
    assert office.login(JOAO) is None
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "errors" not in office.ask("{ organization { name } }", secret):
        assert time.monotonic() < deadline, "the key still holds"
        time.sleep(0.02)
    assert "disabled already" in office.refused("user", "disable", JOAO)
    assert office.people()[JOAO]["disabledAt"] is not None
    assert "disabled since" in office.done("user", "list")

    office.done("user", "enable", JOAO)
    assert "not disabled" in office.refused("user", "enable", JOAO)
    again = office.login(JOAO)
    assert again is not None
    assert office.places(again) == {"Casa Marea": "OWNER"}
    # What was ended stays so.
    assert office.places(joao) == {}
    assert "errors" in office.ask("{ organization { name } }", secret)


def test_what_operators_do_is_in_the_audit_trail(office: Office) -> None:
    token = office.login(MARISOL)
    assert token is not None
    lakeside = office.people()[MARISOL]["organizations"][0]["id"]
    office.done("user", "promote", MARISOL, "--organization", lakeside, "--role", "OWNER")
    office.until(token, {"Lakeside Collective": "OWNER"})
    trail = office.ask("{ auditLog(first: 5) { nodes { action actor risk details } } }", token)["data"]["auditLog"]
    entry = next(each for each in trail["nodes"] if each["action"] == "member.role_changed")
    assert (entry["actor"], entry["risk"]) == ("operator", "HIGH")
    assert entry["details"] == {"from": "ADMIN", "to": "OWNER"}
    assert office.run("audit", "verify").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("disable", "nobody@example.com"),
        ("enable", "nobody@example.com"),
        ("promote", "nobody@example.com", "--organization", "org_none", "--role", "OWNER"),
        ("promote", ADA, "--organization", "org_none", "--role", "OWNER"),
        ("create", "not an address", "--organization", "New"),
        ("create", "fine@example.com", "--organization", "org_none"),
        ("create", "fine@example.com", "--organization", "New", "--role", "VIEWER"),
        ("create", "fine@example.com", "--organization", "two\nlines"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(office: Office, arguments: tuple[str, ...]) -> None:
    before = office.people()
    office.refused("user", *arguments)
    assert office.people() == before


def test_without_the_secret_keys_nothing_is_changed(office: Office, tmp_path: Path) -> None:
    """What is done must be in the audit trail, and that needs its key."""
    refused = office.run("user", "disable", GRACE, SECRET_KEYS_FILE=str(tmp_path / "none"))
    assert refused.returncode == 1
    assert "tributary secrets create" in refused.stderr
    assert office.people()[GRACE]["disabledAt"] is None
