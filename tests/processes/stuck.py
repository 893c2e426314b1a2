"""The program, with work that blocks its event loop for good when it is told to stop."""

import sys
import time

from auth.audit_heads import AuditHeads
from gateway.cli import main


async def blocks(_self: AuditHeads, *_: object) -> None:
    """Never comes back, nor lets anything else."""
    while True:
        time.sleep(1)  # noqa: ASYNC251 -- that is the point


if __name__ == "__main__":
    AuditHeads.__aexit__ = blocks  # type: ignore[assignment, method-assign]
    sys.exit(main(sys.argv[1:]))
