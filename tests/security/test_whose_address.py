"""Whose address counts: that of the connection, and what a proxy says only where the operator trusts that proxy."""

import shutil
from pathlib import Path

import httpx
import pytest

from tests.gateway.program import serving
from tests.keys import make_keys
from tests.security.client import new_place
from tests.servers.process import free_port

QUESTION = {"query": "{ __typename }"}


def statuses(url: str, forwarded: list[str]) -> list[int]:
    """What requests are answered that say they come from these places."""
    return [
        httpx.post(url, json=QUESTION, headers={"x-forwarded-for": each}, trust_env=False).status_code
        for each in forwarded
    ]


@pytest.mark.parametrize(
    ("trusted", "answers"),
    [({}, [200, 429, 429]), ({"TRUSTED_PROXIES": "127.0.0.1"}, [200, 200, 429])],
    ids=["nobody", "the proxy"],
)
def test_what_a_client_says_of_its_address_counts_only_from_a_trusted_proxy(
    seeded_sqlite: Path, tmp_path: Path, trusted: dict[str, str], answers: list[int]
) -> None:
    """Else whoever is slowed down would be somebody else with each request."""
    make_keys(tmp_path)
    shutil.copy(seeded_sqlite, tmp_path / "demo.db")
    port, place = free_port(), new_place()
    settings = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'demo.db'}",
        "DATA_DIR": str(tmp_path),
        "ANONYMOUS_PER_MINUTE": "1",
        **trusted,
    }
    with serving(tmp_path, port, **settings):
        found = statuses(f"http://127.0.0.1:{port}/graphql", [place, new_place(), f"203.0.113.9, {place}"])
        assert found == answers
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert "server" not in answer.headers
