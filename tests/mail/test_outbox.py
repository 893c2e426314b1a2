"""Mail from the change that causes it to the moment it is sent, or given up: nothing lost, nothing twice."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

import pytest

from datasources.database import outbox as stored
from datasources.database.engine import Database
from datasources.database.outbox import forget_mail
from datasources.keyring import Keyring, Unreadable
from datasources.mail import outbox as sending
from datasources.mail.outbox import FIRST_PAUSE, LONGEST_PAUSE, pause_after
from datasources.mail.sending import Misconfigured, TryAgain, Undeliverable
from tests.mail.post import (
    SECRET,
    Recorder,
    an_outbox,
    change,
    make_due,
    notice,
    post,
    posted_and_sent,
    row,
    rows,
    until,
    until_settled,
)

pytestmark = pytest.mark.anyio


async def test_mail_goes_out_once_its_cause_has_happened(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    async with an_outbox(database, keyring, recorder) as outbox:
        async with database.scoped("org_any").transaction() as transaction:
            mail_id = await outbox.post(transaction, notice())
            await asyncio.sleep(0.02)
            assert recorder.tried == []
        await until(lambda: bool(recorder.sent))
        (message,) = recorder.sent
        found = await until_settled(database)
    assert message["To"] == "ada@example.com"
    assert message["From"] == "Gateway <no-reply@gateway.example.com>"
    assert message["Subject"] == "Choose a new password for Gateway"
    assert message["Message-ID"] == found[mail_id]["message_id"] == f"<{mail_id}@gateway.example.com>"
    assert message["Date"].datetime == found[mail_id]["created_at"]
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert all(SECRET in part.get_content() for part in message.iter_parts())
    assert (found[mail_id]["template"], found[mail_id]["user_id"]) == ("reset_password", "usr_ada")
    assert found[mail_id]["sent_at"] is not None
    assert (found[mail_id]["letter"], found[mail_id]["error"], found[mail_id]["attempts"]) == (None, None, 1)


async def test_mail_of_what_did_not_happen_is_never_sent(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    async with an_outbox(database, keyring, recorder) as outbox:
        with contextlib.suppress(ZeroDivisionError):
            async with database.scoped("org_any").transaction() as transaction:
                await outbox.post(transaction, notice("never@example.com"))
                raise ZeroDivisionError
        await post(outbox, database, notice())
        await until(lambda: bool(recorder.sent))
        assert recorder.receivers == ["ada@example.com"]
        assert len(await rows(database)) == 1


async def test_who_reads_the_database_learns_no_link(database: Database, keyring: Keyring) -> None:
    outbox = an_outbox(database, keyring, None)
    (mail_id,) = await post(outbox, database, notice())
    stored_row = await row(database, mail_id)
    assert stored_row["letter"]
    assert SECRET not in str(stored_row)
    assert "ada@example.com" not in str(stored_row)
    with pytest.raises(Unreadable):
        keyring.unseal(stored_row["letter"], "outgoing_mails.letter.mai_another")


async def test_mail_that_another_process_has_posted_is_found(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    async with an_outbox(database, keyring, recorder, poll_seconds=0.05):
        await post(an_outbox(database, keyring, None), database, notice())
        await until(lambda: bool(recorder.sent))


async def test_an_idle_outbox_only_reads(database: Database, keyring: Keyring) -> None:
    statements: list[str] = []
    database.observers.append(lambda sql: statements.append(sql.split()[0]))
    async with an_outbox(database, keyring, Recorder(), poll_seconds=0.01):
        await until(lambda: "DELETE" in statements)  # it has tidied up, as it does at the start
        statements.clear()
        await until(lambda: len(statements) > 3)
    assert set(statements) == {"SELECT"}


async def test_a_mail_that_has_to_wait_is_tried_later_as_the_same_mail(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    recorder.answers["ada@example.com"] = [TryAgain("not now"), TryAgain("in an hour", retry_after=3600)]
    async with an_outbox(database, keyring, recorder) as outbox:
        (mail_id,) = await post(outbox, database, notice())
        first = (await until_settled(database))[mail_id]
        assert (first["attempts"], first["error"], first["sent_at"]) == (1, "not now", None)
        assert 40 < (first["next_attempt_at"] - datetime.now(UTC)).total_seconds() <= 72
        await make_due(database, outbox)
        await until(lambda: len(recorder.tried) == 2)
        await until(lambda: not outbox._sending)
        second = await row(database, mail_id)
        assert second["error"] == "in an hour"
        assert 3500 < (second["next_attempt_at"] - datetime.now(UTC)).total_seconds() <= 3600
        await make_due(database, outbox)
        await until(lambda: bool(recorder.sent))
    assert len({message.as_bytes() for message in recorder.tried}) == 1


def test_pauses_grow_from_a_minute_to_six_hours_and_differ() -> None:
    steady = [pause_after(attempt, chance=lambda: 0.5) for attempt in range(1, 30)]
    assert steady[0] == FIRST_PAUSE
    assert steady == sorted(steady)
    assert steady[-1] == LONGEST_PAUSE
    assert pause_after(1, chance=lambda: 0.0) == FIRST_PAUSE * 0.8
    assert pause_after(99, chance=lambda: 1.0) == LONGEST_PAUSE * 1.2
    assert len({pause_after(1) for _ in range(20)}) > 1


async def test_a_mail_that_is_refused_for_good_is_given_up(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    recorder.answers["ada@example.com"] = [Undeliverable("no such mailbox")]
    async with posted_and_sent(database, keyring, recorder, notice()) as found:
        (gone,) = found.values()
    assert gone["failed_at"] is not None
    assert (gone["error"], gone["letter"], gone["next_attempt_at"]) == ("no such mailbox", None, None)
    assert recorder.sent == []


async def test_a_mail_that_cannot_be_sent_holds_up_no_other(database: Database, keyring: Keyring) -> None:
    """One whose letter is damaged, one on which the way to send breaks, one refused for now, and one that hangs."""
    recorder = Recorder()
    recorder.answers["broken@example.com"] = [ZeroDivisionError("a fault of ours")]
    recorder.answers["later@example.com"] = [TryAgain("full")]
    recorder.slow = {"hanging@example.com"}
    posting = an_outbox(database, keyring, None)
    (damaged,) = await post(posting, database, notice("damaged@example.com"))
    await change(database, letter="e0.AAAA")
    odd = [notice(f"{name}@example.com") for name in ("hanging", "broken", "later")]
    hanging, broken, later = await post(posting, database, *odd)
    good = [f"good{number}@example.com" for number in range(6)]
    await post(posting, database, *map(notice, good))
    async with an_outbox(database, keyring, recorder):
        found = await until_settled(database, waiting=1)
        assert sorted(recorder.receivers) == good
        recorder.released.set()
    assert "key" in found[damaged]["error"]
    assert found[damaged]["failed_at"] is not None
    assert found[broken]["error"] == "a fault of the gateway (ZeroDivisionError)"
    assert found[later]["error"] == "full"
    assert all(found[each]["next_attempt_at"] is not None for each in (broken, later, hanging))


@pytest.mark.parametrize(
    ("why", "logged"),
    [(TryAgain("no answer", all_mail=True), logging.WARNING), (Misconfigured("a wrong password"), logging.ERROR)],
    ids=["away", "misconfigured"],
)
async def test_while_nothing_gets_through_mail_waits_untried(
    database: Database, keyring: Keyring, caplog: pytest.LogCaptureFixture, why: TryAgain, logged: int
) -> None:
    """Or an hour without a server would cost every mail its early attempts, and the server a storm of connections."""
    recorder = Recorder()
    receivers = [f"person{number}@example.com" for number in range(20)]
    recorder.answers = {receiver: [why] for receiver in receivers}
    async with an_outbox(database, keyring, recorder) as outbox:
        await post(outbox, database, *map(notice, receivers))
        await until(lambda: bool(recorder.tried) and not outbox._sending)
        outbox.wake()
        await asyncio.sleep(0.02)
        assert 1 <= len(recorder.tried) <= sending.AT_ONCE
        untried = [each for each in (await rows(database)).values() if each["attempts"] == 0]
        assert len(untried) == len(receivers) - len(recorder.tried)
        outbox._rest_until = 0
        recorder.answers.clear()
        outbox.wake()
        await until(lambda: len(recorder.sent) == len(untried))
    assert {record.levelno for record in caplog.records} == {logged}


async def test_two_processes_share_the_work_and_send_nothing_twice(url: str, keyring: Keyring) -> None:
    recorder = Recorder()
    first, second = Database(url, pool_size=6), Database(url, pool_size=6)
    receivers = [f"person{number}@example.com" for number in range(40)]
    await post(an_outbox(first, keyring, None), first, *map(notice, receivers))
    recorder.slow = set(receivers[:4])
    async with an_outbox(first, keyring, recorder), an_outbox(second, keyring, recorder):
        await until(lambda: len(recorder.sent) == len(receivers) - len(recorder.slow))
        recorder.released.set()
        found = await until_settled(first)
    assert sorted(recorder.receivers) == sorted(receivers)
    assert {each["attempts"] for each in found.values()} == {1}
    await first.close()
    await second.close()


async def test_a_mail_whose_process_died_is_taken_up_after_its_lease(database: Database, keyring: Keyring) -> None:
    (mail_id,) = await post(an_outbox(database, keyring, None), database, notice())
    taken = await stored.claim(database, timedelta(minutes=10))
    assert taken is not None
    assert taken.id == mail_id
    assert await stored.claim(database, timedelta(minutes=10)) is None
    await make_due(database, an_outbox(database, keyring, None))
    recorder = Recorder()
    async with an_outbox(database, keyring, recorder):
        assert (await until_settled(database))[mail_id]["attempts"] == 2
    (message,) = recorder.sent
    assert message["Message-ID"] == taken.message_id
    # The one that was thought dead comes back late: what it says of the mail counts no more, unless that it is sent.
    await stored.settle(database, taken, stored.Failure("too late", datetime.now(UTC)))
    assert (await row(database, mail_id))["error"] is None


async def test_what_became_of_a_mail_is_noted_though_the_database_was_away(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be sent again, although nothing crashed in the middle of sending."""
    failures = [ConnectionError("gone"), ConnectionError("still gone")]

    async def with_failures(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        await stored.settle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "settle", with_failures)
    monkeypatch.setattr(sending, "_STUMBLE_SECONDS", 0.0)
    recorder = Recorder()
    async with posted_and_sent(database, keyring, recorder, notice()) as found:
        (mail,) = found.values()
    assert mail["sent_at"] is not None
    assert (len(recorder.sent), failures) == (1, [])


async def test_who_stops_finishes_what_it_is_sending_and_leaves_the_rest(database: Database, keyring: Keyring) -> None:
    recorder = Recorder()
    recorder.slow = {f"slow{number}@example.com" for number in range(sending.AT_ONCE)}
    async with an_outbox(database, keyring, recorder) as outbox:
        await post(outbox, database, *map(notice, [*sorted(recorder.slow), "rest@example.com"]))
        await until(lambda: len(recorder.tried) == sending.AT_ONCE)
        asyncio.get_running_loop().call_later(0.02, recorder.released.set)
    assert set(recorder.receivers) == recorder.slow
    found = await rows(database)
    assert sorted(each["attempts"] for each in found.values()) == [0, *([1] * sending.AT_ONCE)]
    assert len([each for each in found.values() if each["sent_at"]]) == sending.AT_ONCE


@pytest.mark.parametrize("to", ["2f1c@nobody.invalid", "2f1c@INVALID", "no address", "a@b\r\nBcc: c@d", "", "a b@c.d"])
async def test_mail_to_nobody_is_given_up_at_once_and_stops_no_change(
    database: Database, keyring: Keyring, to: str
) -> None:
    recorder = Recorder()
    async with posted_and_sent(database, keyring, recorder, notice(to), notice()) as found:
        (nobodys, _) = found.values()
    assert recorder.receivers == ["ada@example.com"]
    assert (nobodys["attempts"], nobodys["letter"], nobodys["sent_at"]) == (0, None, None)
    assert nobodys["failed_at"] is not None


async def test_after_three_days_mail_is_given_up_and_after_thirty_forgotten(
    database: Database, keyring: Keyring
) -> None:
    now = datetime.now(UTC)
    posting = an_outbox(database, keyring, None)
    (forgotten,) = await post(posting, database, notice("forgotten@example.com"))
    await change(database, sent_at=now - timedelta(days=31), next_attempt_at=None)
    (old,) = await post(posting, database, notice("old@example.com"))
    await change(database, created_at=now - timedelta(hours=73))
    (tired,) = await post(posting, database, notice("tired@example.com"))
    recorder = Recorder()
    recorder.answers["tired@example.com"] = [TryAgain("still no room")]
    await stored.tidy(database)
    found = await rows(database)
    assert set(found) == {old, tired}
    assert forgotten not in found
    assert (found[old]["error"], found[old]["letter"]) == ("it could not be sent in time", None)
    assert found[old]["failed_at"] is not None
    assert found[tired]["letter"] is not None
    await change(database, created_at=now - timedelta(hours=71, minutes=59, seconds=50))
    async with an_outbox(database, keyring, recorder):
        found = await until_settled(database)
    assert (found[tired]["error"], found[tired]["letter"]) == ("still no room", None)
    assert found[tired]["failed_at"] is not None
    assert recorder.sent == []


async def test_an_outbox_tidies_when_it_starts(database: Database, keyring: Keyring) -> None:
    await post(an_outbox(database, keyring, None), database, notice())
    await change(database, created_at=datetime.now(UTC) - timedelta(hours=73))
    async with an_outbox(database, keyring, None):
        (old,) = (await until_settled(database)).values()
    assert old["failed_at"] is not None


async def test_a_person_who_is_deleted_gets_no_mail_any_more_but_the_last(database: Database, keyring: Keyring) -> None:
    posting, recorder = an_outbox(database, keyring, None), Recorder()
    async with posted_and_sent(database, keyring, recorder, notice()) as found:
        (sent,) = found
    mine = await post(posting, database, notice(), notice())
    (others,) = await post(posting, database, notice("grace@example.com", user_id="usr_grace"))
    async with database.scoped("org_any").transaction() as transaction:
        assert await forget_mail(transaction, "usr_ada") == len(mine)
    assert set(await rows(database)) == {sent, others}


async def test_without_a_way_to_send_mail_waits_and_the_start_says_so(
    database: Database, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    async with an_outbox(database, keyring, None) as outbox:
        (mail_id,) = await post(outbox, database, notice())
        await asyncio.sleep(0.02)
        waiting = await row(database, mail_id)
    assert (waiting["attempts"], waiting["failed_at"]) == (0, None)
    assert "no mail is sent: set SMTP_URL or SENDGRID_API_KEY" in caplog.text
    recorder = Recorder()
    async with an_outbox(database, keyring, recorder):
        await until(lambda: bool(recorder.sent))
