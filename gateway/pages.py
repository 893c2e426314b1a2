"""The GraphiQL page that a browser gets at the GraphQL address, and the files it loads.

The page is built from web/ into web/dist/ by `npm run build`. Nothing of a request is ever written into it: it reads
`?query=` itself, as text. Where it has not been built, a plain page says what is missing, and the API is whole.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

_CONFIG_BLOCK = '<script type="application/json" id="page-config">{}</script>'
_FOREVER = "public, max-age=31536000, immutable"
_ONE_DAY = "public, max-age=86400"

# Written out because the table of the `mimetypes` module depends on the machine.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

# A browser applies the header of a worker's own file to that worker, so the files carry a policy too.
_FILE_POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_MISSING_STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
body { max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { overflow-x: auto; padding: 0.8rem 1rem; border: 1px solid #8886; border-radius: 8px; }
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
<h1>Tributary is running</h1>
<p>The GraphQL API answers at this address, over HTTP, WebSocket and server-sent events.</p>
<p>Only GraphiQL, the page to explore it in, has not been built on this machine. It needs
<a href="https://nodejs.org/en/download" rel="noreferrer">Node.js</a> 20.19 or later with npm. Install them, then run
<code>make run</code> again.</p>
<p>Until then, ask it from a terminal:</p>
<pre>curl -H 'Content-Type: application/json' -d '{{"query": "{{ platforms {{ name }} }}"}}' <i>this address</i></pre>
<p>The folder <code>docs/</code> of the checkout says more, and graphql.org says
<a href="https://graphql.org/learn/serving-over-http/" rel="noreferrer">how GraphQL is asked over HTTP</a>.</p>
</body>
</html>
"""
_MISSING_STYLE_HASH = base64.b64encode(hashlib.sha256(_MISSING_STYLE.encode()).digest()).decode()
_MISSING_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_MISSING_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """An account of the demo data; its password is public, and the page signs in with it on one click."""

    label: str
    email: str
    password: str


DemoLogins: TypeAlias = tuple[DemoLogin, ...]


@dataclass(frozen=True, slots=True)
class _BuiltFile:
    path: Path
    media_type: str
    cache_control: str
    gzipped: Path | None

    def response(self, request: Request) -> Response:
        headers = security_headers(_FILE_POLICY) | {"Cache-Control": self.cache_control}
        path = self.path
        if self.gzipped is not None:
            headers["Vary"] = "Accept-Encoding"
            if _accepts_gzip(request):
                headers["Content-Encoding"] = "gzip"
                path = self.gzipped
        return FileResponse(path, headers=headers, media_type=self.media_type)


class BuiltPage:
    """The HTML of a page that the build made. A browser that has it is told so, and gets no second copy."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'

    def response(self, request: Request, headers: Mapping[str, str], *, vary: str | None = None) -> Response:
        """Answer a browser's GET with the page, or with 304."""
        every = {**headers, "Cache-Control": "no-cache", "ETag": self._etag} | ({"Vary": vary} if vary else {})
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if self._etag in known:
            return Response(status_code=304, headers=every)
        return HTMLResponse(self._html, headers=every)


class Pages:
    """The built page in ``dist``, with one-click sign-in for the accounts of ``demo`` when the gateway is in demo mode.

    The files are looked up once, here; only these are ever served. Raises ``ValueError`` when ``dist`` was built from
    sources that this code does not know.
    """

    def __init__(self, dist: Path, demo: DemoLogins | None = None) -> None:
        index = dist / "index.html"
        self._page = BuiltPage(with_config(index, demo)) if index.is_file() else None
        self._files = _built_files(dist) if self._page else {}

    def graphiql_page(self, request: Request) -> Response:
        """Answer a browser's GET of the GraphQL address."""
        if self._page is None:
            headers = security_headers(_MISSING_POLICY) | {"Cache-Control": "no-store", "Vary": "Accept"}
            return HTMLResponse(_MISSING_PAGE, headers=headers)
        # JSON is served at the same address.
        return self._page.response(
            request, security_headers(_page_policy(request.headers.get("host", ""))), vary="Accept"
        )

    def pages_routes(self) -> list[Route]:
        """Routes of the files that the page loads, below the GraphQL address."""
        return [
            Route("/graphql/assets/{name}", self._asset, name="graphiql-asset"),
            Route("/graphql/favicon.svg", self._favicon, name="graphiql-favicon"),
        ]

    async def _asset(self, request: Request) -> Response:
        return self._file(f"assets/{request.path_params['name']}", request)

    async def _favicon(self, request: Request) -> Response:
        return self._file("favicon.svg", request)

    def _file(self, name: str, request: Request) -> Response:
        file = self._files.get(name)
        if file is None:
            headers = security_headers(_FILE_POLICY) | {"Cache-Control": "no-store"}
            return PlainTextResponse("Not found.\n", status_code=404, headers=headers)
        return file.response(request)


def with_config(built: Path, demo: DemoLogins | None) -> str:
    """The HTML of a built page with its settings in it; raises ``ValueError`` when it has no place for them."""
    html = built.read_text(encoding="utf-8")
    if html.count(_CONFIG_BLOCK) != 1:
        raise ValueError(f"{built} does not fit this version of the gateway. Build it again: npm run build in web/.")
    logins = [asdict(login) for login in demo or ()]
    return html.replace(_CONFIG_BLOCK, _CONFIG_BLOCK.replace("{}", _json_for_html({"demoLogins": logins})))


def _json_for_html(value: Mapping[str, object]) -> str:
    """JSON that can neither end the script element around it nor open a comment in it."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _built_files(dist: Path) -> dict[str, _BuiltFile]:
    files: dict[str, _BuiltFile] = {}
    for path in [*dist.glob("assets/*"), *dist.glob("favicon.svg")]:
        if path.suffix == ".gz" or not path.is_file():
            continue
        gzipped = path.with_name(f"{path.name}.gz")
        name = path.relative_to(dist).as_posix()
        files[name] = _BuiltFile(
            path=path,
            media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
            # The names of assets carry a hash of what is in them.
            cache_control=_FOREVER if name.startswith("assets/") else _ONE_DAY,
            gzipped=gzipped if gzipped.is_file() else None,
        )
    return files


def _accepts_gzip(request: Request) -> bool:
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return quality not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def connect_source(host: str) -> str:
    """The directive of a policy that lets a page talk to ``host``, where it came from, and to nobody else."""
    # 'self' covers WebSockets of the same host only in newer browsers; a Host that is no host is never repeated.
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return f"connect-src 'self'{sockets}"


def _page_policy(host: str) -> str:
    return "; ".join([
        "default-src 'none'",
        "script-src 'self'",
        # Monaco writes its theme and the places of its lines into style elements and attributes.
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        connect_source(host),
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ])  # fmt: skip


def security_headers(policy: str) -> dict[str, str]:
    """The headers of a page or a file that keep others from using it; ``policy`` is its Content-Security-Policy."""
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
