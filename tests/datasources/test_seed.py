"""Demo data looks like a real company's and adds up, whichever database it is in and however often it is made."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from datasources.database.engine import Database
from datasources.database.migrate import BUILT_IN, upgrade
from datasources.database.seed import NOW, PLATFORMS, AlreadyInUse, seed
from datasources.database.seed.world import World
from datasources.database.tables.metadata import metadata
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.anyio

HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$ZGVtbw"

KINDS = {
    "appointments": "attribution",
    "service_orders": "messaging",
    "prompt_purchases": "marketplace",
    "credit_purchases": "billing",
}

# What the questions below are asked of, beside the tables.
ORDERS = " UNION ALL ".join(
    f"SELECT '{table}' AS kind, id, organization_id, business_id, customer_id, status, currency, placed_at, updated_at "  # noqa: S608
    f"FROM {table}"
    for table in KINDS
)
ACTIONS = (
    "SELECT order_id, position, at, from_status, to_status, "
    "lag(to_status) OVER (PARTITION BY order_id ORDER BY position) AS before, "
    "lag(at) OVER (PARTITION BY order_id ORDER BY position) AS earlier, "
    "row_number() OVER (PARTITION BY order_id ORDER BY position) AS nth, "
    "row_number() OVER (PARTITION BY order_id ORDER BY position DESC) AS nth_last FROM order_actions"
)
VIEWS = f"WITH orders AS ({ORDERS}), actions AS ({ACTIONS}) "

MOVES = {
    "appointments": {
        (None, "PENDING"),
        (None, "CONFIRMED"),
        ("PENDING", "CONFIRMED"),
        ("CONFIRMED", "COMPLETED"),
        ("CONFIRMED", "NO_SHOW"),
        ("CONFIRMED", "CANCELLED"),
    },
    "service_orders": {
        (None, "PENDING"),
        ("PENDING", "PAYMENT_SUBMITTED"),
        ("PENDING", "CANCELLED"),
        ("PAYMENT_SUBMITTED", "PAID"),
        ("PAYMENT_SUBMITTED", "REJECTED"),
        ("REJECTED", "PAYMENT_SUBMITTED"),
        ("REJECTED", "CANCELLED"),
        ("PAID", "COMPLETED"),
    },
    "prompt_purchases": {(None, "PENDING"), ("PENDING", "PAID"), ("PENDING", "FAILED"), ("PAID", "REFUNDED")},
    "credit_purchases": {(None, "PENDING"), ("PENDING", "PAID"), ("PENDING", "FAILED")},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('seed') / 'gateway.db'}"
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="module")
async def database(url: str) -> AsyncIterator[Database]:
    """A database with the demo data of scale 1, for tests that only read."""
    database = Database(url)
    await upgrade(database, BUILT_IN)
    await seed(database, password_hash=HASH)
    yield database
    await database.close()


async def ask(database: Database, query: str, views: str = VIEWS) -> list[tuple[Any, ...]]:
    async with database.writer.connect() as connection:
        return [tuple(row) for row in (await connection.execute(text(views + query))).fetchall()]


async def nothing(database: Database, query: str) -> None:
    """Shows that no row breaks a rule; ``query`` finds those that do."""
    assert (await ask(database, query))[:5] == []


def digest(rows: list[str]) -> str:
    return sha256("\n".join(sorted(rows)).encode()).hexdigest()


async def test_the_history_of_every_order_leads_to_its_status(database: Database) -> None:
    await nothing(database, "SELECT * FROM actions WHERE from_status IS DISTINCT FROM before OR at < earlier")
    await nothing(
        database,
        "SELECT o.id FROM orders o LEFT JOIN actions f ON f.order_id = o.id AND f.nth = 1 "
        "LEFT JOIN actions l ON l.order_id = o.id AND l.nth_last = 1 "
        "WHERE f.at IS DISTINCT FROM o.placed_at OR l.at IS DISTINCT FROM o.updated_at OR l.to_status <> o.status",
    )
    moves = await ask(
        database, "SELECT DISTINCT kind, from_status, to_status FROM actions a JOIN orders o ON o.id = a.order_id"
    )
    for kind, allowed in MOVES.items():
        assert {(row[1], row[2]) for row in moves if row[0] == kind} == allowed
    [counts] = await ask(
        database, "SELECT (SELECT count(DISTINCT order_id) FROM order_actions), (SELECT count(*) FROM orders)"
    )
    assert counts[0] == counts[1]


async def test_orders_are_of_their_business_and_its_customers_and_in_its_currency(database: Database) -> None:
    await nothing(
        database,
        "SELECT o.id FROM orders o JOIN businesses b ON b.id = o.business_id "
        "WHERE b.currency <> o.currency OR b.organization_id <> o.organization_id OR o.placed_at < b.created_at",
    )
    await nothing(
        database,
        "SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id "
        "WHERE c.business_id <> o.business_id OR c.first_seen_at > o.placed_at",
    )
    await nothing(
        database,
        "SELECT o.id FROM service_orders o JOIN packages p ON p.id = o.package_id "
        "WHERE (p.price_minor, p.currency, p.organization_id) <> (o.total_minor, o.currency, o.organization_id)",
    )
    await nothing(
        database,
        "SELECT o.id FROM appointments o JOIN locations l ON l.id = o.location_id "
        "WHERE l.business_id <> o.business_id OR o.starts_at <= o.placed_at",
    )
    await nothing(database, "SELECT id FROM orders GROUP BY id HAVING count(*) > 1")


async def test_a_sale_of_a_prompt_is_shared_out_in_full(database: Database) -> None:
    await nothing(
        database,
        "SELECT o.id FROM prompt_purchases o JOIN prompts p ON p.id = o.prompt_id "
        "LEFT JOIN prompt_versions v ON v.prompt_id = p.id AND v.number = o.version_number "
        "WHERE o.platform_fee_minor + o.seller_earnings_minor <> o.total_minor "
        "OR (o.total_minor, o.currency) <> (p.price_minor, p.currency) "
        "OR o.organization_id = p.seller_organization_id OR p.published_at > o.placed_at "
        "OR v.created_at IS NULL OR v.created_at > o.placed_at",
    )
    await nothing(
        database,
        "SELECT p.id FROM prompts p JOIN prompt_figures f ON f.prompt_id = p.id LEFT JOIN ("
        "SELECT prompt_id, count(*) AS sold, sum(CASE status WHEN 'PAID' THEN total_minor ELSE 0 END) AS revenue "
        "FROM prompt_purchases WHERE status IN ('PAID', 'REFUNDED') GROUP BY prompt_id) s ON s.prompt_id = p.id "
        "WHERE p.purchase_count <> coalesce(s.sold, 0) OR f.purchases <> coalesce(s.sold, 0) "
        "OR f.revenue_minor <> coalesce(s.revenue, 0) OR f.successes > f.runs OR f.views < f.purchases",
    )


async def test_ratings_are_the_means_of_reviews_by_buyers(database: Database) -> None:
    await nothing(
        database,
        "SELECT p.id FROM prompts p LEFT JOIN (SELECT prompt_id, avg(rating) AS mean, count(*) AS written "
        "FROM reviews GROUP BY prompt_id) r ON r.prompt_id = p.id "
        "WHERE (p.rating IS NULL) <> (r.mean IS NULL) OR abs(p.rating - r.mean) > 1e-9 OR r.written > p.purchase_count",
    )
    await nothing(
        database,
        "SELECT s.id FROM sellers s JOIN (SELECT p.seller_id, avg(r.rating) AS mean FROM reviews r "
        "JOIN prompts p ON p.id = r.prompt_id GROUP BY p.seller_id) m ON m.seller_id = s.id "
        "WHERE s.rating IS NULL OR abs(s.rating - m.mean) > 1e-9",
    )
    assert (await ask(database, "SELECT count(*) FROM reviews"))[0][0] == 320


async def test_prompts_fill_the_shelves_and_keep_their_secret(database: Database) -> None:
    async with database.writer.connect() as connection:
        prompts = (await connection.execute(select(metadata.tables["prompts"]))).mappings().all()
        versions = (await connection.execute(select(metadata.tables["prompt_versions"]))).mappings().all()
    published = [prompt for prompt in prompts if prompt["status"] == "PUBLISHED"]
    assert len(published) == 240
    assert set(Counter(prompt["category"] for prompt in published).values()) == {24}
    assert {prompt["status"] for prompt in prompts} == {"DRAFT", "PUBLISHED", "ARCHIVED"}
    assert len({prompt["seller_id"] for prompt in published}) == 3
    assert max(prompts, key=lambda prompt: prompt["purchase_count"])["slug"] == "cold-email-writer"
    for version in versions:
        named = [variable["name"] for variable in version["variables"]]
        assert set(named) == set(re.findall(r"{{(\w+)}}", version["template"]))
        assert len(named) == len(set(named))
        for variable in version["variables"]:
            assert set(variable) == {"name", "label", "kind", "required", "default", "options"}
            assert (variable["kind"] == "CHOICE") == bool(variable["options"])
            assert variable["kind"] != "CHOICE" or variable["default"] in variable["options"]
    for prompt in prompts:
        own = sorted(
            (version["number"], version["template"]) for version in versions if version["prompt_id"] == prompt["id"]
        )
        assert [number for number, _ in own] == list(range(1, prompt["current_version"] + 1))
        shown = prompt["preview"].removesuffix(" …")
        assert own[-1][1].startswith(shown)
        assert len(shown) < len(own[-1][1]) * 0.7


async def test_nothing_has_happened_yet_that_is_still_to_come(database: Database) -> None:
    for table in metadata.sorted_tables:
        for column in {"created_at", "updated_at", "at", "joined_at", "first_seen_at", "fetched_at"} & set(
            table.c.keys()
        ):
            async with database.writer.connect() as connection:
                late = await connection.execute(select(table.c[column]).where(table.c[column] > NOW).limit(1))
                assert late.fetchall() == [], f"{table}.{column}"
    # What was to happen by now has: only appointments of days to come are still open.
    await nothing(
        database,
        "SELECT id FROM appointments a WHERE status IN ('PENDING', 'CONFIRMED') AND starts_at < "
        "(SELECT max(starts_at) FROM appointments WHERE status = 'COMPLETED') AND starts_at < updated_at",
    )


async def test_a_merchant_has_orders_that_wait_for_somebody(database: Database) -> None:
    waiting = await ask(
        database,
        "SELECT o.slug, s.status, count(*), min(s.placed_at) FROM service_orders s "
        "JOIN organizations o ON o.id = s.organization_id "
        "WHERE s.status IN ('PENDING', 'PAYMENT_SUBMITTED') GROUP BY o.slug, s.status",
    )
    counts = {(row[0], row[1]): row[2] for row in waiting}
    for merchant in ("lakeside-collective", "northwind-studio", "casa-marea"):
        assert counts[merchant, "PENDING"] >= 3
        assert counts[merchant, "PAYMENT_SUBMITTED"] >= 3


async def test_the_event_log_is_the_latest_of_the_history(database: Database) -> None:
    await nothing(
        database,
        "SELECT * FROM (SELECT at, lag(at) OVER (ORDER BY position) AS earlier FROM events) e WHERE at < earlier",
    )
    rows = await ask(
        database,
        "SELECT o.slug, count(*) FROM events e JOIN organizations o ON o.id = e.organization_id GROUP BY o.slug",
    )
    counts = {row[0]: row[1] for row in rows}
    assert counts["lakeside-collective"] == 500
    assert counts["northwind-studio"] == 200
    async with database.writer.connect() as connection:
        events = (await connection.execute(select(metadata.tables["events"]))).mappings().all()
        actions = (await connection.execute(select(metadata.tables["order_actions"]))).mappings().all()
    known = {(action["order_id"], action["at"], action["from_status"], action["to_status"]) for action in actions}
    for event in events:
        assert (event["subject_id"], event["at"], event["data"]["from"], event["data"]["to"]) in known
        assert (event["type"], event["tx"]) == ("OrderChanged", 0)
    platforms = await ask(
        database, "SELECT DISTINCT e.platform, o.kind FROM events e JOIN orders o ON o.id = e.subject_id"
    )
    assert {(row[1], row[0]) for row in platforms} == set(KINDS.items())


async def test_usage_has_days_and_nights_and_starts_with_the_minute(database: Database) -> None:
    async with database.writer.connect() as connection:
        records = (await connection.execute(select(metadata.tables["usage_records"]))).mappings().all()
    assert all(record["at"].second == record["at"].microsecond == 0 for record in records)
    by_hour: Counter[int] = Counter()
    for record in records:
        by_hour[record["at"].hour] += record["value"] if record["metric"] == "API_OPERATIONS" else 0
    assert by_hour[15] > 5 * by_hour[3]
    assert len({(record["metric"], record["platform"]) for record in records}) == 12


async def test_nobody_real_can_be_reached(database: Database) -> None:
    customers = await ask(database, "SELECT phone, email FROM customers")
    fiction = re.compile(
        r"\+1\d{3}55501\d\d|\+447700900\d{3}|\+442079460\d{3}|\+441(61|13)4960\d{3}|\+49(3023125|6990009|4066969|8999998)\d{3}"
        r"|\+33(63998|19900|26191)\d{4}|\+467017406\d\d|\+3532091\d{5}"
    )
    numbers = [str(row[0]) for row in customers if row[0] is not None]
    assert [number for number in numbers if not fiction.fullmatch(number)] == []
    assert len(numbers) > 1_000
    people = await ask(database, "SELECT email FROM users")
    addresses = [str(row[1]) for row in customers if row[1] is not None] + [str(row[0]) for row in people]
    assert [one for one in addresses if not re.fullmatch(r"[a-z][a-z.0-9-]*@example\.(com|net|org)", one)] == []
    await nothing(database, "SELECT id FROM businesses WHERE NOT demo")


async def test_people_find_their_organizations(database: Database) -> None:
    rows = await ask(
        database,
        "SELECT u.email, o.name, m.role FROM memberships m JOIN users u ON u.id = m.user_id "
        "JOIN organizations o ON o.id = m.organization_id ORDER BY u.email, o.name",
    )
    found = {(row[0], row[1], row[2]) for row in rows}
    assert ("ada@example.com", "Lakeside Collective", "OWNER") in found
    assert ("grace@example.com", "Northwind Studio", "OWNER") in found
    assert len([1 for _, name, _ in found if name == "Lakeside Collective"]) == 3
    assert [count for _, count in Counter(email for email, _, _ in found).most_common(2)] == [2, 1]


async def test_the_database_holds_exactly_what_was_made(database: Database) -> None:
    made_rows: dict[str, list[str]] = {}
    for table, row in World(1, 2026, NOW, HASH, PLATFORMS).rows(lambda _: None):
        made_rows.setdefault(table.name, []).append(json.dumps(dict(row), default=str, sort_keys=True))
    for table in metadata.sorted_tables:
        columns = [column for column in table.c if column.name != "position"]
        async with database.writer.connect() as connection:
            rows = (await connection.execute(select(*columns))).mappings().all()
        stored = [json.dumps(dict(row), default=str, sort_keys=True) for row in rows]
        assert digest(stored) == digest(made_rows.get(table.name, [])), table.name


async def test_every_reference_leads_somewhere(database: Database) -> None:
    checks = {
        "sqlite": "PRAGMA foreign_key_check",
        "postgresql": "SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated",
    }
    assert await ask(database, checks[database.dialect], views="") == []


async def test_demo_data_goes_only_into_an_empty_database(database: Database) -> None:
    before = await ask(database, "SELECT count(*) FROM events")
    with pytest.raises(AlreadyInUse, match="already has 4 organizations"):
        await seed(database, password_hash=HASH)
    assert await ask(database, "SELECT count(*) FROM events") == before
    with pytest.raises(ValueError, match="scale"):
        await seed(database, password_hash=HASH, scale=0)


async def test_only_the_platforms_in_use_get_data(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    await upgrade(database, [branch for branch in BUILT_IN if branch.name in {"gateway", "billing"}])
    heard: list[str] = []
    await seed(database, password_hash=HASH, platforms={"billing", "livestream"}, progress=heard.append)
    assert {"Lakeside Collective", "Northwind Studio"} <= set(heard)
    assert heard[-1].endswith(" rows")
    async with database.writer.connect() as connection:
        tables = await connection.run_sync(lambda c: set(inspect(c).get_table_names()))
    assert "prompts" not in tables
    assert await ask(database, "SELECT DISTINCT platform FROM events", views="") == [("billing",)]
    used = await ask(database, "SELECT DISTINCT platform FROM usage_records ORDER BY platform", views="")
    assert used == [("gateway",), ("livestream",)]
    strays = "SELECT order_id FROM order_actions WHERE order_id NOT IN (SELECT id FROM credit_purchases)"
    assert await ask(database, strays, views="") == []
    await database.close()
