"""The page that shows the events of an organization as they happen. It is built from web/ like GraphiQL.

Nothing of a request is written into it: the page reads its filter and its cursor from its own address, as text.
"""

import base64
import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.pages import BuiltPage, DemoLogins, connect_source, security_headers, with_config

ADDRESS = "/events"

# The page writes text into elements that it makes, and never markup: so nothing else may.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
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
<h1>This page is not built yet</h1>
<p>Install <a href="https://nodejs.org/en/download" rel="noreferrer">Node.js</a> 20.19 or later with npm, run
<code>make pages</code>, and start the gateway again. No event is lost meanwhile, and the API is complete without the
page: the field <code>events</code> is a query and a subscription.</p>
</body>
</html>
"""
_MISSING_STYLE_HASH = base64.b64encode(hashlib.sha256(_MISSING_STYLE.encode()).digest()).decode()
_MISSING_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_MISSING_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class EventsPage:
    """The built page in ``dist``; its files are those of ``gateway.pages.Pages``.

    Raises ``ValueError`` when ``dist`` was built from sources that this code does not know.
    """

    def __init__(self, dist: Path, demo: DemoLogins | None = None) -> None:
        built = dist / "events.html"
        self._page = BuiltPage(with_config(built, demo)) if built.is_file() else None

    def routes(self) -> list[Route]:
        """The route of the page."""
        return [Route(ADDRESS, self._show, name="events-page")]

    async def _show(self, request: Request) -> Response:
        if self._page is None:
            headers = security_headers(_MISSING_POLICY) | {"Cache-Control": "no-store"}
            return HTMLResponse(_MISSING_PAGE, status_code=503, headers=headers)
        policy = f"{_POLICY}; {connect_source(request.headers.get('host', ''))}"
        return self._page.response(request, security_headers(policy))
