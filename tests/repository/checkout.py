"""What is in the checkout, as git sees it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The packages of the application, which must not be taken for, or from, installed distributions.
PACKAGES = ("gateway", "schema", "resolvers", "datasources", "auth", "subscriptions", "migrations")


def tracked_files(pattern: str = "*") -> list[Path]:
    """The files of the checkout, new ones included and ignored ones not, that match a git pattern."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in set(listed.stdout.split("\0")) if name)
    return sorted(path for path in paths if path.is_file())
