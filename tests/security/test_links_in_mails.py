"""A link in a mail leads where the operator says, whatever the request that asked for it says of where it was sent."""

import re
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from tests.security.client import ask, data, new_place
from tests.serving import GRACE, Running, running

ASK = """mutation ($input: RequestPasswordResetInput!) {
  requestPasswordReset(input: $input) { userErrors { code } }
}"""
HERE, EVIL = "https://api.example.com", "evil.example.com"
ADDRESS = re.compile(r"https?://[^\s\"'<>)]+")


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mail is written to."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="module")
def public(database_url: str, mails: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that is reached at an address of its own."""
    folder = tmp_path_factory.mktemp("public")
    with running(database_url, folder, public_url=HERE, mail_transport="folder", mail_folder=mails) as server:
        yield server


def test_a_link_leads_where_the_operator_says_whatever_the_request_says(public: Running, mails: Path) -> None:
    """Else whoever asks for a reset in somebody's name gets the token as soon as the link is opened."""
    lies = {"host": EVIL, "x-forwarded-host": EVIL, "forwarded": f"host={EVIL}", "origin": f"https://{EVIL}"}
    data(ask(public, ASK, {"input": {"email": GRACE}}, place=new_place(), more=lies))
    found: list[str] = []
    while not found:
        time.sleep(0.02)
        for file in mails.glob("*.eml"):
            mail = message_from_bytes(file.read_bytes(), policy=default)
            bodies = [mail.get_body((form,)) for form in ("plain", "html")]
            found = [address for body in bodies if body is not None for address in ADDRESS.findall(body.get_content())]
            assert EVIL not in str(mail)
        if found:
            assert {address.partition("/account/")[0].partition("/graphql")[0] for address in found} == {HERE}
            assert any("#token=" in address for address in found)
