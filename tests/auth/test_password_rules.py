"""Which passwords may be chosen, and what a service elsewhere learns of them: nothing."""

import logging
import threading
from collections.abc import Iterator
from hashlib import sha1
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.breached import Breaches
from auth.password_rules import PasswordRules, is_about, is_predictable
from datasources.breached_passwords import BreachCheckFailed, BreachedPasswords
from gateway.settings import SettingsError, load
from tests.auth.pwned import Pwned, pwned
from tests.auth.visitor import GOOD, Visitor
from tests.serving import Running, running

pytestmark = pytest.mark.anyio

LEAKED = "winter sunshine 2019"
ABOUT = ("ada.bystrom@example.com", "Ada Byström", "Lakeside Collective")

FINE = [
    GOOD,
    "correct horse battery staple",
    "ππππ αβγδ εζηθ ικλμ!",
    "            spaces count",
    "密码是一个很长的句子而且没有人知道它",
    "👩‍🚀 went to 🌕 and came back",
    "ada likes her lakeside walks at noon",
    "x" * 3 + "yz7!kq0w3e9r" * 3,
]
POOR = [
    "",
    "fourteen chars",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababababab",
    "passwordpassword",
    "Password Password",
    "abcdefghijklmnopqrstuvwxyz",
    "zyxwvutsrqponmlkji",
    "123456789012345",
    "0987654321098765",
    "qwertyuiopasdfghjkl",
    "QWERTYUIOPASDFGHJKLZXCVBNM",
    "tributary password",
    "tributary-tributary!1",
    "ada.bystrom@example.com",
    "AdaByström12345",
    "Lakeside Collective 1",
    "lakesidecollective99",
]


@pytest.fixture
def service() -> Iterator[Pwned]:
    """A service that knows of breaches."""
    with pwned() as found:
        found.found = {LEAKED: 7}
        yield found


@pytest.mark.parametrize("password", FINE)
async def test_a_long_password_of_any_characters_may_be_chosen(password: str) -> None:
    assert await PasswordRules().fault(password, *ABOUT) is None


@pytest.mark.parametrize("password", POOR)
async def test_what_is_tried_first_may_not(password: str) -> None:
    fault = await PasswordRules().fault(password, *ABOUT)
    assert fault is not None
    assert not password or password not in fault


async def test_length_is_counted_in_characters_as_they_are_hashed() -> None:
    """A ligature is as long as its letters, a letter with its accent apart as long as in one."""
    rules = PasswordRules(min_length=8)
    assert await rules.fault("\u00e9t\u00e9 bl\u00e9s") is None
    assert await rules.fault("e\u0301te\u0301ble\u0301") is not None  # seven letters, in ten code points
    assert await rules.fault("\ufb01\ufb02 a z x") is None  # seven code points, nine letters
    assert await PasswordRules().fault("\u00fcber alle Berge " * 16) is None
    assert await PasswordRules().fault("\u00fcber alle Berge " * 16 + "x") is not None


@given(st.text(min_size=15, max_size=40), st.lists(st.text(max_size=12), max_size=3))
def test_whatever_is_typed_is_judged(password: str, about: list[str]) -> None:
    is_predictable(password)
    is_about(password, about)


@given(st.text(min_size=1, max_size=4), st.integers(15, 60))
def test_a_short_piece_over_and_over_is_predictable(piece: str, length: int) -> None:
    assert is_predictable((piece * length)[:length])


async def test_a_breached_password_is_refused_and_the_service_learns_neither_it_nor_that(service: Pwned) -> None:
    source = BreachedPasswords(service.url)
    try:
        rules = PasswordRules(Breaches(source))
        fault = await rules.fault(LEAKED)
        assert fault is not None
        assert "breach" in fault
        assert await rules.fault(GOOD) is None
    finally:
        await source.close()
    digests = [sha1(each.encode(), usedforsecurity=False).hexdigest().upper() for each in (LEAKED, GOOD)]
    assert service.paths == [f"/range/{digest[:5]}" for digest in digests]


async def test_padding_is_no_finding(service: Pwned) -> None:
    service.found = {LEAKED: 0}
    source = BreachedPasswords(service.url)
    try:
        assert await source.count(LEAKED) == 0
    finally:
        await source.close()


@pytest.mark.parametrize("answer", [(500, b""), (429, b""), (301, b""), (404, b"no"), (200, b"x" * (2 << 20))])
async def test_a_service_that_fails_lets_the_password_pass_and_is_noted(
    service: Pwned, answer: tuple[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = answer
    source = BreachedPasswords(service.url)
    try:
        with pytest.raises(BreachCheckFailed):
            await source.count(LEAKED)
        with caplog.at_level(logging.WARNING):
            assert await PasswordRules(Breaches(source)).fault(LEAKED) is None
    finally:
        await source.close()
    assert "was not compared with known breaches" in caplog.text
    assert LEAKED not in caplog.text
    assert len(service.paths) == 2  # no redirect was followed


async def test_a_service_that_says_nothing_is_not_waited_for(service: Pwned) -> None:
    service.silent = threading.Event()
    source = BreachedPasswords(service.url, time_limit=0.1)
    try:
        with pytest.raises(BreachCheckFailed):
            await source.count(LEAKED)
    finally:
        await source.close()


async def test_a_service_that_is_not_there_keeps_nobody_out() -> None:
    source = BreachedPasswords("http://127.0.0.1:1")
    try:
        assert await PasswordRules(Breaches(source)).fault(LEAKED) is None
    finally:
        await source.close()


def test_who_registers_is_told(database_url: str, tmp_path_factory: pytest.TempPathFactory, service: Pwned) -> None:
    folder = tmp_path_factory.mktemp("breached")
    with running(database_url, folder, breached_passwords_url=service.url, password_min_length=8) as gateway:
        payload = register(gateway, LEAKED)
        (error,) = payload["userErrors"]
        assert (error["code"], error["field"]) == ("INVALID", ["password"])
        assert "breach" in error["message"]
        assert len(service.paths) == 1
        # What is refused anyway is told to nobody.
        assert register(gateway, "short")["session"] is None
        assert len(service.paths) == 1
        assert register(gateway, "eight ok")["session"] is not None


def register(gateway: Running, password: str) -> dict[str, Any]:
    """The payload of a registration with this password."""
    given = {"email": "breached@example.com", "password": password, "organizationName": "O"}
    return Visitor(gateway).run("register", **given)


@pytest.mark.parametrize(
    "wrong", ["http://pwned.example.com", "off please", "ftp://127.0.0.1", "http://localhost.example.com"]
)
def test_the_service_is_asked_in_secret(wrong: str) -> None:
    with pytest.raises(SettingsError, match="BREACHED_PASSWORDS_URL"):
        load(breached_passwords_url=wrong, _env_file=None)


def test_it_is_asked_unless_it_is_turned_off() -> None:
    assert load(_env_file=None).breach_service == "https://api.pwnedpasswords.com"
    assert load(_env_file=None, breached_passwords_url="off").breach_service is None
    assert load(_env_file=None, demo=True).breach_service is None


def test_no_gateway_takes_passwords_of_less_than_eight_characters() -> None:
    with pytest.raises(SettingsError, match="PASSWORD_MIN_LENGTH"):
        load(password_min_length=7, _env_file=None)
