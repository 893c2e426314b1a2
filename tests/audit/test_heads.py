"""Heads that are kept elsewhere: by a worker, in a file that survives what happens to files, and in the log."""

import asyncio
import contextlib
import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from auth.audit_heads import AuditHeads
from datasources.audit_heads import HeadsFile, KeptHeads
from datasources.database.audit import GATEWAY_CHAIN, Head, NewAuditEntry, append_audit
from datasources.database.audit_reading import ChainHead
from tests.audit.trail import Trail

pytestmark = pytest.mark.anyio

HEADS_KEY = b"h" * 32


def line(sequence: int, organization: str = "org_a") -> ChainHead:
    """A head."""
    return ChainHead(organization, sequence, f"{sequence:064x}")


def kept_in(*files: Path) -> tuple[dict[str, list[int]], list[tuple[int, bool]]]:
    """The numbers of the heads in files by chain, and their bad lines."""
    with KeptHeads(files, HEADS_KEY) as kept:
        found = {name: [head.sequence for head in kept.of(name)] for name in sorted(kept.chains())}
        return found, [(bad.number, bad.torn) for bad in kept.bad_lines]


def numbers(path: Path) -> dict[str, list[int]]:
    """The numbers of the heads in a file by chain; all lines must be whole."""
    found, bad = kept_in(path)
    assert bad == []
    return found


def lines_of(path: Path) -> list[str]:
    """The lines of a file."""
    return path.read_text().splitlines()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what the worker is about to do."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 -- the worker tells nobody
            await asyncio.sleep(0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the heads are kept; the folder is not there yet."""
    return tmp_path / "kept" / "audit-heads.jsonl"


async def test_a_gateway_keeps_what_moved_and_at_its_end_the_rest(
    trail: Trail, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, *_ = trail.organizations
    await trail.write(first, *["order.moved"] * 3)
    with caplog.at_level(logging.INFO, "tributary.audit"):
        async with AuditHeads(trail.database, HeadsFile(path, HEADS_KEY), every_seconds=0.01):
            await until(lambda: path.exists() and first in numbers(path))
            assert numbers(path) == {first: [3]}  # what a process before this one did not live to keep
            await trail.write(second, "order.moved")
            await until(lambda: second in numbers(path))
        async with AuditHeads(trail.database, HeadsFile(path, HEADS_KEY), every_seconds=3600):
            await trail.write(second, "order.moved", "order.moved")
            await trail.write(None, "credential.refused")
    assert numbers(path) == {first: [3], second: [1, 3], GATEWAY_CHAIN: [1]}
    logged = [record.getMessage() for record in caplog.records if record.name == "tributary.audit"]
    assert logged == lines_of(path)
    assert (await trail.head(second)).hash == json.loads(logged[-2 if GATEWAY_CHAIN in logged[-1] else -1])["hash"]


async def test_what_is_undone_or_has_not_moved_is_not_kept(trail: Trail, path: Path) -> None:
    first, *_ = trail.organizations
    async with AuditHeads(trail.database, HeadsFile(path, HEADS_KEY), every_seconds=0.005) as heads:
        with contextlib.suppress(ZeroDivisionError):
            async with trail.database.scoped(first).transaction() as transaction:
                await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None))
                raise ZeroDivisionError
        await trail.write(first, "order.moved")
        await until(lambda: heads._rounds > 5)
    async with AuditHeads(trail.database, HeadsFile(path, HEADS_KEY)):
        pass
    assert len(lines_of(path)) == 1


async def test_a_disk_that_takes_nothing_is_told_and_tried_again(
    trail: Trail, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.parent.joinpath("kept").write_text("a file where a folder should be")
    first, *_ = trail.organizations
    async with AuditHeads(trail.database, HeadsFile(path, HEADS_KEY), every_seconds=0.005):
        await trail.write(first, "order.moved")
        await until(lambda: "could not be kept" in caplog.text)
        path.parent.unlink()
        await until(path.exists)
    assert numbers(path) == {first: [1]}


async def test_the_file_finds_what_was_cut_back_consistently(
    trail: Trail, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All tables as they were an hour ago: alone, nothing is wrong with them."""
    first, second, *_ = trail.organizations
    file = HeadsFile(path, HEADS_KEY)
    async with AuditHeads(trail.database, file):
        await trail.write_ten(first)
        await trail.save()
        await trail.write(first, "session.opened", "member.removed")
        await trail.write(second, "session.opened")
    await trail.restore()
    assert await trail.all_hold()
    with KeptHeads([path], HEADS_KEY) as kept:
        assert await trail.kinds(first, list(kept.of(first))) == [("CUT_OFF", 11)]
        assert await trail.kinds(second, list(kept.of(second))) == [("CUT_OFF", 1)]
        assert second in kept.chains()
    async with AuditHeads(trail.database, file):
        pass
    assert "2 chains of the audit trail end before heads that were kept" in caplog.text


def test_several_processes_append_to_one_file(path: Path) -> None:
    """Each batch is one write at the end, whoever else writes."""
    files = [HeadsFile(path, HEADS_KEY) for _ in range(3)]
    for number in range(1, 31):
        files[number % 3].append([line(number), line(number, "org_b")])
    assert numbers(path) == {"org_a": list(range(1, 31)), "org_b": list(range(1, 31))}
    assert files[0].newest() == {"org_a": 30, "org_b": 30}


def test_a_line_that_breaks_off_is_left_out_and_told_and_spoils_no_other(path: Path) -> None:
    file = HeadsFile(path, HEADS_KEY)
    file.append([line(1), line(2)])
    whole = path.read_bytes()
    for length in range(1, len(whole) // 2):
        path.write_bytes(whole[:-length])
        found, bad = kept_in(path)
        assert found == {"org_a": [1] if length > 1 else [1, 2]}
        assert bad == ([(2, True)] if 1 < length < len(whole) // 2 else [])
        file.append([line(3)])
        found, bad = kept_in(path)
        assert found["org_a"][-1] == 3
        assert bad == ([(2, True)] if length > 1 else [])


def test_a_line_that_somebody_else_wrote_is_told(path: Path) -> None:
    file = HeadsFile(path, HEADS_KEY)
    (ours,) = file.append([line(7)])
    forged = [
        ours.replace('"sequence":7', '"sequence":6'),
        ours.replace("org_a", "org_b"),
        ours.replace('"mac":"', '"mac":"ü'),
        '{"at":1}',
        '{"at":[]}',
    ]
    HeadsFile(path, bytes(32)).append([line(8)])
    with path.open("a", encoding="utf-8") as text:
        text.writelines(f"{each}\n" for each in [*forged, "", "something else that a log has"])
    found, bad = kept_in(path)
    assert found == {"org_a": [7]}
    assert bad == [(number, False) for number in range(2, 8)]


def test_heads_are_found_in_a_log_and_in_files_that_were_moved_away(path: Path) -> None:
    file = HeadsFile(path, HEADS_KEY)
    file.append([line(1)])
    old = path.rename(path.with_suffix(".1"))
    (text,) = file.append([line(2)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log = path.with_suffix(".log")
    log.write_text(f"starting\n2026-11-21 INFO tributary.audit {text}\n")
    assert kept_in(old, path) == ({"org_a": [1, 2]}, [])
    assert kept_in(old, log) == ({"org_a": [1, 2]}, [])


def test_two_heads_of_one_number_are_both_compared(path: Path) -> None:
    file = HeadsFile(path, HEADS_KEY)
    file.append([line(5), ChainHead("org_a", 5, "f" * 64), line(5)])
    with KeptHeads([path], HEADS_KEY) as kept:
        assert kept.count == 3
        assert set(kept.of("org_a")) == {Head(5, f"{5:064x}"), Head(5, "f" * 64)}


def test_only_the_end_of_a_long_file_is_read_to_learn_what_it_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.audit_heads.TAIL_BYTES", 1_000)
    file = HeadsFile(path, HEADS_KEY)
    file.append([line(1, "org_old"), *(line(number) for number in range(1, 100))])
    assert file.newest() == {"org_a": 99}
    assert path.stat().st_size > 20_000
