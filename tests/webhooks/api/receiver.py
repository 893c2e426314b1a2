"""A receiver of webhooks on this machine: an HTTP server that keeps what comes, and answers as it is told."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

from standardwebhooks import Webhook

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should come at once; no test measures time."""


@dataclass(frozen=True)
class Arrived:
    """A request that came."""

    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, as the reference implementation verifies it."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return found

    @property
    def event(self) -> dict[str, Any]:
        """The event that it tells of."""
        found: dict[str, Any] = json.loads(self.body)["data"]["event"]
        return found

    @property
    def delivery(self) -> dict[str, Any]:
        """What it says of itself."""
        found: dict[str, Any] = json.loads(self.body)["extensions"]["delivery"]
        return found


@dataclass
class Receiver:
    """Who listens at ``url``; each path is somebody of their own."""

    url: str
    answers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The statuses of the next answers, by path; 204 when there are none."""
    _came: dict[str, "Queue[Arrived]"] = field(default_factory=lambda: defaultdict(Queue))

    def take(self, path: str, arrived: Arrived) -> int:
        """Keeps a request; returns the status of the answer."""
        status = self.answers[path].pop(0) if self.answers[path] else 204
        self._came[path].put(arrived)
        return status

    def next(self, path: str) -> Arrived:
        """The next request to a path."""
        return self._came[path].get(timeout=PATIENCE_SECONDS)

    def is_silent(self, path: str) -> bool:
        """Whether nothing else has come."""
        return self._came[path].empty()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listens on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(self.path, Arrived(headers, body)))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
