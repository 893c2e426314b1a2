"""Heads of the audit trail's chains, kept in a file that is only ever appended to.

Who can write to the database can cut the end off a chain together with its head, and who has stolen the key as well can
write all of history anew. Neither can change what has left the machine: a head that was kept elsewhere says what the
chain was when it reached it. Each line is a JSON object,

    {"at": moment, "organization": id, "sequence": number, "hash": hash of that entry, "mac": HMAC-SHA-256 of the rest}

so that the file can be read by other programs, and a line that somebody else wrote shows.
"""

import hmac
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from datasources.database.audit import Head
from datasources.database.audit_reading import ChainHead

TAIL_BYTES = 1 << 20
"""How much of a file is read to learn what it has already."""
_FIELDS = ("at", "organization", "sequence", "hash")
_START = b'{"at":'


class BadLine(NamedTuple):
    """A line that is no head of ours; ``torn``: it breaks off, as the last one of a process that was killed."""

    file: Path
    number: int
    torn: bool


class HeadsFile:
    """The file that a gateway appends to; several processes may share it.

    It is opened anew for each batch, so that it can be moved away at any time: the next batch makes a new one.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._key = key

    def append(self, heads: Sequence[ChainHead]) -> list[str]:
        """Writes a line for each head, and returns when they are on the disk; returns the lines. Raises ``OSError``."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [_line(self._key, at, head) for head in heads]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # A line that was torn by a crash ends here, and spoils none of these.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            _write(descriptor, (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _settle(self.path.parent)
        return [line.decode() for line in lines]

    def newest(self) -> dict[str, int]:
        """The highest number of each chain that the end of the file tells of; chains may be missing from it."""
        found: dict[str, int] = {}
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return found
        for line in lines:
            head = _head(self._key, line)
            if head is not None:
                found[head.organization_id] = max(head.sequence, found.get(head.organization_id, 0))
        return found


class KeptHeads:
    """All heads of some files, to be compared with the chains; on the disk meanwhile, so that there can be many.

    A line may have something before its object, as it has in a log. Enter it to make it, leave it to drop it.
    """

    def __init__(self, files: Sequence[Path], key: bytes) -> None:
        self.files = files
        self.bad_lines: list[BadLine] = []
        self.count = 0
        self._key = key
        self._database = sqlite3.connect("")

    def __enter__(self) -> Self:
        """Reads the files; raises ``OSError`` for one that cannot be."""
        self._database.execute("CREATE TABLE heads (organization TEXT, sequence INTEGER, hash TEXT)")
        for file in self.files:
            self._database.executemany("INSERT INTO heads VALUES (?, ?, ?)", self._read(file))
        self._database.execute("CREATE INDEX in_order ON heads (organization, sequence)")
        return self

    def __exit__(self, *_: object) -> None:
        """Drops everything."""
        self._database.close()

    def chains(self) -> list[str]:
        """Whose heads there are."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT organization FROM heads")]

    def of(self, organization_id: str) -> Iterator[Head]:
        """The heads of a chain by rising number; two of one number where history was written anew."""
        query = "SELECT DISTINCT sequence, hash FROM heads WHERE organization = ? ORDER BY sequence"
        for sequence, hash_ in self._database.execute(query, (organization_id,)):
            yield Head(sequence, hash_)

    def _read(self, file: Path) -> Iterator[ChainHead]:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                start = line.rfind(_START)  # what stands before it may be a line that was torn
                text = line[max(start, 0) :].strip()
                if not text:
                    continue
                head = _head(self._key, text)
                if head is not None:
                    self.count += 1
                    yield head
                elif start >= 0 or line.startswith(b"{"):
                    self.bad_lines.append(BadLine(file, number, torn=not text.endswith(b"}")))


def _line(key: bytes, at: str, head: ChainHead) -> bytes:
    content = dict(zip(_FIELDS, (at, *head), strict=True))
    return orjson.dumps({**content, "mac": _mac(key, content)})


def _mac(key: bytes, content: Mapping[str, Any]) -> str:
    return hmac.new(key, orjson.dumps([1, *(content[name] for name in _FIELDS)]), sha256).hexdigest()


def _head(key: bytes, line: bytes) -> ChainHead | None:
    """The head of a line that is whole and ours."""
    try:
        content = orjson.loads(line)
        mac = _mac(key, content)
        ours = hmac.compare_digest(mac.encode(), str(content["mac"]).encode(errors="replace"))
    except (ValueError, TypeError, KeyError):
        return None
    return ChainHead(*(content[name] for name in _FIELDS[1:])) if ours else None


def _write(descriptor: int, content: bytes) -> None:
    """One write as a rule; a disk that is full or a signal may break it up."""
    while content:
        content = content[os.write(descriptor, content) :]


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
