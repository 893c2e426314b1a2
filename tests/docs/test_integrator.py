"""The integrator's script follows changes, and misses none while it is away."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.demo import PASSWORD
from tests.docs.demo import Demo
from tests.repository.checkout import ROOT

SCRIPT = ROOT / "examples" / "integrator" / "orders.py"
WAITING = '{ orders(filter: { platforms: ["messaging"], status: [PENDING] }, first: 250) { nodes { id number } } }'
CANCEL = "mutation ($id: ID!) { cancelOrder(input: { orderId: $id }) { order { status } userErrors { message } } }"


class Following:
    """The script, started to follow until it has printed so many changes."""

    def __init__(self, demo: Demo, cursor_file: Path, limit: int) -> None:
        arguments = ["--email", "ada@example.com", "follow", "--cursor-file", str(cursor_file), "--limit", str(limit)]
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            env={**demo.environment, "TRIBUTARY_PASSWORD": PASSWORD},
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[str]:
        """What it printed, when it is done."""
        printed, _ = self._process.communicate()
        assert self._process.returncode == 0
        return printed.splitlines()


def until_streams(demo: Demo, count: int) -> None:
    """Waits until so many streams are open."""
    while httpx.get(demo.url.replace("/graphql", "/healthz"), timeout=60).json()["live"] != count:
        time.sleep(0.05)


def cancel(demo: Demo, order: dict[str, Any]) -> str:
    """Cancels an order and returns the line that the script prints of it."""
    assert demo.ask(CANCEL, {"id": order["id"]})["data"]["cancelOrder"]["order"] == {"status": "CANCELLED"}
    return f"{order['number']} PENDING -> CANCELLED"


@pytest.fixture
def waiting(demo: Demo) -> list[dict[str, Any]]:
    """Orders that can be cancelled; the pages of the documentation move the newest, so these are the oldest."""
    orders: list[dict[str, Any]] = demo.ask(WAITING)["data"]["orders"]["nodes"]
    return orders[::-1][:3]


def test_what_happens_while_it_is_away_comes_first(demo: Demo, waiting: list[dict[str, Any]], tmp_path: Path) -> None:
    cursor_file = tmp_path / "cursor.txt"
    until_streams(demo, 0)  # those of other tests, whose clients have gone
    first = Following(demo, cursor_file, limit=1)
    until_streams(demo, 1)
    seen = cancel(demo, waiting[0])
    assert first.lines() == [seen]

    missed = [cancel(demo, order) for order in waiting[1:]]
    assert Following(demo, cursor_file, limit=2).lines() == missed


def test_a_wrong_password_is_said_in_a_sentence(demo: Demo) -> None:
    command = ".venv/bin/python examples/integrator/orders.py --email ada@example.com list"
    ran = demo.run(command, {"TRIBUTARY_PASSWORD": "wrong"})
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "That address and password do not fit together.\n"
