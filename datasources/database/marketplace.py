"""Prompts with their versions, sellers, reviews and figures, and purchases of prompts."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Double,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
)

from datasources.database.columns import Big, Id, UtcDateTime, any_of, json_has_any, one_of
from datasources.database.engine import Scope
from datasources.database.listing import Listing, Ordering, contains
from datasources.database.orders import PAID, order_listing, spent_by_customer
from datasources.database.scope import TENANT
from datasources.database.tables.marketplace import (
    prompt_categories,
    prompt_figures,
    prompt_purchases,
    prompt_versions,
    prompts,
    reviews,
    sellers,
)


class PromptRow(NamedTuple):
    """A row of ``prompts``."""

    id: str
    seller_id: str
    seller_organization_id: str
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
    current_version: int
    rating: float | None
    published_at: datetime | None
    created_at: datetime


class SellerRow(NamedTuple):
    """The public face of an organization that sells."""

    id: str
    name: str
    slug: str
    rating: float | None


class CategoryRow(NamedTuple):
    """A category with how many published prompts it has."""

    slug: str
    name: str
    prompt_count: int


class VersionRow(NamedTuple):
    """A version of a prompt, without its template."""

    prompt_id: str
    number: int
    notes: str | None
    variables: list[dict[str, Any]]
    created_at: datetime


class FiguresRow(NamedTuple):
    """What is counted of a prompt."""

    prompt_id: str
    views: int
    purchases: int
    runs: int
    successes: int
    median_latency_ms: int | None
    median_tokens: int | None
    revenue_minor: int | None
    currency: str


class ReviewRow(NamedTuple):
    """A buyer's word on a prompt."""

    id: str
    author: str
    rating: int
    text: str | None
    created_at: datetime


class PromptPurchaseRow(NamedTuple):
    """A row of ``prompt_purchases``."""

    id: str
    business_id: str | None
    customer_id: str | None
    number: str
    status: str
    total_minor: int
    currency: str
    placed_at: datetime
    updated_at: datetime
    prompt_id: str
    version_number: int
    platform_fee_minor: int
    seller_earnings_minor: int


class VersionKey(NamedTuple):
    """A version of a prompt by number."""

    prompt_id: str
    number: int


def _visible(table: FromClause, tenant: bool) -> ColumnElement[bool]:  # noqa: FBT001 -- the shape Listing asks for
    """Published to everybody; to a tenant also its own, and what it has bought even after it was archived."""
    published = table.c.status == "PUBLISHED"
    if not tenant:
        return published
    bought = select(prompt_purchases.c.prompt_id).where(
        prompt_purchases.c.organization_id == TENANT, one_of(prompt_purchases.c.status, PAID)
    )
    return or_(published, table.c.seller_organization_id == TENANT, table.c.id.in_(bought))


def _relevance(table: FromClause) -> ColumnElement[int]:
    """3 for the title itself, 2 for a title that begins so, 1 for a title that contains it, 0 for the description."""
    return case(
        (table.c.title_key == bindparam("search_exact", type_=Text()), 3),
        (table.c.title_key.like(bindparam("search_prefix", type_=Text()), escape="\\"), 2),
        (contains(table.c.title_key, "search"), 1),
        else_=0,
    )


PROMPTS = Listing(
    table=prompts,
    row=PromptRow,
    orderings={
        "PUBLISHED_AT": Ordering(lambda table: table.c.published_at, UtcDateTime(), nullable=True),
        "PRICE": Ordering(lambda table: table.c.price_minor, Big),
        "RATING": Ordering(lambda table: table.c.rating, Double(), nullable=True),
        "PURCHASES": Ordering(lambda table: table.c.purchase_count, Integer()),
        "RELEVANCE": Ordering(_relevance, Integer()),
    },
    filters={
        "published": lambda table: table.c.status == bindparam("published", type_=Text()),
        "mine": lambda table: table.c.seller_organization_id == bindparam("mine", type_=Id),
        "search": lambda table: or_(contains(table.c.title_key, "search"), contains(table.c.description_key, "search")),
        "category": lambda table: any_of(table.c.category, "category"),
        "tags": lambda table: json_has_any(table.c.tags, "tags"),
        "models": lambda table: json_has_any(table.c.models, "models"),
        "min_price_minor": lambda table: table.c.price_minor >= bindparam("min_price_minor", type_=Big),
        "max_price_minor": lambda table: table.c.price_minor <= bindparam("max_price_minor", type_=Big),
        "currency": lambda table: table.c.currency == bindparam("currency", type_=Text()),
        "min_rating": lambda table: table.c.rating >= bindparam("min_rating", type_=Double()),
        "seller_id": lambda table: table.c.seller_id == bindparam("seller_id", type_=Id),
        "slug": lambda table: table.c.slug == bindparam("slug", type_=Text()),
    },
    visible=_visible,
)

REVIEWS = Listing(
    table=reviews,
    row=ReviewRow,
    orderings={"CREATED_AT": Ordering(lambda table: table.c.created_at, UtcDateTime())},
)

PROMPT_PURCHASES = order_listing(prompt_purchases, PromptPurchaseRow)
prompt_purchases_spent = spent_by_customer(prompt_purchases)

_SELLERS_BY_ID = select(*(sellers.c[name] for name in SellerRow._fields)).where(any_of(sellers.c.id, "ids"))
_CATEGORIES = (
    select(prompt_categories.c.slug, prompt_categories.c.name, func.count(prompts.c.id))
    .outerjoin(prompts, and_(prompts.c.category == prompt_categories.c.slug, prompts.c.status == "PUBLISHED"))
    .group_by(prompt_categories.c.slug, prompt_categories.c.name)
    .order_by(prompt_categories.c.name)
)
_VERSIONS_OF = (
    select(*(prompt_versions.c[name] for name in VersionRow._fields))
    .where(any_of(prompt_versions.c.prompt_id, "keys"))
    .order_by(prompt_versions.c.number.desc())
)


@lru_cache(maxsize=2)
def _figures(*, tenant: bool) -> Select[Any]:
    """The figures of prompts; what a prompt earned is its seller's to know."""
    revenue: ColumnElement[Any] = null()
    if tenant:
        revenue = case((prompts.c.seller_organization_id == TENANT, prompt_figures.c.revenue_minor))
    counted = [prompt_figures.c[name] for name in FiguresRow._fields if name in prompt_figures.c]
    return (
        select(
            *(column for column in counted if column is not prompt_figures.c.revenue_minor), revenue, prompts.c.currency
        )
        .join(prompts, prompts.c.id == prompt_figures.c.prompt_id)
        .where(any_of(prompt_figures.c.prompt_id, "keys"))
    )


_PURCHASED = (
    select(prompt_purchases.c.prompt_id, func.max(prompt_purchases.c.version_number))
    .where(
        prompt_purchases.c.organization_id == TENANT,
        any_of(prompt_purchases.c.prompt_id, "keys"),
        one_of(prompt_purchases.c.status, PAID),
    )
    .group_by(prompt_purchases.c.prompt_id)
)
# The one statement that reads templates: only of prompts that the tenant sells or has bought.
_TEMPLATES = (
    select(prompts.c.id, prompt_versions.c.template)
    .join(
        prompt_versions,
        and_(prompt_versions.c.prompt_id == prompts.c.id, prompt_versions.c.number == prompts.c.current_version),
    )
    .where(
        any_of(prompts.c.id, "keys"),
        or_(
            prompts.c.seller_organization_id == TENANT,
            prompts.c.id.in_(
                select(prompt_purchases.c.prompt_id).where(
                    prompt_purchases.c.organization_id == TENANT, one_of(prompt_purchases.c.status, PAID)
                )
            ),
        ),
    )
)


async def sellers_by_id(scope: Scope, ids: Sequence[str]) -> dict[str, SellerRow]:
    """Sellers by id."""
    return {row.id: row for row in await scope.fetch(_SELLERS_BY_ID, SellerRow, {"ids": ids})}


async def categories(scope: Scope) -> list[CategoryRow]:
    """Every category by name."""
    return await scope.fetch(_CATEGORIES, CategoryRow)


async def categories_by_slug(scope: Scope, slugs: Sequence[str]) -> dict[str, CategoryRow]:
    """Categories by slug; there are few, so all are read."""
    return {row.slug: row for row in await categories(scope) if row.slug in set(slugs)}


async def versions_of(scope: Scope, prompt_ids: Sequence[str]) -> dict[str, list[VersionRow]]:
    """The versions of each prompt, newest first."""
    found: dict[str, list[VersionRow]] = {}
    for row in await scope.fetch(_VERSIONS_OF, VersionRow, {"keys": prompt_ids}):
        found.setdefault(row.prompt_id, []).append(row)
    return found


async def versions_by_number(scope: Scope, keys: Sequence[VersionKey]) -> dict[VersionKey, VersionRow]:
    """Versions by prompt and number."""
    wanted = set(keys)
    of_prompts = await versions_of(scope, sorted({key.prompt_id for key in keys}))
    rows = (row for versions in of_prompts.values() for row in versions)
    return {key: row for row in rows if (key := VersionKey(row.prompt_id, row.number)) in wanted}


async def figures_of(scope: Scope, prompt_ids: Sequence[str]) -> dict[str, FiguresRow]:
    """What is counted of each prompt."""
    statement = _figures(tenant=scope.organization_id is not None)
    return {row.prompt_id: row for row in await scope.fetch(statement, FiguresRow, {"keys": prompt_ids})}


async def purchased(scope: Scope, prompt_ids: Sequence[str]) -> dict[str, int]:
    """Which of the prompts the tenant has bought, with the newest version that it bought."""
    if scope.organization_id is None:
        return {}
    return dict(await scope.fetch(_PURCHASED, _pair, {"keys": prompt_ids}))


async def templates(scope: Scope, prompt_ids: Sequence[str]) -> dict[str, str]:
    """The template of each prompt that the tenant sells or has bought; the others are left out."""
    if scope.organization_id is None:
        return {}
    return dict(await scope.fetch(_TEMPLATES, _text_pair, {"keys": prompt_ids}))


def _pair(key: str, value: int) -> tuple[str, int]:
    return key, value


def _text_pair(key: str, value: str) -> tuple[str, str]:
    return key, value
