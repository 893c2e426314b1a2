"""No file ties the repository to one machine or to one package index, and locks name contents, not places."""

import json
import re

import pytest

from tests.repository.checkout import ROOT, tracked_files

# Spelled so that the rule does not match itself.
REGISTRIES = re.compile(rb"\b(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com|net|io)\b", re.IGNORECASE)
MACHINE_PATHS = re.compile(rb"(?<![\w.}$-])/(?:home|Users|root|work)/")


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registry", "path of a machine"])
def test_no_line_names(pattern: re.Pattern[bytes]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace').strip()[:120]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_each_locked_python_package_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    assert len(entries) > 30
    assert [entry for entry in entries if not re.match(r"[a-z0-9._-]+==\S+.* \\\n +--hash=sha256:", entry)] == []
    assert re.findall(r"^.*(?:://|--(?:extra-)?index-url|--find-links|file:).*$", text, re.MULTILINE) == []


def test_the_lock_for_running_is_part_of_the_lock_for_developing() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    assert pins("run.txt") <= pins("dev.txt")


def test_each_locked_npm_package_has_a_hash_and_no_address() -> None:
    locks = tracked_files("*package-lock.json")
    assert locks
    for lock in locks:
        packages = {name: entry for name, entry in json.loads(lock.read_text())["packages"].items() if name}
        assert [name for name, entry in packages.items() if "integrity" not in entry or "resolved" in entry] == []
