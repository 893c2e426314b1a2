"""All the demo data, put together in the order in which it can be written."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from datasources.database.seed.business_orders import business_order_rows
from datasources.database.seed.businesses import business_rows
from datasources.database.seed.campaigns import campaign_rows
from datasources.database.seed.credits import CREDIT_PURCHASE, credit_rows
from datasources.database.seed.journal import Journal, event_rows
from datasources.database.seed.marketplace import (
    BOUGHT,
    PROMPT_PURCHASE,
    Payer,
    Purchase,
    figure_rows,
    plan,
    purchase_rows,
    review_rows,
    reviewed,
)
from datasources.database.seed.prompts import Prompt, catalogue, catalogue_rows, seller_ids
from datasources.database.seed.rows import Row
from datasources.database.seed.shelf import Shelf
from datasources.database.seed.tenants import Organization, organization, organization_rows, people_rows, tenants
from datasources.database.seed.usage import usage_rows


@dataclass(frozen=True, slots=True)
class World:
    """What the demo data depends on: the same values make the same rows."""

    scale: int
    random_seed: int
    now: datetime
    password_hash: str
    platforms: frozenset[str]

    def rows(self, progress: Callable[[str], None]) -> Iterator[Row]:
        """Every row, those that others refer to first; ``progress`` hears what comes next."""
        user_ids = {}
        for key, row in people_rows(self.random_seed, self.password_hash):
            user_ids[key] = str(row[1]["id"])
            yield row
        found = [organization(self.random_seed, tenant, user_ids) for tenant in tenants(self.scale)]
        for each in found:
            yield from organization_rows(self.random_seed, each)
        prompts = catalogue(self.random_seed, self.now, found)
        plans = {each.id: plan(self.random_seed, self.now, each, prompts) for each in found}
        if PROMPT_PURCHASE.platform in self.platforms:
            progress("the marketplace")
            yield from self._marketplace(found, prompts, list(plans.values()))
        journals = [Journal(each) for each in found]
        for each, journal in zip(found, journals, strict=True):
            progress(each.tenant.name)
            yield from self._organization(each, plans[each.id], journal)
        yield from event_rows(self.random_seed, journals)

    def _marketplace(
        self, organizations: list[Organization], prompts: list[Prompt], plans: list[list[Purchase]]
    ) -> Iterator[Row]:
        sales: Counter[str] = Counter()
        revenue: Counter[str] = Counter()
        for purchase in (purchase for purchases in plans for purchase in purchases):
            sales[purchase.prompt.id] += purchase.outcome in BOUGHT
            revenue[purchase.prompt.id] += purchase.prompt.price_minor * (purchase.outcome == "PAID")
        written_about = reviewed(plans)
        ratings: dict[str, list[int]] = {}
        for purchase in written_about:
            ratings.setdefault(purchase.prompt.id, []).append(purchase.rating or 0)
        yield from catalogue_rows(prompts, seller_ids(self.random_seed, organizations), ratings, sales)
        yield from review_rows(self.random_seed, written_about)
        yield from figure_rows(self.random_seed, prompts, sales, revenue)

    def _organization(self, found: Organization, purchases: list[Purchase], journal: Journal) -> Iterator[Row]:
        seed, now = self.random_seed, self.now
        shelf = Shelf(seed, found)
        payers = []
        for business, rows in business_rows(seed, now, found):
            payers.append(Payer(business.id, business.country.currency.code, business.created_at))
            yield from rows
            if "attribution" in self.platforms:
                yield from campaign_rows(seed, now, business)
            yield from business_order_rows(seed, now, business, shelf, journal, self.platforms)
        if PROMPT_PURCHASE.platform in self.platforms:
            yield from purchase_rows(seed, now, found, purchases, payers, journal)
        if CREDIT_PURCHASE.platform in self.platforms:
            yield from credit_rows(seed, now, found, payers, journal)
        yield from usage_rows(seed, now, found, self.platforms)
