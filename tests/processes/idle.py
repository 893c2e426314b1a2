"""Workers that only say that they are there, and files by which they fail or do not heed: ``python -m`` runs two."""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from gateway.supervisor import Beat, NoneStarted, Supervisor

BROKEN, DEAF = Path("broken"), Path("deaf")


def work(line: Connection) -> None:
    """Beats until it is told to stop."""
    if BROKEN.exists():
        sys.exit(3)
    if DEAF.exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    beat = Beat(line)
    print(f"Started server process [{os.getpid()}]", flush=True)  # noqa: T201 -- as uvicorn does
    while beat():
        time.sleep(0.1)


if __name__ == "__main__":
    from tests.processes import idle  # by the name under which the processes import it

    try:
        Supervisor(idle.work, 2).run()
    except NoneStarted:
        sys.exit("none started")
