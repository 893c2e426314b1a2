"""Whoever steals the database, or reads the log, can sign in as nobody: what opens something is in neither.

One person goes through all that hands out secrets, with the gateway's own log turned up as far as it goes and that of
the libraries as far as an operator has it. Then everything that was kept is searched for each of them.
"""

import json
import logging
import re
import stat
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import anyio
import pytest
from sqlalchemy import inspect, text

from datasources.database.engine import Database
from tests.security.client import LOGIN, REFRESH, ask, cookie_header, data, new_place, set_cookies
from tests.serving import Running, running

CAROL, INVITED = "carol.newcomer@example.com", "dan.invited@example.com"
FIRST, SECOND, THIRD = "first: seven green kettles", "second: nine blue anvils", "third: no such password"
REGISTER = """mutation ($input: RegisterInput!) {
  register(input: $input) { session { id accessToken refreshToken } userErrors { code message field } }
}"""
INVITE = """mutation ($input: InviteMemberInput!) {
  inviteMember(input: $input) { invitation { id } userErrors { code message } }
}"""
MAKE_KEY = """mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { apiKey { id prefix } secret userErrors { code message } }
}"""
ASK_FOR_RESET = """mutation ($input: RequestPasswordResetInput!) {
  requestPasswordReset(input: $input) { userErrors { code message } }
}"""
RESET = """mutation ($input: ResetPasswordInput!) {
  resetPassword(input: $input) { session { id accessToken refreshToken } userErrors { code message } }
}"""
LINK = re.compile(r"#token=([A-Za-z0-9_-]{43})")
SECRETS, SHORTEST = 14, 20
OWN = ("auth", "datasources", "gateway", "resolvers", "schema", "subscriptions", "tributary")
CLIENT = ("httpcore", "httpx")


@dataclass
class Story:
    """What happened at a gateway: every secret that was handed out or sent in, and all that was logged meanwhile."""

    gateway: Running
    secrets: dict[str, str]
    log: str
    folder: Path


class _Heard(logging.Handler):
    """Keeps all that is logged, but for what the client of this test says of itself."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in CLIENT:
            self.lines.append(self.format(record))


@contextmanager
def heard() -> Iterator[_Heard]:
    """What is logged until the block ends."""
    handler, levels = _Heard(), {"": logging.INFO, **dict.fromkeys(OWN, logging.DEBUG)}
    before = {name: logging.getLogger(name).level for name in levels}
    logging.getLogger().addHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="module")
def story(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Carol registers, invites somebody, makes a key, forgets her password and signs in again."""
    folder = tmp_path_factory.mktemp("story")
    mails = folder / "mails"
    with heard() as log, running(database_url, folder, mail_transport="folder", mail_folder=mails) as gateway:
        logging.getLogger("gateway").debug("The story begins.")
        secrets = live_through(gateway, lambda to: link_in(mails, to))
        yield Story(gateway, secrets, "\n".join(log.lines), folder)


def live_through(gateway: Running, link: Callable[[str], str]) -> dict[str, str]:
    """Does it all over HTTP; returns the secrets by what they are."""
    place = new_place()
    joining = {"email": CAROL, "password": FIRST, "name": "Carol", "organizationName": "Carol & Co"}
    registered = data(ask(gateway, REGISTER, {"input": joining}, place=place))["register"]
    assert registered["userErrors"] == []
    session = registered["session"]
    found = {"first password": FIRST, "second password": SECOND, "wrong password": THIRD}
    found |= {"access token": session["accessToken"], "first refresh token": session["refreshToken"]}
    session = data(ask(gateway, REFRESH, {"input": {"refreshToken": session["refreshToken"]}}))["refreshSession"]
    found["second refresh token"] = session["session"]["refreshToken"]
    bearer = f"Bearer {found['access token']}"
    data(ask(gateway, INVITE, {"input": {"email": INVITED, "role": "MEMBER"}}, authorization=bearer))
    found["link of the invitation"] = link(INVITED)
    wanted = {"name": "for a script", "scopes": ["orders:read"]}
    made = data(ask(gateway, MAKE_KEY, {"input": wanted}, authorization=bearer))["createApiKey"]
    found["key"] = made["secret"]
    data(ask(gateway, "{ organization { name } }", x_api_key=made["secret"]))
    data(ask(gateway, ASK_FOR_RESET, {"input": {"email": CAROL}}, place=place))
    found["link of the reset"] = link(CAROL)
    again = {"token": found["link of the reset"], "password": SECOND}
    session = data(ask(gateway, RESET, {"input": again}, place=place))["resetPassword"]["session"]
    found |= {"access token after the reset": session["accessToken"], "third refresh token": session["refreshToken"]}
    data(ask(gateway, LOGIN, {"input": {"email": CAROL, "password": THIRD}}, place=place))
    answer = ask(gateway, LOGIN, {"input": {"email": CAROL, "password": SECOND, "cookie": True}}, place=place)
    cookies = set_cookies(answer)
    found |= {f"cookie {name}": value for name, value in cookies.items()}
    csrf = data(answer)["login"]["session"]["csrfToken"]
    data(ask(gateway, "{ viewer { id } }", cookie=cookie_header(cookies), x_csrf_token=csrf))
    ask(gateway, "{ viewer { id } }", authorization=f"Bearer {found['access token'][:-4]}AAAA")
    return found


def link_in(mails: Path, to: str) -> str:
    """The token of the link in the only mail to an address that has one, once it is there."""
    for _ in range(3_000):
        for file in mails.glob("*.eml"):
            mail = message_from_bytes(file.read_bytes(), policy=default)
            body = mail.get_body(("plain",))
            link = LINK.search(body.get_content() if body is not None else "")
            if link is not None and to in str(mail["To"]):
                return link[1]
        time.sleep(0.02)
    raise AssertionError(f"no mail with a link came to {to}")


def everything_in(database_url: str) -> str:
    """All rows of all tables, as text."""

    async def read() -> str:
        database = Database(database_url, pool_size=1)
        try:
            async with database.writer.connect() as connection:
                names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
                rows: list[str] = []
                for name in names:
                    found = await connection.execute(text(f'SELECT * FROM "{name}"'))  # noqa: S608 -- our own tables
                    rows.extend(repr(tuple(row)) for row in found)
                return "\n".join(rows)
        finally:
            await database.close()

    return anyio.run(read)


def forms(secret: str) -> list[str]:
    """A secret as it might be written down: as it is, escaped, in base64, in hex."""
    return [secret, json.dumps(secret)[1:-1], b64encode(secret.encode()).decode().rstrip("="), secret.encode().hex()]


def found_in(place: str, secrets: dict[str, str]) -> list[str]:
    """Which of the secrets are in a text."""
    return [name for name, secret in secrets.items() if any(form in place for form in forms(secret))]


def test_everything_is_looked_at(story: Story) -> None:
    """So that what is found nowhere below has been looked for where it would be."""
    kept = everything_in(story.gateway.database_url)
    assert len(story.secrets) == SECRETS
    assert all(len(secret) >= SHORTEST for secret in story.secrets.values())
    assert CAROL in kept
    assert story.secrets["key"][:16] in kept  # the prefix, which may be shown
    assert "The story begins." in story.log


def test_who_steals_the_database_finds_nothing_that_signs_in(story: Story) -> None:
    assert found_in(everything_in(story.gateway.database_url), story.secrets) == []


def test_nothing_that_signs_in_is_in_the_log(story: Story) -> None:
    assert found_in(story.log, story.secrets) == []


def test_no_address_of_a_person_is_in_the_log(story: Story) -> None:
    assert [address for address in (CAROL, INVITED) if address in story.log] == []


@pytest.mark.parametrize("name", ["signing-key.pem", "secret-keys"])
def test_the_files_with_keys_are_their_owners_alone(story: Story, name: str) -> None:
    assert stat.filemode((story.folder / name).stat().st_mode) == "-rw-------"
