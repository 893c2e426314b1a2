"""The prompts of the marketplace with their sellers, categories and versions; the same at every scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from datasources.database.seed.pools import currencies, load, spelled
from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.tenants import LAKESIDE, MAREA, PAPIER, Organization
from datasources.database.tables.marketplace import prompt_categories, prompt_versions, prompts, sellers

WELL_KNOWN = "cold-email-writer"
"""The slug that examples and tests may count on."""

SELLERS = {PAPIER: 150, MAREA: 70, LAKESIDE: 20}
"""How the published prompts are shared out among the organizations that sell."""

EVERGREEN = 40
"""Every so many prompts one was published before the first order of anybody."""


METHOD = "\n\nHow to go about it:"
"""Where the part of a template begins that only its buyers see."""


@dataclass(frozen=True, slots=True)
class _Idea:
    """What a prompt is for."""

    status: str
    category: dict[str, Any]
    title: str
    goal: str
    niche: str | None

    @property
    def name(self) -> str:
        return f"{self.title} for {self.niche}" if self.niche else self.title

    @property
    def well_known(self) -> bool:
        return spelled(self.name) == WELL_KNOWN


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a prompt."""

    number: int
    notes: str | None
    template: str
    variables: list[dict[str, object]]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; ``popularity`` is its share of the interest in all of them."""

    id: str
    seller: Organization
    slug: str
    title: str
    description: str
    category: str
    tags: list[str]
    models: list[str]
    preview: str
    price_minor: int
    currency: str
    status: str
    versions: list[Version]
    published_at: datetime | None
    created_at: datetime
    popularity: float

    def version_at(self, at: datetime) -> int:
        """The number of the version that was for sale at that time."""
        return max((version.number for version in self.versions if version.created_at <= at), default=1)


def catalogue(seed: int, now: datetime, organizations: Sequence[Organization]) -> list[Prompt]:
    """Every prompt: 240 published, ten drafts and ten archived."""
    by_key = {organization.tenant.key: organization for organization in organizations}
    draw = Draw(seed, "prompts")
    keys = [key for key, count in SELLERS.items() for _ in range(count)]
    draw.shuffle(keys)
    found: list[Prompt] = []
    for number, idea in enumerate(_ideas()):
        seller = by_key[PAPIER if idea.well_known else keys[number % len(keys)]]
        found.append(_prompt(Draw(seed, "prompt", number), now, seller, idea, number % EVERGREEN == 0))
    return found


def _ideas() -> Iterator[_Idea]:
    for category in load("prompts")["categories"]:
        niches = category["niches"]
        for number, (title, goal) in enumerate(category["tasks"]):
            yield _Idea("PUBLISHED", category, title, goal, None)
            yield _Idea("PUBLISHED", category, title, goal, niches[number % len(niches)])
    for number, category in enumerate(load("prompts")["categories"]):
        niches, tasks = category["niches"], category["tasks"]
        title, goal = tasks[number % (len(tasks) // 2)]
        yield _Idea("DRAFT", category, title, goal, niches[(number + 3) % len(niches)])
        title, goal = tasks[number % (len(tasks) // 2) + len(tasks) // 2]
        yield _Idea("ARCHIVED", category, title, goal, niches[(number + 2) % len(niches)])


def _prompt(draw: Draw, now: datetime, seller: Organization, idea: _Idea, evergreen: bool) -> Prompt:  # noqa: FBT001
    days = draw.randrange(760, 860) if evergreen or idea.well_known else draw.randrange(30, 850)
    created_at = max(now - timedelta(days=days, minutes=draw.randrange(900)), seller.created_at + timedelta(minutes=30))
    count = draw.choices((1, 2, 3, 4), (40, 30, 20, 10))[0] if idea.status != "DRAFT" else 1
    versions = _versions(draw, now, idea, created_at, 3 if idea.well_known else count)
    currency = currencies()["USD" if idea.well_known else draw.choices(("USD", "EUR", "GBP"), (65, 25, 10))[0]]
    return Prompt(
        id=draw.id("prm", created_at),
        seller=seller,
        slug=spelled(idea.name),
        title=idea.name,
        description=f"{idea.goal} Made for {idea.niche.lower()}." if idea.niche else f"{idea.goal} Works in any trade.",
        category=idea.category["slug"],
        tags=draw.sample(idea.category["tags"], draw.randint(2, 4)),
        models=draw.sample(load("prompts")["models"], draw.randint(2, 4)),
        preview=versions[-1].template.partition(METHOD)[0] + " …",
        price_minor=currency.price(9 if idea.well_known else draw.choice((3, 5, 7, 9, 12, 15, 19, 29, 49))),
        currency=currency.code,
        status=idea.status,
        versions=versions,
        published_at=None if idea.status == "DRAFT" else created_at + timedelta(days=draw.randrange(1, 6), hours=2),
        created_at=created_at,
        popularity=30.0 if idea.well_known else min(draw.paretovariate(1.3), 10.0),
    )


def _versions(draw: Draw, now: datetime, idea: _Idea, created_at: datetime, count: int) -> list[Version]:
    """Versions that each add a step and a rule to the one before."""
    steps = draw.sample(idea.category["steps"], 5)
    rules = draw.sample(load("prompts")["variables"], 4)
    span = (now - created_at) * 0.8
    found = []
    for number in range(1, count + 1):
        own, shared = idea.category["variables"], rules[:number]
        lines = [
            idea.category["role"],
            f"{idea.goal} It is for {idea.niche.lower()}." if idea.niche else idea.goal,
            *(f"{label}: {{{{{name}}}}}" for name, label, *_ in own),
            *METHOD.splitlines()[1:],
            *(f"{place}. {step}" for place, step in enumerate(steps[: number + 1], 1)),
            "",
            *(rule["line"] for rule in shared),
        ]
        found.append(
            Version(
                number=number,
                notes=None if number == 1 else f"New: {rules[number - 1]['spec'][1].lower()}, and one more step.",
                template="\n".join(lines),
                variables=[_variable(*spec) for spec in (*own, *(rule["spec"] for rule in shared))],
                created_at=created_at + span * (number - 1) / count,
            )
        )
    return found


def _variable(name: str, label: str, kind: str, default: str, options: list[str] | None = None) -> dict[str, object]:
    return {
        "name": name,
        "label": label,
        "kind": kind,
        "required": not default and kind != "TEXT",
        "default": default or None,
        "options": options if kind == "CHOICE" else None,
    }


def seller_ids(seed: int, organizations: Sequence[Organization]) -> dict[str, str]:
    """The seller that each selling organization is, by the organization's id."""
    return {
        organization.id: Draw(seed, "seller", organization.tenant.key).id("sel", organization.created_at)
        for organization in organizations
        if organization.tenant.key in SELLERS
    }


def catalogue_rows(
    found: Sequence[Prompt], ids: dict[str, str], ratings: dict[str, list[int]], sales: dict[str, int]
) -> Iterator[Row]:
    """Sellers, categories, prompts and versions; ``ratings`` and ``sales`` are of each prompt, by its id."""
    of_seller: dict[str, list[int]] = {}
    for prompt in found:
        of_seller.setdefault(prompt.seller.id, []).extend(ratings.get(prompt.id, ()))
    for organization in {prompt.seller.id: prompt.seller for prompt in found}.values():
        yield (
            sellers,
            {
                "id": ids[organization.id],
                "seller_organization_id": organization.id,
                "name": organization.tenant.name,
                "slug": organization.tenant.key,
                "rating": mean(of_seller[organization.id]),
            },
        )
    for category in load("prompts")["categories"]:
        yield prompt_categories, {"slug": category["slug"], "name": category["name"]}
    for prompt in found:
        yield prompts, _prompt_row(prompt, ids, ratings, sales)
        for version in prompt.versions:
            yield (
                prompt_versions,
                {
                    "prompt_id": prompt.id,
                    "number": version.number,
                    "notes": version.notes,
                    "template": version.template,
                    "variables": version.variables,
                    "created_at": version.created_at,
                },
            )


def mean(ratings: Sequence[int]) -> float | None:
    """The mean of ``ratings``, or ``None`` when there are none."""
    return sum(ratings) / len(ratings) if ratings else None


def _prompt_row(
    prompt: Prompt, ids: dict[str, str], ratings: dict[str, list[int]], sales: dict[str, int]
) -> dict[str, object]:
    return {
        "id": prompt.id,
        "seller_id": ids[prompt.seller.id],
        "seller_organization_id": prompt.seller.id,
        "slug": prompt.slug,
        "title": prompt.title,
        "title_key": prompt.title.casefold(),
        "description": prompt.description,
        "description_key": prompt.description.casefold(),
        "category": prompt.category,
        "tags": prompt.tags,
        "models": prompt.models,
        "preview": prompt.preview,
        "price_minor": prompt.price_minor,
        "currency": prompt.currency,
        "status": prompt.status,
        "current_version": prompt.versions[-1].number,
        "rating": mean(ratings.get(prompt.id, ())),
        "purchase_count": sales.get(prompt.id, 0),
        "published_at": prompt.published_at,
        "created_at": prompt.created_at,
    }
