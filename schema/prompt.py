"""Prompts: the area ``PROMPTS``."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry

from datasources.database.listing import like
from datasources.paging import Selection
from schema.connection import Connection, connection
from schema.context import Context, Info
from schema.directives import Public
from schema.errors import BadRequest
from schema.merging import Asked, merged_page
from schema.money import Money, minor_units, money
from schema.node import Node
from schema.platform import PROMPTS
from schema.scalars import CurrencyCode
from schema.time import SortDirection, direction

MAX_SLUG = 100


@strawberry.enum(description="Whether a prompt is for sale.")
class PromptStatus(Enum):
    """``PromptStatus``."""

    DRAFT = strawberry.enum_value("DRAFT", description="Seen by its seller only.")
    PUBLISHED = strawberry.enum_value("PUBLISHED", description="For sale.")
    ARCHIVED = strawberry.enum_value("ARCHIVED", description="No longer for sale; its buyers keep it.")


_SHOP_WINDOW = Public(reason="The marketplace is open to everybody; drafts are only for their seller.")


@strawberry.type(
    description="A prompt of the marketplace. Its template is only for its seller and its buyers.",
    directives=[_SHOP_WINDOW],
)
class Prompt(Node):
    """``Prompt``; the marketplace adds what is its own."""

    slug: str = strawberry.field(description="Its name in addresses.")
    title: str = strawberry.field(description="What it is called.")
    description: str = strawberry.field(description="What it does, and for whom.")
    tags: list[str] = strawberry.field(description="Words to find it by.")
    models: list[str] = strawberry.field(description="Models that it was tried with.")
    price: Money = money("price", "What a licence costs.")
    status: PromptStatus = strawberry.field(description="Whether it is for sale.")
    preview: str = strawberry.field(description="How it begins, for everybody.")
    rating: float | None = strawberry.field(description="The mean of its reviews, 1 to 5; null before the first.")
    published_at: datetime | None = strawberry.field(description="When it was published; null for a draft.")
    created_at: datetime = strawberry.field(description="When it was begun.")


@strawberry.input(description="Which prompts.")
class PromptFilter:
    """``PromptFilter``."""

    category: list[str] | None = strawberry.field(default=None, description="In any of these categories, by slug.")
    tags: list[str] | None = strawberry.field(default=None, description="With any of these tags.")
    models: list[str] | None = strawberry.field(default=None, description="Tried with any of these models.")
    min_price: Decimal | None = strawberry.field(default=None, description="At least this much; needs `currency`.")
    max_price: Decimal | None = strawberry.field(default=None, description="At most this much; needs `currency`.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="Priced in this currency.")
    min_rating: float | None = strawberry.field(default=None, description="Rated at least so well.")
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="Of this seller.")
    mine: bool | None = strawberry.field(
        default=None, description="The organization's own, drafts and archived ones too."
    )


@strawberry.enum(description="What prompts are ordered by.")
class PromptOrderField(Enum):
    """``PromptOrderField``."""

    RELEVANCE = strawberry.enum_value("RELEVANCE", description="How well it matches `search`, which it needs.")
    PUBLISHED_AT = strawberry.enum_value("PUBLISHED_AT", description="When it was published; drafts last.")
    PRICE = strawberry.enum_value("PRICE", description="What it costs; needs one currency in the filter.")
    RATING = strawberry.enum_value("RATING", description="How it is rated; those without a review last.")
    PURCHASES = strawberry.enum_value("PURCHASES", description="How often it was bought.")


@strawberry.input(description="The order of prompts.")
class PromptOrder:
    """``PromptOrder``."""

    field: PromptOrderField = strawberry.field(description="What they are ordered by.")
    direction: SortDirection = strawberry.field(default=SortDirection.DESC, description="Which way.")


def select_prompts(
    context: Context, chosen: PromptFilter | None, order: PromptOrder | None, search: str | None = None
) -> Selection:
    """What the arguments of ``prompts`` mean; by relevance when searched for, the newest first otherwise."""
    filters = _filters(context, chosen) if chosen is not None else {"published": "PUBLISHED"}
    parameters: dict[str, Any] = {}
    words = (search or "").strip()
    if words:
        filters["search"] = like(words)
    ordering = order.field.name if order is not None else "RELEVANCE" if words else "PUBLISHED_AT"
    if ordering == "RELEVANCE":
        if not words:
            message = "Ordering by RELEVANCE needs `search`."
            raise BadRequest(message)
        parameters = {"search_exact": words.casefold(), "search_prefix": like(words)[1:]}
    if ordering == "PRICE" and "currency" not in filters:
        message = "Ordering by PRICE needs `currency` in filter: amounts of two currencies have no order."
        raise BadRequest(message)
    return Selection(ordering, direction(order, SortDirection.DESC), filters, parameters)


def _filters(context: Context, chosen: PromptFilter) -> dict[str, Any]:
    given = {
        "category": chosen.category,
        "tags": chosen.tags,
        "models": chosen.models,
        "currency": chosen.currency,
        "min_rating": chosen.min_rating,
        "seller_id": chosen.seller_id,
    }
    filters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, price in (("min_price_minor", chosen.min_price), ("max_price_minor", chosen.max_price)):
        if price is not None:
            if chosen.currency is None:
                message = "`minPrice` and `maxPrice` need `currency`: an amount without a currency says nothing."
                raise BadRequest(message)
            filters[name] = minor_units(price, chosen.currency)
    if chosen.mine:
        filters["mine"] = context.organization_id
    else:
        filters["published"] = "PUBLISHED"
    return filters


@strawberry.type(description="Roots of the area.")
class PromptQueries:
    """Fields of ``Query``."""

    prompts: Connection[Prompt] | None = connection(
        PROMPTS,
        select_prompts,
        filtered=PromptFilter,
        ordered=PromptOrder,
        extra={"search": (str | None, "Words in the title or the description, in any case.")},
        description="Published prompts, open to everybody; the newest first, or the best match when searched for.",
        directives=[_SHOP_WINDOW],
    )

    @strawberry.field(
        description="The prompt with this slug; null when there is none that you may see.", directives=[_SHOP_WINDOW]
    )
    async def prompt_by_slug(
        self, info: Info, slug: Annotated[str, strawberry.argument(description="A slug, such as cold-email-writer.")]
    ) -> Prompt | None:
        """``promptBySlug``."""
        if not slug or len(slug) > MAX_SLUG or not all(sign.isalnum() or sign == "-" for sign in slug):
            message = "A slug has letters, digits and hyphens only, such as cold-email-writer."
            raise BadRequest(message)
        context = info.context
        asked = Asked(Selection("PUBLISHED_AT", filters={"slug": slug}), limit=1)
        page = await merged_page(context.scope, context.composition.sources[PROMPTS], asked, partial=False)
        return page.rows[0] if page.rows else None
