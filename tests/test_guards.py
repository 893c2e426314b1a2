"""The guards of the run: nothing leaves this machine, nothing is skipped in silence."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guards import OutsideConnectionError

CHECKOUT = Path(__file__).parents[1]


def run_pytest(tests: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a file of tests under the guards, in a process of its own."""
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "tests.guards", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [*command, "test_it.py"],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(CHECKOUT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "example.com", "169.254.169.254"])
def test_a_connection_to_another_machine_is_refused(host: str, outside_attempts: list[str]) -> None:
    with pytest.raises(OutsideConnectionError):
        socket.create_connection((host, 80), timeout=1)
    assert len(outside_attempts) == 1
    outside_attempts.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_connection_to_this_machine_is_made(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1]), timeout=1).close()


def test_an_attempt_that_the_code_swallows_fails_the_test_all_the_same(tmp_path: Path) -> None:
    run = run_pytest(
        "import contextlib, socket\n"
        "def test_swallows():\n"
        "    with contextlib.suppress(Exception):\n"
        "        socket.create_connection(('192.0.2.1', 80), timeout=1)\n",
        tmp_path,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "tried to leave this machine: " in run.stdout


SKIPS = "import pytest\ndef test_runs(): pass\n@pytest.mark.skip(reason='tired')\ndef test_skipped(): pass\n"


def test_a_skipped_test_fails_the_run_in_ci(tmp_path: Path) -> None:
    run = run_pytest(SKIPS, tmp_path, CI="true")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 skipped: in CI every test has to run" in run.stdout


def test_a_skipped_test_passes_elsewhere(tmp_path: Path) -> None:
    assert run_pytest(SKIPS, tmp_path).returncode == pytest.ExitCode.OK
