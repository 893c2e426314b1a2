"""The pages that links in mails lead to: one built page of web/ for all of them, which reads its address.

What is after the ``#`` of a link never reaches the gateway: the page takes it out of the address bar and, when a button
is pressed, into a mutation. Opening a link does nothing, because the scanners of mail providers open them too.
"""

import base64
import hashlib
from pathlib import Path
from typing import get_args

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from auth.mail import AccountPage
from gateway.pages import BuiltPage, security_headers

FOLDER = "/account"
"""Where the pages are, unless the operator has pages of their own."""
_NAMES: frozenset[str] = frozenset(get_args(AccountPage))

# The page writes text into elements that it makes, and never markup: so nothing else may.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

_MISSING_STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
body { max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; }
"""
_MISSING_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tributary</title>
<link rel="icon" href="data:,">
<style>{_MISSING_STYLE}</style>
</head>
<body>
<h1>This page is not there yet</h1>
<p>Your link is not used up. Tell whoever runs this Tributary, and open it again when they have built the page.</p>
<p>To build it: install <a href="https://nodejs.org/en/download" rel="noreferrer">Node.js</a> 20.19 or later with npm,
then run <code>make pages</code> and start the gateway again. Where people are to see pages of your own,
set <code>ACCOUNT_URL</code>.</p>
</body>
</html>
"""
_MISSING_STYLE_HASH = base64.b64encode(hashlib.sha256(_MISSING_STYLE.encode()).digest()).decode()
_MISSING_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_MISSING_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class AccountPages:
    """The built page in ``dist``, at the addresses that mails know; its files are those of ``gateway.pages.Pages``."""

    def __init__(self, dist: Path) -> None:
        built = dist / "account.html"
        self._page = BuiltPage(built.read_text(encoding="utf-8")) if built.is_file() else None

    def routes(self) -> list[Route]:
        """The route of the pages."""
        return [Route(f"{FOLDER}/{{page}}", self._show, name="account-page")]

    async def _show(self, request: Request) -> Response:
        if request.path_params["page"] not in _NAMES:
            headers = security_headers(_MISSING_POLICY) | {"Cache-Control": "no-store"}
            return PlainTextResponse("Not found.\n", status_code=404, headers=headers)
        if self._page is None:
            headers = security_headers(_MISSING_POLICY) | {"Cache-Control": "no-store"}
            return HTMLResponse(_MISSING_PAGE, status_code=503, headers=headers)
        return self._page.response(request, security_headers(_POLICY))
