"""Who takes part: people of two organizations with their rights, what they follow, and the orders that move."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import bindparam, select

from auth.signing_keys import SigningKeys
from auth.tokens import Tokens
from datasources.database.audit import SECURITY_EVENT
from datasources.database.columns import Id
from datasources.database.engine import Database
from datasources.database.events import EventRow
from datasources.database.ids import new_id
from datasources.database.tables.gateway import memberships
from datasources.database.tables.messaging import service_orders
from datasources.keyring import Keyring
from subscriptions.cursors import Cursors
from tests.orders.desk import organization_of
from tests.organizations.company import add_person
from tests.serving import ADA, GRACE

ROLES = ("OWNER", "ADMIN", "ADMIN", "MEMBER", "MEMBER", "MEMBER", "VIEWER", "VIEWER", "VIEWER")
"""The people of each organization."""
BUSINESSES, ORDERS = 4, 3
RISKS = ("LOW", "MEDIUM", "HIGH")
_LIFETIME = timedelta(hours=12)

_CHANGED = "orderChanged(after: $after{more}) {{ id cursor from to {selection}}}"
_CHANGES = _CHANGED.format(more="", selection="")
_OF_BUSINESS = _CHANGED.format(more=", businessId: $business", selection="")
_OF_ORDER = _CHANGED.format(more=", orderId: $order", selection="order { id status } ")
_TYPE = "events(after: $after, filter: {types: [$type]}) { id cursor }"
_SECURITY = "securityEvent(after: $after, minRisk: $risk) { id cursor }"


@dataclass(frozen=True)
class Ask:
    """What a client follows: the document, its variables, and which events that means, said apart from the product."""

    name: str
    query: str
    variables: Mapping[str, str]

    def wants(self, event: EventRow) -> bool:
        """Whether the client is to get this event of its organization."""
        if self.name == "security":
            at_least = RISKS.index(self.variables["risk"])
            return event.type == SECURITY_EVENT and RISKS.index(event.data["risk"]) >= at_least
        return (
            event.type == self.variables.get("type", "OrderChanged")
            and self.variables.get("business") in (None, event.business_id)
            and self.variables.get("order") in (None, event.subject_id)
        )


def changes() -> Ask:
    """All orders."""
    return Ask("changes", f"subscription ($after: String) {{ {_CHANGES} }}", {})


def of_business(business_id: str) -> Ask:
    """The orders of a business."""
    query = f"subscription ($after: String, $business: ID) {{ {_OF_BUSINESS} }}"
    return Ask("business", query, {"business": business_id})


def of_order(order_id: str) -> Ask:
    """One order, which is read at each event."""
    return Ask("order", f"subscription ($after: String, $order: ID) {{ {_OF_ORDER} }}", {"order": order_id})


def of_type(name: str) -> Ask:
    """The events of a type, which only those may name who may read it."""
    return Ask("events", f"subscription ($after: String, $type: String!) {{ {_TYPE} }}", {"type": name})


def security(risk: str) -> Ask:
    """What has to do with who may come in; only for those who may know."""
    return Ask("security", f"subscription ($after: String, $risk: RiskLevel!) {{ {_SECURITY} }}", {"risk": risk})


@dataclass(frozen=True)
class Person:
    """Somebody with a token for an organization; ``role`` is the one at the beginning, if any."""

    id: str
    organization_id: str
    role: str | None
    token: str

    @property
    def may_read_audit(self) -> bool:
        """Whether security events are theirs to see."""
        return self.role in ("OWNER", "ADMIN")


@dataclass(frozen=True)
class Organization:
    """Who belongs to it, and its orders with their businesses."""

    id: str
    people: tuple[Person, ...]
    businesses: tuple[str, ...]
    orders: tuple[tuple[str, str], ...]

    def ask(self, draw: Random, person: Person) -> Ask:
        """Something that the person may follow."""
        kinds = [changes(), of_business(draw.choice(self.businesses)), of_order(draw.choice(self.orders)[0])]
        if person.may_read_audit:
            kinds += [security(draw.choice(RISKS)), of_type(SECURITY_EVENT)]
            return draw.choices(kinds, (2, 2, 2, 3, 2))[0]
        return draw.choices([*kinds, of_type("OrderChanged")], (3, 4, 2, 1))[0]


@dataclass(frozen=True)
class World:
    """All of it. ``channel`` is where processes ring for each other.

    ``demoted`` is an admin of ``first`` who becomes a viewer, ``newcomer`` will be a viewer there.
    """

    cursors: Cursors
    channel: str
    first: Organization
    second: Organization
    demoted: Person
    newcomer: Person

    @property
    def organizations(self) -> tuple[Organization, Organization]:
        """Both."""
        return self.first, self.second


async def populate(database: Database, folder: Path) -> World:
    """Adds people to the demo's organizations; ``folder`` has the keys of the gateway."""
    tokens = Tokens(SigningKeys(folder / "signing-key.pem"), issuer="tributary", lifetime=_LIFETIME)
    keyring = Keyring.at(folder / "secret-keys", create=False)
    cursors, channel = (
        Cursors(keyring.derived("event cursors")),
        f"tributary:events:{keyring.derived('redis channel').hex()[:32]}",
    )

    async def person(organization_id: str, role: str | None) -> Person:
        identity = new_id("usr")
        await add_person(database, identity, f"{identity[-12:]}@example.com")
        if role is not None:
            place = {"user_id": identity, "role": role, "joined_at": datetime.now(UTC)}
            async with database.scoped(organization_id).transaction() as transaction:
                await transaction.insert(memberships, [place])
        issued = tokens.issue(user_id=identity, organization_id=organization_id, session_id=new_id("ses"))
        return Person(identity, organization_id, role, issued.text)

    async def organization(email: str) -> Organization:
        identity = await organization_of(database, email)
        people = [await person(identity, role) for role in ROLES]
        orders = await _orders(database, identity)
        businesses = tuple(dict.fromkeys(business for _, business in orders))
        return Organization(identity, tuple(people), businesses, tuple(orders))

    first, second = await organization(ADA), await organization(GRACE)
    demoted, newcomer = await person(first.id, "ADMIN"), await person(first.id, None)
    return World(cursors, channel, first, second, demoted, newcomer)


async def _orders(database: Database, organization_id: str) -> list[tuple[str, str]]:
    """Some orders of some businesses of an organization, with their businesses."""
    statement = (
        select(service_orders.c.id, service_orders.c.business_id)
        .where(service_orders.c.organization_id == bindparam("of", type_=Id))
        .order_by(service_orders.c.id)
    )
    scope = database.unscoped("tests look behind the gateway")
    by_business: dict[str, list[str]] = defaultdict(list)
    for order_id, business_id in await scope.fetch(statement, lambda *cells: cells, {"of": organization_id}):
        by_business[business_id].append(order_id)
    busiest = sorted(by_business.items(), key=lambda found: -len(found[1]))[:BUSINESSES]
    return [(order_id, business_id) for business_id, ids in busiest for order_id in ids[:ORDERS]]
