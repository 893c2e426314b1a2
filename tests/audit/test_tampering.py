"""Whatever is changed behind the gateway's back is found: any column of any row, and rows that go, come or move."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete, update

from datasources.database import audit_verify
from datasources.database.audit import NO_HASH, Head, entry_hash
from datasources.database.tables.access import audit_entries, audit_heads, audit_personal
from tests.audit.trail import TABLES, Trail, forget_foreign_keys, inserted, trail_at

COLUMNS = [column for table in TABLES for column in table.c]


class Synchronous:
    """A trail for tests that Hypothesis runs."""

    def __init__(self, database_url: str) -> None:
        self._runner = asyncio.Runner()
        self._opened = trail_at(database_url)
        self.trail: Trail = self.run(self._opened.__aenter__())

    def run(self, doing: Any) -> Any:
        """Runs it to its end."""
        return self._runner.run(doing)

    def close(self) -> None:
        """Closes everything."""
        self.run(self._opened.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def tampered(database_url: str) -> Iterator[Synchronous]:
    """Two chains of ten entries and the gateway's, with a copy of the tables to go back to."""
    found = Synchronous(database_url)
    trail = found.trail
    for organization in (*trail.organizations[:2], None):
        found.run(trail.write_ten(organization))
    found.run(forget_foreign_keys(trail))
    found.run(trail.save())
    yield found
    found.close()


@pytest.fixture
def restored(tampered: Synchronous) -> Iterator[Synchronous]:
    """The chains as they were written, again."""
    yield tampered
    tampered.run(tampered.trail.restore())


def _other(column: Any, now: Any, data: st.DataObject) -> Any:
    """Another value for a column, of its type; null where there may be null."""
    if isinstance(now, int):
        values: st.SearchStrategy[Any] = st.integers(-3, 30)
    elif isinstance(now, datetime):
        values = st.timedeltas(timedelta(-9), timedelta(9)).map(lambda by: now + by)
    elif isinstance(now, dict):
        values = st.dictionaries(st.sampled_from(["to", "times"]), st.integers(0, 9) | st.text("ab", max_size=2))
    else:
        text = str(now or "")
        characters = st.text("abc019_.", min_size=0, max_size=3)
        values = st.builds(lambda at, new: text[:at] + new + text[at + 1 :], st.integers(0, len(text)), characters)
    if column.nullable:
        values = values | st.none()
    return data.draw(values.filter(lambda value: value != now), label=f"{column.table.name}.{column.name}")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_any_column_of_any_row_is_found(tampered: Synchronous, data: st.DataObject) -> None:
    trail = tampered.trail
    column = data.draw(st.sampled_from(COLUMNS))
    organization = data.draw(st.sampled_from([*trail.organizations[:2], None]))
    rows = tampered.run(trail.rows(column.table, organization))
    row = data.draw(st.sampled_from(range(len(rows))))
    (primary,) = column.table.primary_key.columns
    others = [each[column.name] for each in rows]
    value = _other(column, rows[row][column.name], data)
    if column.unique or column in (primary, audit_entries.c.sequence):
        value = value if value not in others else None
        if value is None and not column.nullable:
            return
    tampered.run(trail.change(column.table, rows[row][primary.name], **{column.name: value}))
    try:
        assert not tampered.run(trail.all_hold())
    finally:
        tampered.run(trail.restore())
    assert tampered.run(trail.all_hold())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(1, 11)).filter(lambda order: order != list(range(1, 11))))
def test_any_other_order_of_the_entries_is_found_and_told_as_that(tampered: Synchronous, order: list[int]) -> None:
    trail, organization = tampered.trail, tampered.trail.organizations[0]
    ids = [row["id"] for row in tampered.run(trail.rows(audit_entries, organization))]
    here = audit_entries.c.organization_id == organization
    away = update(audit_entries).where(here).values(sequence=audit_entries.c.sequence - 100)
    moves = [update(audit_entries).where(audit_entries.c.id == ids[n]).values(sequence=order[n]) for n in range(10)]
    tampered.run(trail.do(away, *moves))
    try:
        found = tampered.run(trail.kinds(organization))
        moved = {place for n, place in enumerate(order, 1) if place != n}
        assert {place for kind, place in found if kind == "MOVED"} == moved
        assert {kind for kind, _ in found} <= {"MOVED", "HEAD"}
        assert tampered.run(trail.kinds(trail.organizations[1])) == []
    finally:
        tampered.run(trail.restore())


def _kinds(restored: Synchronous, *tampering: Any) -> list[tuple[str, int | None]]:
    """What is found in the first chain after it was tampered with."""
    restored.run(restored.trail.do(*tampering))
    found: list[tuple[str, int | None]] = restored.run(restored.trail.kinds(restored.trail.organizations[0]))
    return found


def _row(restored: Synchronous, table: Table, number: int) -> dict[str, Any]:
    trail = restored.trail
    return dict(restored.run(trail.rows(table, trail.organizations[0]))[number - 1])


def test_what_is_found_is_told_as_what_it_is(restored: Synchronous) -> None:
    trail, organization = restored.trail, restored.trail.organizations[0]
    fourth, last = _row(restored, audit_entries, 4), _row(restored, audit_entries, 10)
    of_fourth = audit_entries.c.id == fourth["id"]
    aside = delete(audit_personal).where(audit_personal.c.entry_id == fourth["id"])
    head = update(audit_heads).where(audit_heads.c.organization_id == organization)
    ninth = _row(restored, audit_entries, 9)
    for tampering, expected in (
        ([update(audit_entries).where(of_fourth).values(actor="usr_else")], [("ALTERED", 4)]),
        ([update(audit_entries).where(of_fourth).values(hash="0" * 64)], [("ALTERED", 4)]),
        ([aside, delete(audit_entries).where(of_fourth)], [("MISSING", 4)]),
        ([aside], [("PERSONAL", None)]),
        (
            [update(audit_personal).values(address="198.51.100.1").where(audit_personal.c.entry_id == fourth["id"])],
            [("PERSONAL", 4)],
        ),
        (
            [
                delete(audit_personal).where(audit_personal.c.entry_id == last["id"]),
                delete(audit_entries).where(audit_entries.c.id == last["id"]),
            ],
            [("CUT_OFF", 10)],
        ),
        ([head.values(sequence=9, hash=ninth["hash"])], [("HEAD", None)]),
        ([head.values(hash=ninth["hash"])], [("HEAD", 10)]),
        ([delete(audit_heads)], [("HEAD", None)]),
        (
            [inserted(audit_entries, {**last, "id": "aud_forged", "sequence": 11})],
            [("HEAD", None), ("PERSONAL", None), ("ALTERED", 11)],
        ),
        (
            [inserted(audit_entries, {**last, "id": "aud_forged", "sequence": None, "personal_digest": None})],
            [("OLDER", None), ("ALTERED", 1)],
        ),
    ):
        assert sorted(_kinds(restored, *tampering), key=str) == sorted(expected, key=str), expected
        restored.run(trail.restore())
        assert restored.run(trail.all_hold())


def test_two_entries_with_their_whole_content_in_each_others_place_are_found(restored: Synchronous) -> None:
    """Also with their personal parts, and the hashes left where they were."""
    third, fifth = _row(restored, audit_entries, 3), _row(restored, audit_entries, 5)
    kept = ("id", "organization_id", "sequence", "hash", "personal_digest")
    of_third, of_fifth = ({k: v for k, v in row.items() if k not in kept} for row in (third, fifth))
    found = _kinds(
        restored,
        update(audit_entries).where(audit_entries.c.id == third["id"]).values(of_fifth),
        update(audit_entries).where(audit_entries.c.id == fifth["id"]).values(of_third),
    )
    assert found == [("ALTERED", 3), ("ALTERED", 5)]


def test_an_entry_of_another_organization_is_found_in_both_chains(restored: Synchronous) -> None:
    trail = restored.trail
    first, second = trail.organizations[:2]
    stolen = _row(restored, audit_entries, 10)
    found = _kinds(
        restored,
        update(audit_entries).where(audit_entries.c.id == stolen["id"]).values(organization_id=second, sequence=11),
    )
    assert ("CUT_OFF", 10) in found
    assert ("HEAD", None) in restored.run(trail.kinds(second))
    assert first != second


def test_a_tail_that_is_cut_off_with_its_head_shows_beside_a_head_that_was_kept_elsewhere(
    restored: Synchronous,
) -> None:
    """Alone it is a chain like any other that was not written further."""
    trail, organization = restored.trail, restored.trail.organizations[0]
    kept = [restored.run(trail.head(organization))]
    seventh = _row(restored, audit_entries, 7)
    gone = [_row(restored, audit_entries, number)["id"] for number in (8, 9, 10)]
    found = _kinds(
        restored,
        *(delete(audit_personal).where(audit_personal.c.entry_id == identity) for identity in gone),
        *(delete(audit_entries).where(audit_entries.c.id == identity) for identity in gone),
        update(audit_heads)
        .where(audit_heads.c.organization_id == organization)
        .values(sequence=7, hash=seventh["hash"]),
    )
    assert found == []
    assert restored.run(trail.kinds(organization, kept)) == [("CUT_OFF", 8)]
    restored.run(trail.do(*(delete(table).where(table.c.organization_id == organization) for table in TABLES)))
    assert restored.run(trail.kinds(organization, kept)) == [("CUT_OFF", 1)]


def test_history_that_is_written_anew_with_the_stolen_key_shows_beside_heads_that_were_kept_elsewhere(
    restored: Synchronous,
) -> None:
    trail, organization = restored.trail, restored.trail.organizations[0]
    rows = [dict(row) for row in restored.run(trail.rows(audit_entries, organization))]
    kept = [Head(row["sequence"], row["hash"]) for row in rows[::3]]
    previous, statements = NO_HASH, []
    for row in rows:
        if row["sequence"] == 6:
            row["actor"] = "usr_scapegoat"
        row["at"] = row["at"] if row["at"].tzinfo else row["at"].replace(tzinfo=UTC)
        row["hash"] = previous = entry_hash(
            trail.database.audit_key or b"", organization, row["sequence"], row, previous
        )
        statements.append(update(audit_entries).where(audit_entries.c.id == row["id"]).values(row))
    ours = audit_heads.c.organization_id == organization
    found = _kinds(restored, *statements, update(audit_heads).where(ours).values(hash=previous))
    assert found == []
    assert restored.run(trail.kinds(organization, kept)) == [("REWRITTEN", 7), ("REWRITTEN", 10)]
    # the gateway goes on, and keeps heads of the new history: those of the old one are in the file all the same
    restored.run(trail.write(organization, "order.moved"))
    kept.append(restored.run(trail.head(organization)))
    assert restored.run(trail.kinds(organization, kept)) == [("REWRITTEN", 7), ("REWRITTEN", 10)]


def test_what_is_of_no_type_that_a_gateway_writes_is_found_and_stops_nothing(restored: Synchronous) -> None:
    """SQLite keeps whatever it is given."""
    trail = restored.trail
    if trail.database.dialect != "sqlite":
        return
    fourth = _row(restored, audit_entries, 4)["id"]
    for change in (
        "at = 'yesterday'",
        "at = 5",
        "at = x'00ff'",
        "details = 'no json'",
        "details = x'ff'",
        "actor = x'ff'",
        "hash = x'ff'",
        "sequence = 'four'",
        "sequence = 4.5",
        "sequence = x'04'",
        "personal_digest = x'ff'",
    ):
        assert _kinds(restored, f"UPDATE audit_entries SET {change} WHERE id = '{fourth}'"), change  # noqa: S608 -- ours
        restored.run(trail.restore())
    for change in ("salt = x'ff'", "address = x'ff'", "organization_id = x'ff'"):
        assert _kinds(restored, f"UPDATE audit_personal SET {change} WHERE entry_id = '{fourth}'"), change  # noqa: S608 -- ours
        restored.run(trail.restore())
    mine = trail.organizations[0]
    for change in ("sequence = 'ten'", "hash = x'ff'"):
        assert _kinds(restored, f"UPDATE audit_heads SET {change} WHERE organization_id = '{mine}'"), change  # noqa: S608 -- ours
        restored.run(trail.restore())


def test_a_long_chain_is_read_in_batches_and_many_findings_are_counted(
    restored: Synchronous, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail, organization = restored.trail, restored.trail.organizations[0]
    monkeypatch.setattr(audit_verify, "BATCH", 4)
    statements: list[str] = []
    trail.database.observers.append(statements.append)
    report = restored.run(trail.verify(organization))
    trail.database.observers.clear()
    assert (report.holds, report.entries) == (True, 10)
    assert len([each for each in statements if "LEFT OUTER JOIN" in each]) == 1 + 3 + 1
    monkeypatch.setattr(audit_verify, "MOST_FINDINGS", 3)
    restored.run(trail.do(update(audit_entries).values(actor="usr_else")))
    report = restored.run(trail.verify(organization))
    assert (len(report.findings), report.more_findings) == (3, 7)
