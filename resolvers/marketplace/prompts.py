"""What the marketplace adds to prompts: seller, category, versions, template, figures, reviews."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from datasources.database import marketplace as data
from datasources.database.marketplace import FiguresRow, PromptRow, VersionKey, VersionRow
from datasources.paging import Selection
from schema.connection import Connection, connection
from schema.context import Context, Info, as_graphql
from schema.directives import ListSize, Public
from schema.money import Money, money
from schema.node import Node
from schema.platform import PROMPTS
from schema.prompt import Prompt, select_prompts
from schema.relations import relation


@strawberry.type(description="A shelf of the marketplace.")
class PromptCategory:
    """``PromptCategory``."""

    slug: str = strawberry.field(description="Its name in addresses and filters.")
    name: str = strawberry.field(description="As it is shown.")
    prompt_count: int = strawberry.field(description="How many published prompts stand on it.")


@strawberry.type(
    description="What everybody may know of a seller.",
    directives=[Public(reason="A name and a slug, as they stand on their prompts.")],
)
class Seller(Node):
    """``Seller``."""

    name: str = strawberry.field(description="As it is shown.")
    slug: str = strawberry.field(description="Its name in addresses.")
    rating: float | None = strawberry.field(description="The mean of all reviews, 1 to 5; null before the first.")


@strawberry.enum(description="What a variable of a prompt takes.")
class PromptVariableKind(Enum):
    """``PromptVariableKind``."""

    TEXT = strawberry.enum_value("TEXT", description="A line of text.")
    LONG_TEXT = strawberry.enum_value("LONG_TEXT", description="Text of several lines.")
    NUMBER = strawberry.enum_value("NUMBER", description="A number.")
    CHOICE = strawberry.enum_value("CHOICE", description="One of its options.")
    BOOLEAN = strawberry.enum_value("BOOLEAN", description="Yes or no.")


@strawberry.type(description="Something to fill in before a prompt runs.")
class PromptVariable:
    """``PromptVariable``; stored as JSON within a version."""

    name: str = strawberry.field(description="As the template has it.")
    label: str = strawberry.field(description="As a form shows it.")
    kind: PromptVariableKind = strawberry.field(description="What it takes.")
    required: bool = strawberry.field(description="Whether it must be filled in.")
    default: str | None = strawberry.field(description="What it is when it is not filled in.")
    options: list[str] | None = strawberry.field(description="What a CHOICE may be.")


@strawberry.type(description="A state of a prompt that was published.")
class PromptVersion:
    """``PromptVersion``."""

    number: int = strawberry.field(description="Counts from 1.")
    notes: str | None = strawberry.field(description="What changed, in the seller's words.")
    created_at: datetime = strawberry.field(description="When it was made.")


@strawberry.type(description="What is counted of a prompt.")
class PromptMetrics:
    """``PromptMetrics``."""

    views: int = strawberry.field(description="How often its page was seen.")
    purchases: int = strawberry.field(description="How often it was bought.")
    runs: int = strawberry.field(description="How often it was tried.")
    median_latency_ms: int | None = strawberry.field(description="How long a run takes; null before the first.")
    median_tokens: int | None = strawberry.field(description="How many tokens a run takes; null before the first.")

    revenue: Money | None = money("revenue", "What it earned; null unless the viewer's organization sells it.")

    @strawberry.field(description="Purchases per view; null before the first view.")
    @staticmethod
    def conversion_rate(root: strawberry.Parent[FiguresRow]) -> float | None:
        """``purchases / views``."""
        return root.purchases / root.views if root.views else None

    @strawberry.field(description="The share of runs that worked; null before the first.")
    @staticmethod
    def success_rate(root: strawberry.Parent[FiguresRow]) -> float | None:
        """``successes / runs``."""
        return root.successes / root.runs if root.runs else None


@strawberry.type(
    description="A buyer's word on a prompt.", directives=[Public(reason="Written to be read by buyers to come.")]
)
class Review(Node):
    """``Review``."""

    author: str = strawberry.field(description="As they want to be called.")
    rating: int = strawberry.field(description="1 to 5.")
    text: str | None = strawberry.field(description="In their words.")
    created_at: datetime = strawberry.field(description="When it was written.")


class _Variable:
    """A variable as its version stores it, with attributes for its keys."""

    __slots__ = ("default", "kind", "label", "name", "options", "required")

    def __init__(self, stored: dict[str, Any]) -> None:
        self.name: str = stored["name"]
        self.label: str = stored["label"]
        self.kind: str = stored["kind"]
        self.required: bool = stored["required"]
        self.default: str | None = stored.get("default")
        self.options: list[str] | None = stored.get("options")


def select_reviews(_context: Context, _chosen: None, _order: None) -> Selection:
    """Reviews, the newest first."""
    return Selection("CREATED_AT", descending=True)


@strawberry.type(description="What the marketplace adds to prompts.")
class PromptDetails:
    """Fields of ``Prompt``."""

    category: PromptCategory | None = relation(
        data.categories_by_slug, key="category", description="The shelf that it stands on."
    )
    template: str | None = relation(
        data.templates,
        key="id",
        description="The prompt itself. Null unless the viewer's organization sells or has bought it.",
    )
    versions: list[PromptVersion] = relation(
        data.versions_of, key="id", many=True, description="Every version, the newest first."
    )
    metrics: PromptMetrics | None = relation(data.figures_of, key="id", description="What is counted of it.")
    reviews: Connection[Review] | None = connection(
        data.REVIEWS, select_reviews, by="prompt_id", key="id", description="What its buyers say, the newest first."
    )

    @strawberry.field(description="The newest version.")
    @staticmethod
    async def version(root: strawberry.Parent[PromptRow], info: Info) -> PromptVersion | None:
        """The current version."""
        return as_graphql(await _current_version(root, info))

    @strawberry.field(description="What to fill in, in the newest version.")
    @staticmethod
    async def variables(root: strawberry.Parent[PromptRow], info: Info) -> list[PromptVariable]:
        """The variables of the current version."""
        version = await _current_version(root, info)
        return as_graphql([_Variable(stored) for stored in version.variables] if version is not None else [])

    @strawberry.field(description="Whether the viewer's organization has bought it.")
    @staticmethod
    async def purchased(root: strawberry.Parent[PromptRow], info: Info) -> bool:
        """Whether there is a paid purchase."""
        return await info.context.loader(data.purchased).load(root.id) is not None


async def _current_version(root: PromptRow, info: Info) -> VersionRow | None:
    key = VersionKey(root.id, root.current_version)
    version: VersionRow | None = await info.context.loader(data.versions_by_number).load(key)
    return version


@strawberry.type(description="Who sells.")
class PromptSeller:
    """Fields of ``Prompt``."""

    seller: Seller | None = relation(data.sellers_by_id, key="seller_id", description="Who sells it.")


@strawberry.type(description="What a seller sells.")
class SellerPrompts:
    """Fields of ``Seller``."""

    prompts: Connection[Prompt] | None = connection(
        PROMPTS, select_prompts, by="seller_id", key="id", description="What it sells, the newest first."
    )


@strawberry.type(description="Roots of the marketplace.")
class MarketplaceQueries:
    """Fields of ``Query``."""

    @strawberry.field(
        description="Every shelf of the marketplace, by name.",
        directives=[
            ListSize(assumed_size=25, require_one_slicing_argument=False),
            Public(reason="The shelves of the marketplace are open to everybody."),
        ],
    )
    @staticmethod
    async def prompt_categories(info: Info) -> list[PromptCategory]:
        """``promptCategories``."""
        return as_graphql(await data.categories(info.context.scope))
