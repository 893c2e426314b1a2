"""A server that runs for as long as the tests need it, and never longer."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 15

# Waits on a pipe that this process holds. A line on it means that the server was stopped in good order; its end
# without one means that the tests are gone, however they went (a second Ctrl-C, a kill), and the server must go too.
_KEEPER = 'read -r _ || { kill -INT "$1"; sleep 2; kill -KILL "$1"; rm -rf -- "$2"; } 2>/dev/null'


class ServerNotStartedError(RuntimeError):
    """A server could not be started; the message says what to install, or holds the end of the server's log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def unprivileged() -> pwd.struct_passwd | None:
    """The account for servers that refuse to run as root; None for an ordinary user, who runs them as they are."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in accounts:
            return accounts[name]
    message = "running as root, and there is neither a user 'postgres' nor 'nobody' to run a server as"
    raise ServerNotStartedError(message)


@contextmanager
def scratch_folder(account: pwd.struct_passwd | None = None) -> Iterator[Path]:
    """A folder of its own for one server, owned by the account it runs as, and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tributary-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(
    command: Sequence[str | Path], folder: Path, account: pwd.struct_passwd | None = None
) -> subprocess.Popen[bytes]:
    """Starts a command in ``folder``, its output in ``folder/log``, out of reach of the terminal's Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )


@contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    *,
    answers: Callable[[], bool],
    account: pwd.struct_passwd | None = None,
) -> Iterator[None]:
    """Runs a server until the block ends.

    Args:
        command: the server, in the foreground; SIGINT must end it.
        folder: its scratch folder.
        answers: whether it takes requests by now.
        account: who it runs as, where that is somebody else.

    Raises:
        ServerNotStartedError: it ended, or gave no answer within START_SECONDS.
    """
    server = start(command, folder, account)
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", str(server.pid), folder], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise ServerNotStartedError(f"{command[0]} did not start:\n{log_end(folder)}")
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        keeper.communicate(b"stopped\n")


def log_end(folder: Path) -> str:
    """The last lines that a server wrote."""
    return "\n".join((folder / "log").read_text(errors="replace").splitlines()[-20:])
