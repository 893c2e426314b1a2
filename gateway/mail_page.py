"""A page for developers with the mail that was written to the folder instead of sent.

The links in mail open accounts, so the page is there on one's own machine only: where mail goes to the folder, the
gateway listens on loopback, and nothing speaks of a proxy in front. A request must also name this machine as its host,
or any site on the web could have a name of its own resolve to 127.0.0.1 and read along.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from datasources.mail.folder import FiledMail, MailFolder, ReadMail
from gateway.settings import LOOPBACK, Settings

SHOWN = 200
"""How many mails the list has."""

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
_ADDRESS = re.compile(r"https?://[^\s\"'<>]+")

_STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8889; --accent: #0b6e72; --hover: #0b6e7212;
  font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --accent: #55c3c0; --hover: #55c3c018; } }
body { max-width: 62rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; line-height: 1.3; overflow-wrap: anywhere; }
a { color: var(--accent); }
.hint, dt, time { color: color-mix(in srgb, currentColor 65%, transparent); }
.hint { margin: 0 0 1.5rem; font-size: .9rem; }
ol { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
li + li { border-top: 1px solid var(--line); }
li a { display: grid; grid-template-columns: 15rem 1fr auto; gap: 1rem; padding: .7rem 1rem; color: inherit;
  text-decoration: none; }
li a:hover, li a:focus-visible { background: var(--hover); }
li span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
li .subject { font-weight: 600; }
.empty { padding: 3rem 1.5rem; border: 1px dashed var(--soft); border-radius: 12px; text-align: center; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0 1.5rem; font-size: .9rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.parts { display: grid; grid-template-columns: 3fr 2fr; gap: 1.5rem; align-items: start; }
h2 { margin: 0 0 .5rem; font-size: .9rem; }
iframe { box-sizing: border-box; width: 100%; height: 42rem; border: 1px solid var(--line); border-radius: 12px; }
pre { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, monospace; }
@media (max-width: 52rem) { .parts { grid-template-columns: 1fr; } li a { grid-template-columns: 1fr; gap: 0; } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{content}
</body>
</html>
"""
# The frame of a mail inherits this policy: its own styles are let in, and nothing else of it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_LIST_POLICY = _POLICY.replace(
    "'unsafe-inline'", f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
# No scripts, no forms, an origin of its own. A click on a link leads the whole tab there, as it would from a mailbox.
_SANDBOX = "allow-top-navigation-by-user-activation allow-popups allow-popups-to-escape-sandbox"

Handler = Callable[[Request], Awaitable[Response]]


def mail_routes(settings: Settings) -> Sequence[Route]:
    """The routes of the page; none where mail is really sent, or the gateway is not on its own machine alone."""
    here = settings.host in LOOPBACK and urlsplit(settings.base_url).hostname in LOOPBACK
    if settings.mail_way != "folder" or not here:
        return []
    page = MailPage(MailFolder(settings.mail_directory))
    return [
        Route("/mail", _for_this_machine(page.list), name="mail"),
        Route("/mail/{id}", _for_this_machine(page.show), name="mail-shown"),
    ]


def _for_this_machine(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:
            host = None
        if host not in LOOPBACK or any(name in request.headers for name in _FORWARDED):
            headers = _headers(_LIST_POLICY)
            return PlainTextResponse("Open this page on the machine itself.\n", status_code=403, headers=headers)
        return await handler(request)

    return guarded


class MailPage:
    """The list of the mails in a folder, and a view of each."""

    def __init__(self, folder: MailFolder) -> None:
        self._folder = folder

    async def list(self, _: Request) -> Response:
        """The newest mails."""
        mails = await self._folder.newest(SHOWN)
        return _page("Mail", _list(mails), _LIST_POLICY)

    async def show(self, request: Request) -> Response:
        """One mail, as HTML and as text."""
        found = await self._folder.read(request.path_params["id"])
        if found is None:
            missing = '<h1>No such mail</h1>\n<p class="hint"><a href="/mail">All mail</a></p>'
            return _page("No such mail", missing, _LIST_POLICY, status_code=404)
        return _page(found.mail.subject, _view(found), _POLICY)


def _list(mails: Sequence[FiledMail]) -> str:
    if not mails:
        return (
            '<h1>Mail</h1>\n<p class="hint">What the gateway would send is shown here instead.</p>\n'
            '<p class="empty">No mail yet. Register, or ask for a new password, then load this page again.</p>'
        )
    rows = "\n".join(
        f'<li><a href="/mail/{escape(mail.id)}"><span>{escape(mail.to)}</span>'
        f'<span class="subject">{escape(mail.subject)}</span>{_time(mail)}</a></li>'
        for mail in mails
    )
    hint = "What the gateway would send is shown here instead, the newest first. Load the page again for more."
    return f'<h1>Mail</h1>\n<p class="hint">{hint}</p>\n<ol>\n{rows}\n</ol>'


def _view(found: ReadMail) -> str:
    mail = found.mail
    # The links of a mail name no target: without this they would open inside the frame, where nothing may load.
    framed = f'<base target="_top">{found.html}'
    return f"""<p class="hint"><a href="/mail">All mail</a></p>
<h1>{escape(mail.subject)}</h1>
<dl><dt>To</dt><dd>{escape(mail.to)}</dd><dt>Written</dt><dd>{_time(mail)}</dd></dl>
<div class="parts">
<section><h2>As HTML</h2>
<iframe title="The mail as HTML" sandbox="{_SANDBOX}" srcdoc="{escape(framed)}"></iframe></section>
<section><h2>As text</h2>
<pre>{_linked(found.text)}</pre></section>
</div>"""


def _time(mail: FiledMail) -> str:
    if mail.at is None:
        return "<time></time>"
    return f'<time datetime="{mail.at.isoformat()}">{mail.at:%Y-%m-%d %H:%M:%S} UTC</time>'


def _linked(text: str) -> str:
    """The text as HTML, its addresses of the web as links."""
    parts, end = [], 0
    for found in _ADDRESS.finditer(text):
        address = escape(found[0])
        parts += [escape(text[end : found.start()]), f'<a href="{address}" rel="noreferrer">{address}</a>']
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def _page(title: str, content: str, policy: str, *, status_code: int = 200) -> Response:
    html = _PAGE.format(title=escape(title), style=_STYLE, content=content)
    return HTMLResponse(html, status_code=status_code, headers=_headers(policy))


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
