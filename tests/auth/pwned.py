"""A stand-in for the range API of Have I Been Pwned, as its documentation describes it; made-up passwords only."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Pwned:
    """``found``: how often each password is in a breach. ``answer`` replaces what is answered: status and body."""

    url: str = ""
    found: Mapping[str, int] = field(default_factory=dict)
    answer: tuple[int, bytes] | None = None
    paths: list[str] = field(default_factory=list)
    """What was asked for."""
    silent: threading.Event | None = None
    """While it is there, nothing is answered before it is set."""

    def body(self, prefix: str, *, padded: bool) -> bytes:
        """The endings of all hashes that begin so; with padding made-up ones of count 0 among them."""
        hashes = {sha1(each.encode(), usedforsecurity=False).hexdigest().upper(): n for each, n in self.found.items()}
        lines = [f"{each[5:]}:{count}" for each, count in hashes.items() if each.startswith(prefix)]
        lines += [f"{secrets.token_hex(18)[:35].upper()}:{number % 9 + 1}" for number in range(600)]
        lines += [f"{secrets.token_hex(18)[:35].upper()}:0" for _ in range(300 if padded else 0)]
        return "\r\n".join(sorted(lines)).encode()


@contextmanager
def pwned() -> Iterator[Pwned]:
    """Serves until the block ends."""
    state = Pwned()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.paths.append(self.path)
            if state.silent is not None:
                state.silent.wait(60)
            prefix = self.path.removeprefix("/range/")
            status, body = 200, b""
            if len(prefix) != 5 or not set(prefix) <= set("0123456789ABCDEF") or not self.headers["User-Agent"]:
                status, body = 400, b"The hash prefix was not in a valid format"
            else:
                body = state.body(prefix, padded=self.headers["Add-Padding"] == "true")
            status, body = state.answer or (status, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/range/00000")
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client had enough

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        if state.silent is not None:
            state.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()
