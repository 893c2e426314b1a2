"""The organizations of the demo data, how big each is, and the people in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from datasources.database.seed.rows import Draw, Row
from datasources.database.tables.gateway import memberships, organizations, users

FOUNDED = datetime(2024, 4, 25, 12, tzinfo=UTC)
"""When it all began, whatever the present of the demo is: people and organizations keep their ids."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in; the address is ``<name>@example.com``."""

    key: str
    name: str
    bio: str
    skills: tuple[str, ...]
    interests: tuple[str, ...]

    @property
    def email(self) -> str:
        """The address to sign in with."""
        return f"{self.key}@example.com"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization and how much it has; ``customers`` and ``campaigns`` are in all and per business."""

    key: str
    name: str
    capabilities: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    businesses: int
    business_orders: int
    heavy_orders: int
    customers: int
    campaigns: tuple[int, int]
    prompt_purchases: int
    credit_purchases: int
    events: int
    activity: float
    home: str = "US"


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant with its ids."""

    tenant: Tenant
    id: str
    created_at: datetime
    staff: tuple[str, ...]


PEOPLE = (
    Person("ada", "Ada Byström", "Runs the collective.", ("strategy", "budgets"), ("sailing", "numbers")),
    Person("marisol", "Marisol Vega", "Keeps the shops in step.", ("operations", "hiring"), ("ceramics",)),
    Person("kenji", "Kenji 田中", "Buys the ads and reads the figures.", ("paid search", "reporting"), ("trains",)),
    Person("grace", "Grace Okonkwo", "Started with one chair.", ("styling", "teaching"), ("choirs",)),
    Person("noor", "Noor van Dijk", "Writes prompts, and contracts.", ("prompt writing", "law"), ("crosswords",)),
    Person("joao", "João Magalhães", "Second generation at the counter.", ("sales", "languages"), ("surfing",)),
)

LAKESIDE, NORTHWIND, PAPIER, MAREA = "lakeside-collective", "northwind-studio", "papierflieger", "casa-marea"


def tenants(scale: int) -> tuple[Tenant, ...]:
    """The organizations at a scale; Northwind Studio is the same at each."""
    lakeside, northwind, papier, marea = 7_280 * scale, 264, 0, 1_500 * scale
    purchases = {LAKESIDE: 400 * scale, NORTHWIND: 18, PAPIER: 60 * scale, MAREA: 120 * scale}
    credit_purchases = {LAKESIDE: 320 * scale, NORTHWIND: 18, PAPIER: 60 * scale, MAREA: 80 * scale}
    everything = lakeside + northwind + papier + marea + sum(purchases.values()) + sum(credit_purchases.values())
    return (
        Tenant(
            key=LAKESIDE,
            name="Lakeside Collective",
            capabilities=("BUYER", "SELLER", "DEVELOPER", "ADVERTISER", "MERCHANT", "BROADCASTER"),
            members=(("ada", "OWNER"), ("marisol", "ADMIN"), ("kenji", "MEMBER")),
            businesses=12 + 10 * (scale - 1),
            business_orders=lakeside,
            heavy_orders=round(everything / 10),
            customers=lakeside // 5,
            campaigns=(16, 24),
            prompt_purchases=purchases[LAKESIDE],
            credit_purchases=credit_purchases[LAKESIDE],
            events=500,
            activity=8.0 * scale,
        ),
        Tenant(
            key=NORTHWIND,
            name="Northwind Studio",
            capabilities=("BUYER", "ADVERTISER", "MERCHANT"),
            members=(("grace", "OWNER"),),
            businesses=12,
            business_orders=northwind,
            heavy_orders=0,
            customers=30,
            campaigns=(3, 3),
            prompt_purchases=purchases[NORTHWIND],
            credit_purchases=credit_purchases[NORTHWIND],
            events=200,
            activity=0.5,
        ),
        Tenant(
            key=PAPIER,
            name="Papierflieger",
            capabilities=("BUYER", "SELLER", "DEVELOPER"),
            members=(("noor", "OWNER"),),
            businesses=2,
            business_orders=papier,
            heavy_orders=0,
            customers=0,
            campaigns=(0, 0),
            prompt_purchases=purchases[PAPIER],
            credit_purchases=credit_purchases[PAPIER],
            events=60,
            activity=1.0 * scale,
            home="DE",
        ),
        Tenant(
            key=MAREA,
            name="Casa Marea",
            capabilities=("BUYER", "SELLER", "ADVERTISER", "MERCHANT"),
            members=(("joao", "OWNER"), ("noor", "MEMBER")),
            businesses=6 + 2 * (scale - 1),
            business_orders=marea,
            heavy_orders=0,
            customers=marea // 5,
            campaigns=(6, 10),
            prompt_purchases=purchases[MAREA],
            credit_purchases=credit_purchases[MAREA],
            events=120,
            activity=2.0 * scale,
            home="ES",
        ),
    )


def people_rows(seed: int, password_hash: str) -> Iterator[tuple[str, Row]]:
    """Every person, with the key."""
    for number, person in enumerate(PEOPLE):
        draw = Draw(seed, "person", person.key)
        created_at = FOUNDED + timedelta(days=13 * number, minutes=draw.randrange(600))
        yield (
            person.key,
            (
                users,
                {
                    "id": draw.id("usr", created_at),
                    "email": person.email,
                    "email_key": person.email,
                    "password_hash": password_hash,
                    "name": person.name,
                    "avatar_url": None,
                    "bio": person.bio,
                    "company": None,
                    "website": None,
                    "skills": list(person.skills),
                    "interests": list(person.interests),
                    "preferences": {"theme": draw.choice(["light", "dark", "system"])},
                    "created_at": created_at,
                    "disabled_at": None,
                    "email_verified_at": created_at,
                    "deleted_at": None,
                },
            ),
        )


def organization(seed: int, tenant: Tenant, user_ids: dict[str, str]) -> Organization:
    """A tenant with its id and the ids of its people."""
    draw = Draw(seed, tenant.key)
    created_at = FOUNDED + timedelta(days=20 + len(tenant.name), minutes=draw.randrange(600))
    return Organization(
        tenant, draw.id("org", created_at), created_at, tuple(user_ids[key] for key, _ in tenant.members)
    )


def organization_rows(seed: int, found: Organization) -> Iterator[Row]:
    """The organization and its memberships."""
    draw = Draw(seed, found.tenant.key, "people")
    yield (
        organizations,
        {
            "id": found.id,
            "name": found.tenant.name,
            "slug": found.tenant.key,
            "capabilities": list(found.tenant.capabilities),
            "created_at": found.created_at,
        },
    )
    for (_, role), user_id in zip(found.tenant.members, found.staff, strict=True):
        joined_at = found.created_at
        if role != "OWNER":
            joined_at += timedelta(days=draw.randrange(10, 200), minutes=draw.randrange(600))
        yield (
            memberships,
            {"organization_id": found.id, "user_id": user_id, "role": role, "joined_at": joined_at},
        )
