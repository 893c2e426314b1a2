"""``tributary audit``: whether the audit trail is as it was written."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasources.audit_heads import BadLine, KeptHeads
from datasources.database.audit_verify import ChainReport, chains, verify_chain
from datasources.database.engine import Database
from gateway.commands import CommandFailed, keyring_of, on_database, say
from gateway.settings import load


def add_commands(commands: Any) -> None:
    """Adds ``audit`` to the commands (what ``add_subparsers`` returns)."""
    audit = commands.add_parser("audit", help="the audit trail").add_subparsers(required=True, metavar="command")
    verify = audit.add_parser("verify", help="find what was altered, moved, removed or cut off")
    verify.add_argument("--organization", metavar="ID", help="its chain only, or `gateway` for the gateway's own")
    verify.add_argument(
        "--heads",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="heads that were kept elsewhere, or a log with them; may be given several times",
    )
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> None:
    settings = load()
    with ExitStack() as stack:
        try:
            kept = stack.enter_context(KeptHeads(options.heads, keyring_of(settings).derived("audit heads")))
        except OSError as error:
            raise CommandFailed(f"the heads at {error.filename} cannot be read ({type(error).__name__})") from None
        verification = _Verification(kept, options.organization)
        on_database(settings, verification.run, audited=True)
    verification.conclude()


class _Verification:
    """One run over the chains."""

    def __init__(self, kept: KeptHeads, organization_id: str | None) -> None:
        self._kept = kept
        self._only = organization_id
        self._entries, self._chains, self._findings = 0, 0, 0

    async def run(self, database: Database) -> None:
        """Verifies, and says what is found."""
        for line in self._kept.bad_lines:
            self._say_bad(line)
        known = {*await chains(database), *self._kept.chains()}
        if self._only is not None and self._only not in known:
            raise CommandFailed(f"there is no audit trail of {self._only}. Leave --organization out to verify all.")
        for organization_id in sorted(known) if self._only is None else [self._only]:
            self._say(await verify_chain(database, organization_id, self._kept.of(organization_id)))

    def conclude(self) -> None:
        """Says how much was verified; raises ``CommandFailed`` when something was found."""
        beside = f" beside {self._kept.count} heads that were kept elsewhere" if self._kept.files else ""
        say(f"Verified {self._entries} entries of {self._chains} chains{beside}.")
        if self._findings:
            raise CommandFailed(f"the audit trail is not as it was written: {self._findings} findings, listed above")

    def _say(self, report: ChainReport) -> None:
        self._entries += report.entries
        self._chains += 1
        self._findings += len(report.findings) + report.more_findings
        name = report.organization_id
        for kind, sequence, text in report.findings:
            place = name if sequence is None else f"{name} {sequence}"
            say(f"{place}: {kind}: {text}", file=sys.stderr)
        if report.more_findings:
            say(f"{name}: and {report.more_findings} more", file=sys.stderr)
        notes = []
        if report.older:
            notes.append(f"{report.older} entries are from before the chain")
        if report.erased:
            notes.append(f"the personal data of {report.erased} is erased")
        if notes:
            say(f"{name}: {'; '.join(notes)}.")

    def _say_bad(self, line: BadLine) -> None:
        where = f"line {line.number} of {line.file}"
        if line.torn:
            say(f"{where} breaks off, as when a gateway is killed while it writes; it is left out.")
        else:
            self._findings += 1
            say(f"{where}: FORGED: it was not written by this gateway", file=sys.stderr)
