"""A client whose network is gone, in a network of its own: ``unshare --net python -m … DATABASE_URL FOLDER SECONDS``.

Says ``freed`` when the gateway has noticed, although nobody has told it that the client left.
"""

import fcntl
import json
import socket
import struct
import sys
import time
from pathlib import Path

from gateway.app import Gateway
from tests.serving import running

_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP, see netdevice(7)


def loopback(*, up: bool) -> None:
    """Plugs the network in, or pulls it out."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP if up else 0))


def main(database_url: str, folder: Path, unacknowledged_seconds: float) -> None:
    """Runs a gateway and a client that follows a stream, and pulls the plug."""
    loopback(up=True)
    with running(database_url, folder, unacknowledged_seconds=unacknowledged_seconds) as gateway:
        behind: Gateway = gateway.app.state.gateway
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        body = json.dumps({"query": "subscription { heartbeat(count: 100000, intervalMs: 100) }"})
        head = f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as line:
            line.sendall((head + body).encode())
            while b"event: next" not in line.recv(4_096):
                pass
            assert behind.endpoint.live == 1
            loopback(up=False)
            deadline = time.monotonic() + 60
            while behind.endpoint.live and time.monotonic() < deadline:
                time.sleep(0.05)
            print("held" if behind.endpoint.live else "freed", flush=True)  # noqa: T201 -- to the test
            loopback(up=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
