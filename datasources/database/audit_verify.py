"""Verifies the audit trail: reads each chain in order and says what is not as it was written.

Found are entries that were altered, moved, inserted or are missing, a tail that was cut off, a head that was set
elsewhere, and personal data that was altered, or is gone without having been erased. A tail that was cut off together
with its head shows only beside heads that were kept elsewhere (see ``datasources.audit_heads``).

Nothing read here is trusted, not even to be of its column's type, for SQLite keeps what it is given.
"""

import hmac
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, Text, and_, bindparam, select, type_coerce

from datasources.database.audit import ERASED, Beginning, Head, MissingAuditKey, entry_hash, personal_digest
from datasources.database.engine import Database, Origin, Scope
from datasources.database.scope import TENANT
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal

BATCH = 1_000
"""Rows that are read at once."""
MOST_FINDINGS = 100
"""Findings of one chain that are told in words; more are counted."""
_MOST_SUSPECTS = 24
"""Entries that are tried in each other's places, to tell those that were moved from those that were altered."""
_BEFORE_ALL = -(2**63)


class Finding(NamedTuple):
    """Something that is not as it was written.

    ``kind``: ALTERED, MISSING, MOVED, CUT_OFF, HEAD, REWRITTEN, PERSONAL or OLDER. ``sequence`` is the number of the
    entry within its chain, where one is meant.
    """

    kind: str
    sequence: int | None
    text: str


@dataclass
class ChainReport:
    """What became of verifying one chain.

    ``entries``: entries of the chain; ``older``: those from before it; ``erased``: entries whose personal part is gone.
    """

    organization_id: str
    entries: int = 0
    older: int = 0
    erased: int = 0
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0

    @property
    def holds(self) -> bool:
        """Whether all is as it was written."""
        return not self.findings


class _Entry(NamedTuple):
    """An entry with its personal part, as it lies in the table."""

    id: Any
    sequence: Any
    at: Any
    actor: Any
    action: Any
    target_id: Any
    risk: Any
    details: Any
    personal_digest: Any
    hash: Any
    entry_id: Any
    salt: Any
    address: Any
    user_agent: Any
    user_id: Any
    email: Any

    def content(self) -> Mapping[str, Any]:
        """The columns that the hash is over; raises ``ValueError`` or ``TypeError`` for what no gateway writes."""
        moment = self.at if isinstance(self.at, datetime) else datetime.fromisoformat(self.at)
        details = orjson.loads(self.details) if isinstance(self.details, str | bytes) else self.details
        return {**self._asdict(), "at": moment, "details": details}


class _StoredHead(NamedTuple):
    """A head, as it lies in the table."""

    sequence: Any
    hash: Any


class _Suspect(NamedTuple):
    """An entry that does not verify where it stands; ``before`` is the hash of the entry before it."""

    entry: _Entry
    before: str | None


_ENTRY = ("id", "sequence", "at", "actor", "action", "target_id", "risk", "details", "personal_digest", "hash")
_PERSONAL = ("entry_id", "salt", "address", "user_agent", "user_id", "email")


def _raw(name: str, dialect: str) -> ColumnElement[Any]:
    column = audit_entries.c[name]
    return type_coerce(column, Text()) if dialect == "sqlite" and name in ("at", "details") else column


def _statement(dialect: str) -> Select[Any]:
    aside = and_(audit_personal.c.entry_id == audit_entries.c.id, audit_personal.c.organization_id == TENANT)
    return (
        select(*(_raw(name, dialect) for name in _ENTRY), *(audit_personal.c[name] for name in _PERSONAL))
        .select_from(audit_entries.outerjoin(audit_personal, aside))
        .where(audit_entries.c.organization_id == TENANT)
        .limit(bindparam("limit", type_=Integer()))
    )


@lru_cache(maxsize=2)
def _entries_after(dialect: str) -> Select[Any]:
    number = audit_entries.c.sequence
    return _statement(dialect).where(number > bindparam("after", type_=BigInteger())).order_by(number)


@lru_cache(maxsize=2)
def _older_after(dialect: str) -> Select[Any]:
    older = audit_entries.c.sequence.is_(None), audit_entries.c.id > bindparam("after", type_=Text())
    return _statement(dialect).where(*older).order_by(audit_entries.c.id)


_HEAD = select(audit_heads.c.sequence, audit_heads.c.hash).where(audit_heads.c.organization_id == TENANT)
_CHAINS_WITH_HEAD = select(audit_heads.c.organization_id).distinct()
_CHAINS_WITH_ENTRIES = select(audit_entries.c.organization_id).distinct()


async def chains(database: Database) -> list[str]:
    """The organizations whose chains, or remains of chains, there are; among them the gateway's own."""
    scope = database.unscoped("the audit trail of every organization is verified")
    found = {*await scope.fetch(_CHAINS_WITH_HEAD, str), *await scope.fetch(_CHAINS_WITH_ENTRIES, str)}
    return sorted(found)


async def verify_chain(database: Database, organization_id: str, kept: Iterable[Head] = ()) -> ChainReport:
    """Verifies one chain; ``kept`` are its heads that were kept elsewhere before, by rising number.

    The chain may grow meanwhile. Raises ``MissingAuditKey``.
    """
    if database.audit_key is None:
        raise MissingAuditKey
    scope = database.scoped(organization_id)
    check = _Check(database.audit_key, organization_id, iter(kept))
    async for row in _rows(scope, _older_after(scope.dialect), "id", ""):
        check.see_older(row)
    check.begin()
    async for row in _rows(scope, _entries_after(scope.dialect), "sequence", _BEFORE_ALL):
        check.see(row)
    # Read after the entries: it cannot lie before the last one that was seen, unless somebody put it there.
    heads = await scope.fetch(_HEAD, _StoredHead)
    if heads and isinstance(heads[0].sequence, int):
        async for row in _rows(scope, _entries_after(scope.dialect), "sequence", check.last):
            if not isinstance(row.sequence, int) or row.sequence > heads[0].sequence:
                break
            check.see(row)
    check.end(heads[0] if heads else None)
    return check.report


async def _rows(scope: Scope, statement: Select[Any], key: str, after: object) -> AsyncIterator[_Entry]:
    while True:
        batch = await scope.fetch(statement, _Entry, {"after": after, "limit": BATCH})
        for row in batch:
            yield row
        if len(batch) < BATCH:
            return
        after = getattr(batch[-1], key)


class _Check:
    """Goes along a chain."""

    def __init__(self, key: bytes, organization_id: str, kept: Iterator[Head]) -> None:
        self.report = ChainReport(organization_id)
        self.last = 0
        self._key = key
        self._kept = kept
        self._next_kept = next(kept, None)
        self._beginning: Beginning | None = Beginning(key, organization_id)
        # The hash of the entry before: as it is stored, and if that does not verify, as it should be.
        self._before: tuple[str, ...] = ()
        self._suspects: list[_Suspect] = []
        self._lost, self._erased = 0, 0

    def see_older(self, row: _Entry) -> None:
        """Takes the next entry from before the chain."""
        self.report.older += 1
        if row.hash is not None or row.personal_digest is not None or row.entry_id is not None:
            self._found("OLDER", None, f"entry {row.id} has no number, and yet a hash or personal data")
        if self._beginning is not None:
            try:
                self._beginning.add(row.content())
            except (TypeError, ValueError):
                self._beginning = None

    def begin(self) -> None:
        """The chain itself begins."""
        self._before = ("",) if self._beginning is None else (self._beginning.hash,)

    def see(self, row: _Entry) -> None:
        """Takes the next entry of the chain."""
        self.report.entries += 1
        number = row.sequence
        if not isinstance(number, int) or number <= self.last:
            self._found("ALTERED", None, f"entry {row.id} has {number!r} for a number")
            return
        if number > self.last + 1:
            self._missing(self.last + 1, number - 1, number)
            self._before = ()
        computed = [_hash(self._key, self.report.organization_id, row, number, each) for each in self._before]
        stored = row.hash if isinstance(row.hash, str) else ""
        proven = any(_same(each, stored) for each in computed)
        if computed and not proven:
            self._suspect(row)
        self._look_at_personal(row, proven=proven)
        self._compare_with_kept(number, stored)
        self.last = number
        self._before = (stored,) if proven else (stored, *(each for each in computed if each))

    def end(self, head: _StoredHead | None) -> None:
        """The last entry has been seen; ``head`` is where the chain should end."""
        if head is None:
            if self.last:
                self._found("HEAD", None, "the head of the chain is missing")
        elif not isinstance(head.sequence, int) or head.sequence < self.last:
            self._found("HEAD", None, f"the head says {head.sequence!r}, but the last entry is number {self.last}")
        elif head.sequence > self.last:
            self._cut_off(head.sequence, "the head of the chain")
        elif self._before and not _same(self._before[0], head.hash):
            self._found("HEAD", self.last, "the head has another hash than the last entry")
        kept, self._next_kept = self._next_kept, None
        furthest = max((each.sequence for each in self._kept), default=0 if kept is None else kept.sequence)
        if furthest > self.last:
            self._cut_off(furthest, "a head that was kept elsewhere")
        if self._lost > self._erased:
            text = f"the personal data of {self._lost} entries is gone, and of {self._erased} it was erased"
            self._found("PERSONAL", None, text)
        self._judge_suspects()

    def _look_at_personal(self, row: _Entry, *, proven: bool) -> None:
        if row.personal_digest is None:
            if row.entry_id is not None:
                self._found("PERSONAL", row.sequence, f"entry {row.id} was written without personal data, and has some")
        elif row.entry_id is None:
            self._lost += 1
            self.report.erased += 1
        else:
            origin = Origin(row.address, row.user_agent, row.user_id)
            try:
                digest = personal_digest(self._key, row.salt, origin, row.email)
            except TypeError:
                digest = None
            if not _same(digest, row.personal_digest):
                self._found("PERSONAL", row.sequence, f"the personal data of entry {row.id} was altered")
        if proven and row.action == ERASED:
            self._erased += row.content()["details"].get("count", 0)

    def _compare_with_kept(self, number: int, stored: str) -> None:
        while self._next_kept is not None and self._next_kept.sequence <= number:
            if self._next_kept.sequence == number and not _same(self._next_kept.hash, stored):
                self._found("REWRITTEN", number, "another entry stood here when the head was kept elsewhere")
            self._next_kept = next(self._kept, None)

    def _suspect(self, row: _Entry) -> None:
        if len(self._suspects) < _MOST_SUSPECTS:
            self._suspects.append(_Suspect(row, self._before[0] if self._before else None))
        else:
            self._altered(row)

    def _judge_suspects(self) -> None:
        """Tells what was moved from what was altered, and what only follows one of them from both."""
        numbers = [each.entry.sequence for each in self._suspects]
        before = {
            hash_ for each in self._suspects for hash_ in (each.before, each.entry.hash) if isinstance(hash_, str)
        }
        for row, _ in self._suspects:
            place = next(
                (
                    number
                    for number in numbers
                    for previous in before
                    if _same(_hash(self._key, self.report.organization_id, row, number, previous), row.hash)
                ),
                None,
            )
            if place is None:
                self._altered(row)
            elif place != row.sequence:
                self._found(
                    "MOVED", row.sequence, f"entry {row.id} stands at {row.sequence} and was written as {place}"
                )
        if self._suspects and not self.report.findings:
            self._altered(self._suspects[0].entry)

    def _altered(self, row: _Entry) -> None:
        text = f"entry {row.id} is not what was written there"
        if row.sequence == 1 and self.report.older:
            text += f", or one of the {self.report.older} entries from before the chain is not"
        self._found("ALTERED", row.sequence, text)

    def _missing(self, first: int, last: int, following: int) -> None:
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self._found("MISSING", first, f"{which} missing; entry {following} cannot be verified without")

    def _cut_off(self, number: int, by: str) -> None:
        self._found("CUT_OFF", self.last + 1, f"the chain ends at {self.last}, and reached {number} by {by}")

    def _found(self, kind: str, sequence: int | None, text: str) -> None:
        if len(self.report.findings) < MOST_FINDINGS:
            self.report.findings.append(Finding(kind, sequence, text))
        else:
            self.report.more_findings += 1


def _hash(key: bytes, organization_id: str, row: _Entry, number: int, previous: str) -> str | None:
    """The hash that the entry should have at this place; ``None`` for what no gateway writes."""
    try:
        return entry_hash(key, organization_id, number, row.content(), previous)
    except (TypeError, ValueError):
        return None


def _same(one: object, other: object) -> bool:
    return (
        isinstance(one, str)
        and isinstance(other, str)
        and hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
    )
