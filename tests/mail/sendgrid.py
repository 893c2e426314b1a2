"""A stand-in for SendGrid's ``POST /v3/mail/send``, over HTTP and as strict as its documentation."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

API_KEY = "SG.test-key.of-the-tests"
MAX_BYTES = 30 << 20
MAX_PERSONALIZATIONS = 1_000
_KNOWN = {
    "from", "reply_to", "subject", "personalizations", "content", "attachments", "headers", "custom_args", "categories",
    "tracking_settings", "mail_settings", "template_id", "asm", "batch_id", "send_at", "ip_pool_name", "sections",
}  # fmt: skip
_RESERVED_HEADERS = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
    "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
_PARTS = (["text/plain"], ["text/html"], ["text/plain", "text/html"])
_EMAIL = re.compile(r"[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+")


@dataclass
class SendGridStandIn:
    """What it was asked, and what it is to answer: status, headers and body, once each, in order."""

    url: str = ""
    accepted: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)

    async def send(self, request: Request) -> Response:
        """Takes a mail, or says what is wrong with it."""
        body = await request.body()
        if self.answers:
            status, headers, content = self.answers.pop(0)
            return JSONResponse(content, status_code=status, headers=headers)
        refused = _refused(request, body)
        if refused is None:
            self.accepted.append(orjson.loads(body))
            return Response(status_code=202, headers={"X-Message-Id": f"sg-{len(self.accepted)}"})
        return refused


def _refused(request: Request, body: bytes) -> Response | None:
    if request.headers.get("authorization") != f"Bearer {API_KEY}":
        return _errors(401, "The provided authorization grant is invalid, expired, or revoked", None)
    if request.headers.get("content-type") != "application/json":
        return _errors(415, "Content-Type should be application/json.", None)
    if len(body) > MAX_BYTES:
        return _errors(413, "The JSON payload you have included in your request is too large.", None)
    try:
        mail = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _errors(400, "Bad Request", None)
    wrong = _wrong(mail)
    return None if wrong is None else _errors(400, f"The field {wrong} is missing, or not as the API wants it.", wrong)


def _errors(status: int, message: str, name: str | None) -> Response:
    return JSONResponse({"errors": [{"message": message, "field": name, "help": None}]}, status_code=status)


def _wrong(mail: Any) -> str | None:
    """The field that is wrong in a mail."""
    if not isinstance(mail, dict):
        return ""
    rules: dict[str, Callable[[], bool]] = {
        ", ".join(sorted(set(mail) - _KNOWN)): lambda: set(mail) <= _KNOWN,
        "from.email": lambda: _is_address(mail.get("from")),
        "personalizations": lambda: 1 <= len(mail["personalizations"]) <= MAX_PERSONALIZATIONS,
        "personalizations.0.to.0.email": lambda: all(
            each["to"] and all(map(_is_address, each["to"])) for each in mail["personalizations"]
        ),
        "subject": lambda: isinstance(mail["subject"], str) and re.fullmatch(r"[^\r\n]+", mail["subject"]) is not None,
        "content": lambda: [part["type"] for part in mail["content"]] in _PARTS,
        "content.0.value": lambda: all(isinstance(part["value"], str) and part["value"] for part in mail["content"]),
        "headers": lambda: not {name.lower() for name in mail.get("headers", {})} & _RESERVED_HEADERS,
    }
    for name, fits in rules.items():
        try:
            if not fits():
                return name
        except (KeyError, TypeError):
            return name
    return None


def _is_address(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not set(value) - {"email", "name"}
        and isinstance(value.get("email"), str)
        and _EMAIL.fullmatch(value["email"]) is not None
    )


@contextmanager
def send_grid() -> Iterator[SendGridStandIn]:
    """Serves on a free port until the block ends."""
    stand_in = SendGridStandIn()
    app = Starlette(routes=[Route("/v3/mail/send", stand_in.send, methods=["POST"])])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        stand_in.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        listener.listen()
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the stand-in did not start"
            time.sleep(0.01)
        try:
            yield stand_in
        finally:
            server.should_exit = True
            thread.join(timeout=30)
