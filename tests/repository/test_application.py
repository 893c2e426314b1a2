"""The root packages are an application run from its checkout, in layers."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.repository.checkout import PACKAGES, ROOT

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())


def contract(kind: str, **wanted: object) -> dict[str, object] | None:
    contracts = CONFIGURATION["tool"]["importlinter"]["contracts"]
    matches = [found for found in contracts if found["type"] == kind and wanted.items() <= found.items()]
    return matches[0] if matches else None


def test_no_installed_distribution_owns_a_name_of_ours() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if name in owners} == {}


def test_nothing_builds_a_distribution_of_the_application() -> None:
    assert "build-system" not in CONFIGURATION
    assert not (ROOT / "setup.py").exists()


def test_the_layers_are_linted() -> None:
    assert set(CONFIGURATION["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    assert contract("layers", layers=["gateway", "resolvers", "schema", "auth | subscriptions", "datasources"])
    assert contract("independence", modules=["resolvers.*"])
    assert contract(
        "forbidden",
        source_modules=["gateway", "resolvers", "schema", "auth", "subscriptions"],
        forbidden_modules=["sqlalchemy", "httpx", "stripe", "redis"],
    )
    assert contract("forbidden", source_modules=["datasources"], forbidden_modules=["strawberry", "graphql"])


def test_no_contract_makes_an_exception() -> None:
    contracts = CONFIGURATION["tool"]["importlinter"]["contracts"]
    assert [found["name"] for found in contracts if "ignore_imports" in found] == []


@pytest.fixture
def unmade_checkout(tmp_path: Path) -> Path:
    """A checkout in which make never ran, holding just the launcher."""
    launcher = tmp_path / "tributary"
    launcher.write_bytes((ROOT / "tributary").read_bytes())
    launcher.chmod(0o755)
    return tmp_path


def test_the_launcher_says_what_to_do_before_make_has_run(unmade_checkout: Path) -> None:
    run = subprocess.run([unmade_checkout / "tributary", "serve"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "make venv" in run.stderr


def test_the_launcher_runs_the_gateway_of_its_checkout_from_any_folder(unmade_checkout: Path) -> None:
    """Also through a link, and where the caller's folder has a ``gateway`` of its own."""
    (unmade_checkout / ".venv" / "bin").mkdir(parents=True)
    (unmade_checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (unmade_checkout / "gateway").mkdir()
    (unmade_checkout / "gateway" / "__main__.py").write_text("import sys; print('ours', sys.argv[1:])")
    elsewhere = unmade_checkout / "elsewhere"
    (elsewhere / "gateway").mkdir(parents=True)
    (elsewhere / "gateway" / "__main__.py").write_text("print('theirs')")
    (elsewhere / "link").symlink_to(unmade_checkout / "tributary")
    run = subprocess.run(
        [elsewhere / "link", "serve", "two words"], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert run.stdout == "ours ['serve', 'two words']\n"


def test_make_lists_its_targets() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S607
    for target in ("run", "test", "check", "format", "lock", "bench", "clean"):
        assert f"make {target} " in run.stdout
