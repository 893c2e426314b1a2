"""What accounts write to people, before anybody knows how mail is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from datasources.database.engine import Transaction

AccountPage: TypeAlias = Literal["confirm", "reset-password", "accept-invitation", "link-identity"]


@dataclass(frozen=True)
class NewMail:
    """A mail in the making: a template's name, to whom, and the values that it shows."""

    template: str
    to: str
    user_id: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


PostMail: TypeAlias = Callable[[Transaction, NewMail], Awaitable[None]]
"""Puts a mail into the outbox, in the transaction of what it tells of."""


@dataclass(frozen=True)
class AccountPages:
    """The pages that links in mails lead to; ``url`` is the folder they are in."""

    url: str

    def link(self, page: AccountPage, token: str | None = None) -> str:
        """A link with a token after the ``#``, which browsers send to no server and in no Referer."""
        address = f"{self.url.rstrip('/')}/{page}"
        return address if token is None else f"{address}#token={token}"
