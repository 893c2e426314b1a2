"""The example package as somebody else's: built, installed into a folder of its own, and found by its entry point."""

import base64
import hashlib
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.platforms import chosen
from schema.platform import Platform

SHOP = Path(__file__).parents[2] / "examples" / "shop"


def wheel_of(project: Path, folder: Path) -> Path:
    """Builds the wheel that the project's ``pyproject.toml`` describes.

    By hand, because the build backend that it names is nothing that Tributary needs, and tests fetch nothing.
    """
    described: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    name, version = described["name"].replace("-", "_"), described["version"]
    info = f"{name}-{version}.dist-info"
    groups = described["entry-points"].items()
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(
            line for group, entries in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))
        ).encode(),
    }
    source = project / "src"
    parts = [path for path in sorted(source.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    files.update({path.relative_to(source).as_posix(): path.read_bytes() for path in parts})
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def install(wheel: Path, target: Path) -> None:
    """Installs a wheel with pip, from this machine alone, into a folder that only those who name it see."""
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)


@contextmanager
def seen(folder: Path, **environment: str) -> Iterator[None]:
    """What is installed in the folder is on the module path, with these variables, for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def shop_in(folder: Path) -> Platform:
    """The platform that the installed package offers; ``LookupError`` when it offers none."""
    with seen(folder):
        return by_key(chosen(()), "shop")


def by_key(platforms: Sequence[Platform], key: str) -> Platform:
    """The platform with this key."""
    found = {platform.key: platform for platform in platforms}
    return found[key]
