"""What is in the pages of the documentation: fenced blocks, links, tables."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.repository.checkout import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "examples/integrator/README.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. ``answer`` is the text of a ``json`` block that directly follows it."""

    page: Path
    line: int
    language: str
    text: str
    answer: str | None

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """The page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    answers: dict[int, str] = {
        one.start(): after[2]
        for one, after in pairwise(found)
        if after[1] == "json" and not text[one.end() : after.start()].strip()
    }
    return [
        Block(page, text.count("\n", 0, one.start()) + 1, one[1], one[2], answers.get(one.start())) for one in found
    ]


def blocks_in(language: str) -> list[Block]:
    """The blocks of all pages in one language."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures, outside fenced blocks."""
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_after(page: Path, comment: str) -> list[list[str]]:
    """The cells of the table that follows ``<!-- comment``, without its head."""
    text = page.read_text(encoding="utf-8").partition(f"<!-- {comment}")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows, f"{name_of(page)} has no table after <!-- {comment}"
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in rows[0].splitlines()[2:]]
