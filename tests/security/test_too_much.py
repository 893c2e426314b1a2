"""What asks for too much is refused before it runs, with a word on how much may be asked for."""

import pytest

from tests.security.client import ask
from tests.serving import Running

IDS = ", ".join(f'"bus_{number:026d}"' for number in range(251))
TOO_MUCH = {
    "rows": ("{ prompts(first: 251) { nodes { id } } }", "BAD_REQUEST", "250"),
    "rows beyond all measure": ("{ prompts(first: 2000000000) { nodes { id } } }", "BAD_REQUEST", "250"),
    "rows from the end": ("{ prompts(last: 251) { nodes { id } } }", "BAD_REQUEST", "250"),
    "ids": (f"{{ nodes(ids: [{IDS}]) {{ id }} }}", "BAD_REQUEST", "250"),
    "words": ("{ " + "a: echo(text: 1) " * 900 + "}", "GRAPHQL_PARSE_FAILED", "5000"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_asks_for_too_much_is_refused(door: Running, kind: str) -> None:
    query, code, word = TOO_MUCH[kind]
    answer = ask(door, query).json()
    assert answer["errors"][0]["extensions"]["code"] == code
    assert word in answer["errors"][0]["message"]
    assert not any((answer.get("data") or {}).values())


def test_as_much_as_may_be_is_answered(door: Running) -> None:
    """So that the refusals have a reason of their own."""
    assert len(ask(door, "{ prompts(first: 250) { nodes { id } } }").json()["data"]["prompts"]["nodes"]) > 1
    assert ask(door, "{ nodes(ids: []) { id } }").json() == {"data": {"nodes": []}}
