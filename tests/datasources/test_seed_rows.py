"""The rows of the demo data: as many as a demo needs, and the same each time they are made."""

import subprocess
import sys
from collections import Counter
from functools import cache
from hashlib import sha256

from datasources.database.migrate import MIGRATIONS
from datasources.database.seed import NOW, PLATFORMS
from datasources.database.seed.rows import Row
from datasources.database.seed.world import World

HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$ZGVtbw"

KINDS = ("appointments", "service_orders", "prompt_purchases", "credit_purchases")


@cache
def made(scale: int) -> tuple[Row, ...]:
    """The rows of a scale, as they are made."""
    return tuple(World(scale, 2026, NOW, HASH, PLATFORMS).rows(lambda _: None))


def grouped(scale: int, organization: str) -> dict[str, list[dict[str, object]]]:
    """The rows of one organization by table."""
    ids = {row["slug"]: row["id"] for table, row in made(scale) if table.name == "organizations"}
    found: dict[str, list[dict[str, object]]] = {}
    for table, row in made(scale):
        if row.get("organization_id") == ids[organization]:
            found.setdefault(table.name, []).append(dict(row))
    return found


def orders_in(found: dict[str, list[dict[str, object]]]) -> int:
    return sum(len(found.get(table, ())) for table in KINDS)


def test_the_sizes_are_those_of_a_demo() -> None:
    ada, grace = grouped(1, "lakeside-collective"), grouped(1, "northwind-studio")
    everything = sum(1 for table, _ in made(1) if table.name in KINDS)
    assert 9_500 < everything < 10_500
    assert 7_500 < orders_in(ada) < 8_500
    assert {business["industry"] for business in ada["businesses"]} == set(
        "BARBERSHOP SALON SPA MEDICAL DENTAL FITNESS VETERINARY CREATOR SERVICES OTHER".split()  # noqa: SIM905
    )
    assert len({business["currency"] for business in ada["businesses"]}) >= 5
    biggest = Counter(row["business_id"] for table in KINDS for row in ada[table]).most_common(1)[0][1]
    assert 0.09 < biggest / everything < 0.12
    assert len(grace["businesses"]) == 12
    assert len(grace["campaigns"]) == 36
    assert len(grace["customers"]) == 30
    assert 200 <= orders_in(grace) <= 380
    assert all(grace[table] for table in KINDS)
    assert len(grace["events"]) < 300


def test_a_larger_scale_leaves_the_small_tenant_and_the_catalogue_alone() -> None:
    def comparable(scale: int) -> dict[str, list[dict[str, object]]]:
        found = grouped(scale, "northwind-studio")
        for event in found["events"]:
            del event["id"]  # drawn along with the events of everybody
        return found

    assert comparable(3) == comparable(1)
    for name in ("prompts", "prompt_versions", "reviews"):
        one, three = ([dict(row) for table, row in made(scale) if table.name == name] for scale in (1, 3))
        assert [{**row, "purchase_count": 0} for row in one] == [{**row, "purchase_count": 0} for row in three]
    orders = [sum(1 for table, _ in made(scale) if table.name in KINDS) for scale in (1, 3)]
    assert 2.8 < orders[1] / orders[0] < 3.1
    assert len(grouped(3, "lakeside-collective")["businesses"]) == 32


def test_another_process_makes_the_same_rows() -> None:
    program = (
        "from hashlib import sha256\n"
        "from datasources.database.seed import NOW, PLATFORMS\n"
        "from datasources.database.seed.world import World\n"
        f"rows = World(1, 2026, NOW, {HASH!r}, PLATFORMS).rows(lambda _: None)\n"
        "print(sha256(repr([(table.name, row) for table, row in rows]).encode()).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=MIGRATIONS.parent, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == sha256(repr([(table.name, row) for table, row in made(1)]).encode()).hexdigest()
    assert made(1) != tuple(World(1, 2027, NOW, HASH, PLATFORMS).rows(lambda _: None))
