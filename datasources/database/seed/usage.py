"""What each organization used, hour by hour over the last weeks: busy by day, quiet by night."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import cos, pi

from datasources.database.seed.rows import Draw, Row
from datasources.database.seed.seasons import WEEKDAYS
from datasources.database.seed.tenants import Organization
from datasources.database.tables.gateway import usage_records

DAYS = 45

PER_HOUR = {
    ("TRANSLATIONS", "assistant"): 6.0,
    ("REPLIES", "assistant"): 9.0,
    ("WRITES", "assistant"): 3.0,
    ("MESSAGES_SENT", "messaging"): 30.0,
    ("MESSAGES_RECEIVED", "messaging"): 36.0,
    ("ROOM_EVENTS", "livestream"): 120.0,
    ("PROMPT_RUNS", "marketplace"): 5.0,
    ("SYNC_RUNS", "attribution"): 0.6,
    ("API_OPERATIONS", "gateway"): 220.0,
}
"""Each metric, the platform that counts it, and its mean for an organization of activity 1."""

GENERATIONS = ("TRANSLATIONS", "REPLIES", "WRITES")
MICROS_PER_TOKEN = 3

_BUSIEST_HOUR = 15


def usage_rows(seed: int, now: datetime, organization: Organization, platforms: frozenset[str]) -> Iterator[Row]:
    """The usage of one organization; an hour without any has no row."""
    draw = Draw(seed, organization.tenant.key, "usage")
    last = now.replace(minute=0, second=0, microsecond=0)
    for back in range(DAYS * 24, 0, -1):
        at = last - timedelta(hours=back)
        rhythm = (1 + 0.9 * cos((at.hour - _BUSIEST_HOUR) * pi / 12)) * WEEKDAYS[at.weekday()]
        level = organization.tenant.activity * rhythm
        values = {
            (metric, platform): round(level * mean * draw.uniform(0.6, 1.4))
            for (metric, platform), mean in PER_HOUR.items()
        }
        tokens = sum(values[metric, "assistant"] for metric in GENERATIONS) * draw.randrange(350, 650)
        values["AI_TOKENS", "assistant"] = tokens
        values["AI_COST_MICROS", "assistant"] = tokens * MICROS_PER_TOKEN
        values["API_COST", "gateway"] = values["API_OPERATIONS", "gateway"] * draw.randrange(8, 30)
        for (metric, platform), value in values.items():
            if value and (platform == "gateway" or platform in platforms):
                yield (
                    usage_records,
                    {
                        "organization_id": organization.id,
                        "metric": metric,
                        "at": at,
                        "platform": platform,
                        "value": value,
                    },
                )
