"""A process is killed in the middle of sending: another sends its mail, as the same mail, and none is lost."""

import subprocess
import sys
from collections import Counter

import pytest

from datasources.database.engine import Database
from datasources.keyring import Keyring
from tests.gateway.program import ROOT, environment
from tests.mail.post import an_outbox, make_due, notice, post, until, until_settled
from tests.mail.smtp_server import smtp_server

pytestmark = pytest.mark.anyio

MAILS = 12


async def test_a_killed_process_loses_no_mail_and_repeats_only_what_it_was_sending(
    url: str, database: Database, keyring: Keyring
) -> None:
    posting = an_outbox(database, keyring, None)
    ids = await post(posting, database, *(notice(f"person{number}@example.com") for number in range(MAILS)))
    expected = {f"<{mail_id}@gateway.example.com>" for mail_id in ids}
    with smtp_server() as server:
        server.silent_for = 3
        arguments = [url, str(keyring.path), server.url]
        command = [sys.executable, "-P", "-m", "tests.mail.program", *arguments]
        with subprocess.Popen(command, cwd=ROOT, env=environment({})) as first:  # noqa: ASYNC220 -- as short as fork
            try:
                # Three mails are with the server, which does not say so; the others were handed over and noted.
                await until(lambda: len(server.received) >= MAILS and len(server.delivered) >= MAILS - 3)
                await until_settled(database, waiting=3)
            finally:
                first.kill()
        in_the_middle = set(server.received) - {str(each.message["Message-ID"]) for each in server.delivered}
        assert len(in_the_middle) == 3
        await make_due(database, posting)  # the lease of the one that was killed runs out
        with subprocess.Popen(command, cwd=ROOT, env=environment({})) as second:  # noqa: ASYNC220
            try:
                found = await until_settled(database)
            finally:
                second.kill()
        assert all(each["sent_at"] is not None for each in found.values())
        delivered = Counter(str(each.message["Message-ID"]) for each in server.delivered)
        received = Counter(server.received)
    assert set(delivered) == expected
    assert {name for name, times in received.items() if times > 1} == in_the_middle
    assert set(delivered.values()) == {1}
    assert {each["attempts"] for each in found.values() if each["message_id"] in in_the_middle} == {2}
