"""A real issuer, and the gateway's door for those who come from it, without the rest of the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from auth.errors import InvalidToken
from auth.mail import AccountPages, NewMail
from auth.oidc import OutsideIssuers
from auth.oidc_settings import IssuerSettings
from datasources.database.engine import Database, Transaction
from tests.oidc.forge import Forge
from tests.oidc.issuer import API, APP, MockIssuer, mock_issuer, new_key

AUDIT_KEY = b"k" * 32


@pytest.fixture(scope="module")
def keys() -> list[dict[str, Any]]:
    """One key for each kind of signature; making them takes longer than a test."""
    return [new_key("RS256", "rsa"), new_key("ES256", "curve"), new_key("EdDSA", "edwards")]


@pytest.fixture(scope="module")
def issuer_process() -> Iterator[MockIssuer]:
    """The issuer of the module, in whatever state the last test left it."""
    with mock_issuer() as found:
        yield found


@pytest.fixture
def issuer(issuer_process: MockIssuer, keys: list[dict[str, Any]]) -> MockIssuer:
    """An issuer that serves with a key of each kind."""
    issuer_process.serve(keys)
    return issuer_process


@pytest.fixture(scope="module")
def other_issuer() -> Iterator[MockIssuer]:
    """Another issuer, that does not serve yet."""
    with mock_issuer() as found:
        yield found


@pytest.fixture
def forge(issuer: MockIssuer) -> Forge:
    """Signs with the keys of the issuer."""
    return Forge(issuer.url, issuer.keys)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Door:
    """Where tokens are checked; ``mails`` are those that were posted by transactions that committed."""

    issuers: OutsideIssuers
    database: Database
    clock: Clock
    mails: list[NewMail] = field(default_factory=list)

    def link(self) -> str:
        """The token in the link of the last mail."""
        return self.mails[-1].values["link"].rpartition("#token=")[2]


OpenDoor = Callable[..., Door]


@pytest.fixture
async def open_door(database_url: str, issuer: MockIssuer) -> AsyncIterator[OpenDoor]:
    """Opens a door for the issuer with any settings of it, and for further ones."""
    async with AsyncExitStack() as stack:
        yield lambda *others, **settings: _open(stack, database_url, [settings_of(issuer.url, **settings), *others])


@pytest.fixture
def door(open_door: OpenDoor) -> Door:
    """A door with the usual settings."""
    return open_door()


async def refusal(door: Door, token: str) -> str:
    """What is said of a token that must be refused."""
    with pytest.raises(InvalidToken) as refused:
        await door.issuers.verify(token)
    return str(refused.value)


def settings_of(url: str, **changes: Any) -> IssuerSettings:
    """The usual settings for an issuer."""
    usual = {
        "issuer": url,
        "audience": API,
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "client_ids": [APP],
        "name": "Acme Login",
    }
    return IssuerSettings(**{**usual, **changes})


def _open(stack: AsyncExitStack, database_url: str, settings: list[IssuerSettings]) -> Door:
    database = Database(database_url, audit_key=AUDIT_KEY)
    clock, mails = Clock(), list[NewMail]()

    async def post(transaction: Transaction, mail: NewMail) -> None:
        await asyncio.sleep(0)
        transaction.after_commit.append(lambda: mails.append(mail))

    pages = AccountPages("https://app.example.com/account")
    issuers = OutsideIssuers(database, settings, post=post, pages=pages, clock=clock)
    stack.push_async_callback(database.close)
    stack.push_async_callback(issuers.close)
    return Door(issuers, database, clock, mails)
