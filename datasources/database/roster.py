"""Who there is and what they may do, as operators see and change it: over all organizations."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Select, Text, Update, bindparam, func, select, update

from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Database, Transaction
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import memberships, organizations, users

OWNER = "OWNER"


class Place(NamedTuple):
    """What a person is in an organization."""

    organization_id: str
    organization: str
    role: str


class Person(NamedTuple):
    """Somebody with an account that was not deleted."""

    id: str
    email: str
    name: str | None
    created_at: datetime
    disabled_at: datetime | None


class _Listed(NamedTuple):
    person: Person
    place: Place | None


_USERS = (users.c.id, users.c.email, users.c.name, users.c.created_at, users.c.disabled_at)
_BY_ADDRESS = select(*_USERS).where(
    users.c.email_key == bindparam("email_key", type_=Text()), users.c.deleted_at.is_(None)
)
_PLACES = (
    select(memberships.c.organization_id, organizations.c.name, memberships.c.role)
    .join(organizations, organizations.c.id == memberships.c.organization_id)
    .where(memberships.c.user_id == bindparam("user_id", type_=Id))
    .order_by(memberships.c.joined_at, memberships.c.organization_id)
)
_NAME = select(organizations.c.name).where(organizations.c.id == TENANT)
_LOCK = select(organizations.c.id).where(organizations.c.id == TENANT).with_for_update(key_share=True)
_ROLE = select(memberships.c.role).where(
    memberships.c.organization_id == TENANT, memberships.c.user_id == bindparam("user_id", type_=Id)
)
_OTHER_OWNERS = (
    select(func.count())
    .select_from(memberships.join(users, users.c.id == memberships.c.user_id))
    .where(
        memberships.c.organization_id == TENANT,
        memberships.c.role == OWNER,
        memberships.c.user_id != bindparam("user_id", type_=Id),
        users.c.disabled_at.is_(None),
    )
)
_SET_ROLE = (
    update(memberships)
    .where(memberships.c.organization_id == TENANT, memberships.c.user_id == bindparam("whom", type_=Id))
    .values(role=bindparam("new_role", type_=Text()))
)


async def listed(database: Database, organization_id: str | None) -> list[tuple[Person, list[Place]]]:
    """Everybody with their organizations, by address; only the members of one if it is named."""
    scope = database.unscoped("an operator looks at who has an account")
    parameters = {} if organization_id is None else {"only": organization_id}
    found: dict[str, tuple[Person, list[Place]]] = {}
    for row in await scope.fetch(_list(one=organization_id is not None), _row, parameters):
        _, places = found.setdefault(row.person.id, (row.person, []))
        if row.place is not None:
            places.append(row.place)
    return list(found.values())


async def person_at(database: Database, email_key: str) -> Person | None:
    """The person with this address, in lower case."""
    found = await database.scoped(None).fetch(_BY_ADDRESS, Person, {"email_key": email_key})
    return found[0] if found else None


async def places_of(database: Database, user_id: str) -> list[Place]:
    """The organizations of a person, longest first."""
    scope = database.unscoped("an operator changes an account, which belongs to several organizations")
    return await scope.fetch(_PLACES, Place, {"user_id": user_id})


async def organization_name(database: Database, organization_id: str) -> str | None:
    """The name of an organization; ``None`` when there is none with this id."""
    found = await database.scoped(organization_id).fetch(_NAME, str)
    return found[0] if found else None


async def lock_organization(transaction: Transaction) -> bool:
    """Keeps others from changing the members of the organization; ``False`` when there is no such organization."""
    return bool(await transaction.fetch(_LOCK, str))


async def role_of(transaction: Transaction, user_id: str) -> str | None:
    """What a person is in the organization of the transaction."""
    found = await transaction.fetch(_ROLE, str, {"user_id": user_id})
    return found[0] if found else None


async def has_other_owner(transaction: Transaction, user_id: str) -> bool:
    """Whether the organization has an owner who can sign in, beside this person."""
    (count,) = await transaction.fetch(_OTHER_OWNERS, int, {"user_id": user_id})
    return count > 0


async def set_role(transaction: Transaction, user_id: str, role: str) -> None:
    """Gives a member another role."""
    await transaction.execute(_SET_ROLE, {"whom": user_id, "new_role": role})


async def add_member(transaction: Transaction, user_id: str, role: str) -> None:
    """Makes a person a member of the organization."""
    await transaction.insert(memberships, [{"user_id": user_id, "role": role, "joined_at": datetime.now(UTC)}])


async def set_disabled(transaction: Transaction, user_id: str, *, disabled: bool) -> bool:
    """Bars a person from signing in, or no longer; ``False`` when nothing has changed by that."""
    values: dict[str, object] = {"user_id": user_id}
    if disabled:
        values["now"] = datetime.now(UTC)
    return bool(await transaction.execute(_disable(disabled=disabled), values))


def _row(*cells: object) -> _Listed:
    person, place = Person._make(cells[: len(_USERS)]), cells[len(_USERS) :]
    return _Listed(person, None if place[0] is None else Place._make(place))


@lru_cache(maxsize=2)
def _list(*, one: bool) -> Select[tuple[object, ...]]:
    statement = (
        select(*_USERS, memberships.c.organization_id, organizations.c.name, memberships.c.role)
        .select_from(
            users.outerjoin(memberships, memberships.c.user_id == users.c.id).outerjoin(
                organizations, organizations.c.id == memberships.c.organization_id
            )
        )
        .where(users.c.deleted_at.is_(None))
        .order_by(users.c.email_key, memberships.c.joined_at, memberships.c.organization_id)
    )
    return statement.where(memberships.c.organization_id == bindparam("only", type_=Id)) if one else statement


@lru_cache(maxsize=2)
def _disable(*, disabled: bool) -> Update:
    this = users.c.id == bindparam("user_id", type_=Id)
    if disabled:
        return (
            update(users)
            .where(this, users.c.disabled_at.is_(None))
            .values(disabled_at=bindparam("now", type_=UtcDateTime()))
        )
    return update(users).where(this, users.c.disabled_at.is_not(None)).values(disabled_at=None)
