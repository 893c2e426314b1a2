"""The commands in the documentation do what it says: each page's in order, in one shell."""

import json
import re
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs.demo import ADDRESS, Demo, checkout, stopped_afterwards
from tests.docs.pages import Block, blocks_in, name_of

MEASURED = "docs/benchmarks.md"
"""Its commands measure for minutes; the benchmarks have tests of their own."""

COMMANDS = {
    page: list(found) for page, found in groupby(blocks_in("sh"), lambda block: block.page) if name_of(page) != MEASURED
}

# A stream that has no end is left after a while; what it said until then counts.
PRELUDE = """
curl() {
    case " $* " in
        *" -sN "*) timeout 3 curl "$@" || [ $? = 124 ] ;;
        *) command curl "$@" ;;
    esac
}
"""


def script(commands: list[Block], port: int) -> str:
    """The commands with a line between them that tells their outputs apart."""
    parts = [f"printf '\\n@@ %s\\n' {block.line}\n{block.text}" for block in commands]
    return (PRELUDE + "\n".join(parts)).replace(ADDRESS, f"127.0.0.1:{port}")


def starts_a_gateway(commands: list[Block]) -> bool:
    return any("./tributary serve\n" in block.text for block in commands)


@pytest.mark.parametrize("page", COMMANDS, ids=name_of)
def test_commands_work(page: Path, demo: Demo, tmp_path: Path) -> None:
    commands = COMMANDS[page]
    place = checkout(tmp_path / "checkout") if starts_a_gateway(commands) else demo
    with stopped_afterwards(place) if place is not demo else pytest.MonkeyPatch.context():
        ran = place.run(script(commands, place.port))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    outputs = dict(re.findall(r"^@@ (\d+)\n(.*?)(?=\n@@ |\Z)", ran.stdout, re.DOTALL | re.MULTILINE))
    for block in commands:
        output = outputs[str(block.line)].strip()
        if block.answer is None:
            assert '"errors"' not in output, block.name
        else:
            assert json.loads(output) == json.loads(block.answer), block.name
