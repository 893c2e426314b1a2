"""What an integrator's script does: sign in, read every order page by page, follow changes and resume after a break.

    export TRIBUTARY_PASSWORD='tributary demo'
    python orders.py --email ada@example.com list --limit 5
    python orders.py --email ada@example.com follow --cursor-file cursor.txt

It prints one order or one change a line, and needs httpx alone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import httpx

LOGIN = """
mutation ($input: LoginInput!) {
  login(input: $input) { session { accessToken } userErrors { message } }
}
"""
ORDERS = """
query ($after: String) {
  orders(first: 100, after: $after) {
    nodes { number status placedAt total { amount currency } platform { key } }
    pageInfo { hasNextPage endCursor }
    unavailable { platform { key } reason }
  }
}
"""
CHANGES = """
subscription ($after: String) {
  orderChanged(after: $after) { cursor from to order { number } }
}
"""
JSON = "application/graphql-response+json"
SILENCE_SECONDS = 30.0
"""The gateway gives a sign of life every 12 seconds: after so long without one the line is dead."""
MAX_WAIT_SECONDS = 30.0


class Refused(Exception):
    """The gateway answered with errors; ``code`` is that of the first."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(error["message"]) for error in errors))
        self.code: str = errors[0].get("extensions", {}).get("code", "")


class Frame(NamedTuple):
    """One server-sent event."""

    event: str
    data: str


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """The events in the lines of a response; comments, which only show that the line lives, are left out."""
    event, data = "message", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        if name == "event":
            event = value.strip()
        elif name == "data":
            data.append(value.removeprefix(" "))
        elif not line:
            if data:
                yield Frame(event, "\n".join(data))
            event, data = "message", []


class Tributary:
    """The gateway at ``url`` as one person sees it, who is signed in when needed and again when the token has ended."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._client = httpx.Client(timeout=httpx.Timeout(10, read=SILENCE_SECONDS))
        self._url = url
        self._credentials = {"email": email, "password": password}
        self._token: str | None = None

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """The data of an operation; raises ``Refused``."""
        try:
            return self._post(query, variables, self._headers())
        except Refused as refused:
            if refused.code != "UNAUTHENTICATED":
                raise
        self._token = None
        return self._post(query, variables, self._headers())

    def orders(self) -> Iterator[dict[str, Any]]:
        """Every order, the newest first; raises ``Refused`` when a platform's orders are missing."""
        after = None
        while True:
            page = self.ask(ORDERS, {"after": after})["orders"]
            if page["unavailable"]:
                raise Refused(
                    [{"message": f"{gap['platform']['key']}: {gap['reason']}"} for gap in page["unavailable"]]
                )
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def changes(self, after: str | None) -> Iterator[dict[str, Any]]:
        """Every change of an order after the cursor ``after``, or from now on: over all breaks, without end.

        Raises ``Refused`` for what waiting does not mend.
        """
        wait = 1.0
        while True:
            try:
                for frame in self._stream(CHANGES, {"after": after}):
                    for change in _changes_in(frame):
                        after, wait = change["cursor"], 1.0
                        yield change
            except Refused as refused:
                if refused.code == "UNAUTHENTICATED":
                    self._token = None
                elif refused.code != "RATE_LIMITED":
                    raise
            except httpx.HTTPError as broken:
                print(f"the line broke ({broken!r}); again in {wait:g} s", file=sys.stderr)
            time.sleep(wait)
            wait = min(wait * 2, MAX_WAIT_SECONDS)

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            login = self._post(LOGIN, {"input": self._credentials}, {})["login"]
            if login["session"] is None:
                raise Refused(login["userErrors"])
            self._token = login["session"]["accessToken"]
        return {"authorization": f"Bearer {self._token}"}

    def _post(self, query: str, variables: Mapping[str, object], headers: Mapping[str, str]) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        response = self._client.post(self._url, json=body, headers={"accept": JSON, **headers})
        if response.is_server_error:
            response.raise_for_status()
        answer = response.json()
        if "errors" in answer:
            raise Refused(answer["errors"])
        data: dict[str, Any] = answer["data"]
        return data

    def _stream(self, query: str, variables: Mapping[str, object]) -> Iterator[Frame]:
        body, headers = {"query": query, "variables": variables}, {"accept": "text/event-stream", **self._headers()}
        with self._client.stream("POST", self._url, json=body, headers=headers) as response:
            if response.headers["content-type"].startswith("text/event-stream"):
                yield from frames(response.iter_lines())
            elif response.is_server_error:
                response.raise_for_status()
            else:  # refused before the stream began
                response.read()
                raise Refused(response.json()["errors"])


def _changes_in(frame: Frame) -> Iterator[dict[str, Any]]:
    """The change that a frame tells of, if any; raises ``Refused``."""
    if frame.event == "next":
        answer = json.loads(frame.data)
        if "errors" in answer:
            raise Refused(answer["errors"])
        if answer["data"]["orderChanged"] is not None:
            yield answer["data"]["orderChanged"]


def _list(gateway: Tributary, options: argparse.Namespace) -> None:
    for order in islice(gateway.orders(), options.limit):
        total = order["total"]
        print(order["placedAt"], order["platform"]["key"], order["number"], order["status"], *total.values(), sep="\t")


def _follow(gateway: Tributary, options: argparse.Namespace) -> None:
    file: Path = options.cursor_file
    cursor = file.read_text(encoding="utf-8") if file.exists() else None
    for change in islice(gateway.changes(cursor), options.limit):
        order = change["order"] or {"number": "(gone)"}
        print(order["number"], change["from"], "->", change["to"], flush=True)
        # Only now is the change dealt with: after a crash it comes again rather than never.
        staged = file.with_suffix(".new")
        staged.write_text(change["cursor"], encoding="utf-8")
        staged.replace(file)


def main() -> int:
    """Runs the command line; 1 when the gateway refused."""
    parser = argparse.ArgumentParser(description="Reads and follows the orders of an organization.")
    parser.add_argument("--url", default=os.environ.get("TRIBUTARY_URL", "http://127.0.0.1:8000/graphql"))
    parser.add_argument("--email", required=True)
    commands = parser.add_subparsers(required=True)
    for name, run in (("list", _list), ("follow", _follow)):
        command = commands.add_parser(name)
        command.add_argument("--limit", type=int, help="stop after so many")
        command.set_defaults(run=run)
        if run is _follow:
            command.add_argument("--cursor-file", type=Path, default=Path("cursor.txt"), help="where it has come to")
    options = parser.parse_args()
    password = os.environ.get("TRIBUTARY_PASSWORD")
    if password is None:
        parser.error("put the password into the environment variable TRIBUTARY_PASSWORD")
    try:
        options.run(Tributary(options.url, options.email, password), options)
    except (Refused, httpx.HTTPError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
