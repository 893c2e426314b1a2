"""Somebody at a place, before a gateway: sends what a frontend sends, and keeps the cookies that a browser keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from datasources.database.engine import Database
from datasources.database.tables.access import audit_entries, audit_personal
from tests.serving import Running

SESSION = """{
  session { id accessToken refreshToken csrfToken user { id email name } organization { id name slug capabilities } }
  userErrors { code message field }
}"""
PAYLOADS = {"logout": "{ userErrors { code message field } }"}
GOOD = "seven llamas knit at dawn"
"""A password that may be chosen."""
NO = {
    "session": None,
    "userErrors": [{"code": "INVALID", "message": "That address and password do not fit together.", "field": None}],
}
"""What a sign-in is answered that does not fit together, whatever does not."""
OVER = {
    "session": None,
    "userErrors": [{"code": "INVALID", "message": "Your session has ended. Sign in again.", "field": None}],
}
"""What a refresh token is answered that brings nothing, whatever is wrong with it."""

_HTTP = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


@dataclass
class Visitor:
    """One client. ``place`` is the address it comes from, as a proxy tells it; ``token`` its access token."""

    gateway: Running
    place: str = "203.0.113.1"
    token: str | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    """The headers of the last answer."""

    def post(self, query: str, variables: Mapping[str, object] | None = None, /, **headers: str) -> httpx.Response:
        """The response to an operation; ``x_csrf_token`` is a header's name."""
        sent = {"x-forwarded-for": self.place} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = {"query": query, "variables": variables or {}}
        answer = _HTTP.post(self.gateway.graphql, json=body, headers=sent)
        self.set_cookies = answer.headers.get_list("set-cookie")
        for text in self.set_cookies:
            for name, morsel in SimpleCookie(text).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def ask(self, query: str, variables: Mapping[str, object] | None = None, /, **headers: str) -> dict[str, Any]:
        """The whole answer."""
        found: dict[str, Any] = self.post(query, variables, **headers).json()
        return found

    def run(self, mutation: str, headers: Mapping[str, str] | None = None, /, **values: object) -> dict[str, Any]:
        """The payload of a mutation; one that opens a session is sent without the access token of another."""
        selection = PAYLOADS.get(mutation, SESSION)
        query = f"mutation ($input: {_capital(mutation)}Input!) {{ {mutation}(input: $input) {selection} }}"
        bearer, self.token = self.token, self.token if mutation in PAYLOADS else None
        try:
            answer = self.ask(query, {"input": values}, **(headers or {}))
        finally:
            self.token = bearer
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"][mutation]
        return payload

    def signed_in(self, mutation: str, **values: object) -> dict[str, Any]:
        """The session of a mutation that opens one; goes on with its access token."""
        payload = self.run(mutation, **values)
        assert payload["userErrors"] == [], payload
        session: dict[str, Any] = payload["session"]
        self.token = session["accessToken"] or None
        return session

    def whoami(self, **headers: str) -> str | None:
        """The address of who this is to the gateway; ``None`` for nobody."""
        viewer = (self.ask("{ viewer { email } }", **headers).get("data") or {}).get("viewer")
        return None if viewer is None else str(viewer["email"])

    def at(self, place: str) -> "Visitor":
        """Somebody else, elsewhere."""
        return Visitor(self.gateway, place)


def share_keys(gateway: Running, folder: Path) -> Path:
    """A ``data_dir`` for another process on the same database, with the same keys."""
    settings = gateway.app.state.gateway.settings
    for kept in (settings.key_file, settings.keyring_file):
        (folder / kept.name).write_bytes(kept.read_bytes())
    return folder


async def trail(database: Database, action: str) -> list[dict[str, Any]]:
    """The entries of an action in the audit trail, oldest first, each with what is kept aside of it."""
    entry, aside = audit_entries.c, audit_personal.c
    statement = (
        select(
            entry.organization_id, entry.actor, entry.target_id, entry.risk, entry.details, aside.address, aside.email
        )
        .select_from(audit_entries.outerjoin(audit_personal, aside.entry_id == entry.id))
        .where(entry.action == action)
        .order_by(entry.at, entry.id)
    )
    names = ("organization_id", "actor", "target_id", "risk", "details", "address", "email")
    scope = database.unscoped("tests look behind the gateway")
    return await scope.fetch(statement, lambda *cells: dict(zip(names, cells, strict=True)))
