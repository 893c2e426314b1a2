"""Python files stay short and are named for what they hold; decisions are written in one form."""

import re
from pathlib import Path

import pytest

from tests.repository.checkout import ROOT, tracked_files

MOST_LINES = 400
VAGUE = re.compile(r"(?:^|_)(?:utils?|helpers?|common|core|managers?|service)$")


def test_no_python_file_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in tracked_files("*.py")
        if not {"migrations", "tests"} & set(path.relative_to(ROOT).parts)
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    modules = [path.relative_to(ROOT).with_suffix("") for path in tracked_files("*.py")]
    assert [str(module) for module in modules if any(VAGUE.search(part) for part in module.parts)] == []


def test_each_decision_has_the_four_headings() -> None:
    def missing(decision: Path) -> list[str]:
        headings = set(re.findall(r"^## (\w+)", decision.read_text(), re.MULTILINE))
        return [heading for heading in ("Status", "Context", "Decision", "Consequences") if heading not in headings]

    decisions = [path for path in tracked_files("docs/decisions/*.md") if path.name != "README.md"]
    assert {path.name: missing(path) for path in decisions if missing(path)} == {}


@pytest.mark.parametrize("name", ["orders_service", "core", "text_utils", "helpers"])
def test_the_rule_knows_a_name_that_says_nothing(name: str) -> None:
    assert VAGUE.search(name)


@pytest.mark.parametrize("name", ["services", "scores", "commons_licence"])
def test_the_rule_leaves_words_of_the_trade_alone(name: str) -> None:
    assert not VAGUE.search(name)
