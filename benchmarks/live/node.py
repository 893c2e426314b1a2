"""Node and its packages, which are installed when they are first needed."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from benchmarks.servers import ROOT
from tests.servers.process import ServerNotStartedError

OLDEST = (20, 19)
FOLDER = ROOT / "benchmarks" / "contenders" / "node"
_INSTALL = ("npm", "ci", "--ignore-scripts", "--loglevel=error")


def missing() -> str | None:
    """What this machine lacks to run servers on Node; ``None`` when it has all."""
    wanted = f"Node {'.'.join(map(str, OLDEST))} or newer, with npm"
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return f"there is no {wanted}"
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    version = tuple(int(part) for part in told.removeprefix("v").split("."))
    return None if version >= OLDEST else f"there is Node {told}, and not {wanted}"


def install() -> Path:
    """The folder with the servers, and with the packages of its lock file; raises ``ServerNotStartedError``."""
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    mark = FOLDER / "node_modules" / ".installed"
    if not mark.is_file() or mark.read_text() != lock:
        done = subprocess.run(_INSTALL, cwd=FOLDER, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise ServerNotStartedError(f"npm ci failed in {FOLDER}:\n{done.stdout}{done.stderr}")
        mark.write_text(lock)
    return FOLDER
