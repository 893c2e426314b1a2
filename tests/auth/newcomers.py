"""People who have just registered, each at a place of their own, and the mail that waits for them."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from datasources.database.access import ACCESS_CHANGED
from datasources.database.columns import Id
from datasources.database.engine import Database
from datasources.database.outbox import Claimed, read_letter
from datasources.database.tables.access import outgoing_mails
from datasources.database.tables.gateway import events, memberships, users
from datasources.keyring import Keyring
from datasources.mail.template import Letter
from tests.auth.visitor import GOOD, Visitor
from tests.serving import Running

_numbers = count(1)
_ERRORS = "userErrors { code message field }"


@dataclass
class Newcomer:
    """Somebody who registered, with the ids that they got."""

    visitor: Visitor
    email: str
    id: str
    organization_id: str

    def act(self, mutation: str, selection: str = _ERRORS, **values: object) -> dict[str, Any]:
        """The payload of a mutation."""
        answer = self.ask(mutation, selection, **values)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"][mutation]
        return payload

    def ask(self, mutation: str, selection: str = _ERRORS, **values: object) -> dict[str, Any]:
        """The whole answer to a mutation."""
        kind = mutation[0].upper() + mutation[1:]
        query = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {selection} }} }}"
        return self.visitor.ask(query, {"input": values})

    def elsewhere(self, place: str = "198.51.100.77", password: str = GOOD) -> Visitor:
        """The same person on another device, signed in."""
        device = self.visitor.at(place)
        device.signed_in("login", email=self.email, password=password)
        return device


def newcomer(gateway: Running, **more: object) -> Newcomer:
    """Registers somebody nobody has heard of."""
    number = next(_numbers)
    visitor = Visitor(gateway, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    values = {
        "email": f"Newcomer{number}@Example.com",
        "password": GOOD,
        "name": f"Nour {number}",
        "organizationName": f"Haus {number}",
        **more,
    }
    session = visitor.signed_in("register", **values)
    return Newcomer(visitor, str(values["email"]), session["user"]["id"], session["organization"]["id"])


async def join(database: Database, user_id: str, organization_id: str, role: str) -> None:
    """Makes somebody a member, as an invitation does."""
    scope = database.unscoped("tests act as whoever invites people")
    async with scope.transaction() as transaction:
        row = {"organization_id": organization_id, "user_id": user_id, "role": role}
        now = (await transaction.fetch(select(users.c.created_at).where(users.c.id == user_id), lambda at: at))[0]
        await transaction.connection.execute(insert(memberships), {**row, "joined_at": now})


async def change_user(database: Database, user_id: str, **values: object) -> None:
    """Changes a row of ``users`` behind the gateway."""
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(update(users).where(users.c.id == user_id).values(**values))


async def user_row(database: Database, user_id: str) -> dict[str, Any]:
    """The row of a person."""
    scope = database.unscoped("tests look behind the gateway")
    names = [column.name for column in users.c]
    statement = select(users).where(users.c.id == bindparam("user_id", type_=Id))
    (row,) = await scope.fetch(statement, lambda *cells: dict(zip(names, cells, strict=True)), {"user_id": user_id})
    return row


async def announced(database: Database, subject_id: str) -> int:
    """How often all gateways were told to forget what they know of a person, session or key."""
    scope = database.unscoped("tests look behind the gateway")
    statement = (
        select(func.count())
        .select_from(events)
        .where(events.c.type == ACCESS_CHANGED, events.c.subject_id == bindparam("subject", type_=Id))
    )
    (count,) = await scope.fetch(statement, int, {"subject": subject_id})
    return count


async def letters_to(gateway: Running, database: Database, address: str, template: str) -> list[Letter]:
    """The mails of a template that wait for an address, oldest first."""
    keyring = Keyring(gateway.app.state.gateway.settings.keyring_file)
    scope = database.unscoped("tests look behind the gateway")
    mails = outgoing_mails.c
    statement = (
        select(*(mails[name] for name in Claimed._fields))
        .where(mails.template == template, mails.letter.is_not(None))
        .order_by(mails.created_at, mails.id)
    )
    letters = [read_letter(keyring, mail) for mail in await scope.fetch(statement, Claimed)]
    return [letter for letter in letters if letter.to == address]


async def newest_token(gateway: Running, database: Database, address: str) -> str:
    """The token of the newest link for a new password."""
    letter = (await letters_to(gateway, database, address, "reset_password"))[-1]
    return letter.text.partition("reset-password#token=")[2].split()[0]
