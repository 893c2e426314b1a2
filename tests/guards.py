"""Two guards over the whole run: no connection leaves this machine, and in CI no test is skipped in silence."""

import os
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

import pytest

_attempts: list[str] = []


class OutsideConnectionError(OSError):
    """A test tried to reach something that is not on this machine; give it a server on loopback instead.

    An OSError, so that the code under test tidies up as it would after any connection that failed.
    """


def _is_loopback(host: str) -> bool:
    if host in {"", "localhost"} or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback or address.is_unspecified


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refuse_outside(event: str, arguments: tuple[object, ...]) -> None:
    """Judges each socket operation of the process, in whatever library or thread it is made."""
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        if isinstance(host, str) and _is_address(host):
            return  # nothing is asked of a name server
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if not isinstance(host, str) or _is_loopback(host):
        return  # a UNIX socket, or this machine
    attempt = f"{event} to {host}"
    _attempts.append(attempt)
    raise OutsideConnectionError(attempt)


def pytest_configure() -> None:
    """Installs the guard; an audit hook sees what patching ``socket`` would miss, and stays."""
    sys.addaudithook(_refuse_outside)


@pytest.fixture(autouse=True)
def outside_attempts() -> Iterator[list[str]]:
    """Fails a test that tried to leave the machine, also where the code under test swallowed the refusal."""
    _attempts.clear()
    yield _attempts
    if _attempts:
        pytest.fail(f"the test tried to leave this machine: {', '.join(_attempts)}")


def _skipped(session: pytest.Session) -> int:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turns a run with skipped tests into a failed one in CI."""
    if os.environ.get("CI") == "true" and _skipped(session) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says why such a run failed."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if os.environ.get("CI") == "true" and skipped:
        terminalreporter.write_line(f"{skipped} skipped: in CI every test has to run", red=True)
