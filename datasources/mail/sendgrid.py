"""Mail over SendGrid's HTTP API: ``POST /v3/mail/send`` (https://www.twilio.com/docs/sendgrid/api-reference/mail-send)."""

import ssl
import time
from email.message import EmailMessage
from typing import Any, NoReturn

import httpx

from datasources.mail.sending import Misconfigured, TryAgain, Undeliverable

PATH = "/v3/mail/send"
TIMEOUT = httpx.Timeout(30, read=240)
"""Seconds. Who stops waiting for the answer sends the mail twice, so that is long."""
MAX_RETRY_AFTER = 3_600.0

_ACCEPTED = frozenset({200, 202})  # 200: checked only, in the sandbox that a subaccount may be set to
_BAD_REQUEST, _TOO_LARGE, _TOO_MANY = 400, 413, 429


class SendGridSender:
    """Hands each mail to SendGrid at ``url``, with an API key that may send mail."""

    def __init__(self, api_key: str, *, url: str = "https://api.sendgrid.com") -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._address = f"{url.rstrip('/')}{PATH}"
        self._tls = ssl.create_default_context()

    async def send(self, message: EmailMessage) -> None:
        """As ``MailSender.send`` says."""
        try:
            # A client for each: mails are few, and a connection kept for hours is mostly a dead one.
            async with httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT) as client:
                answer = await client.post(self._address, headers=self._headers, json=request_body(message))
        except httpx.TransportError as error:
            reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise TryAgain(f"SendGrid does not answer ({type(error).__name__})", all_mail=not reached) from None
        if answer.status_code not in _ACCEPTED:
            _judge(answer)


def request_body(message: EmailMessage) -> dict[str, Any]:
    """The message as SendGrid wants it: the plain text before the HTML, and nothing in it changed on the way.

    Tracking would replace the links, which work once and are nobody else's business, by some of SendGrid's.
    """
    sender = message["From"].addresses[0]
    (receiver,) = message["To"].addresses
    named = {"name": sender.display_name} if sender.display_name else {}
    return {
        "from": {"email": sender.addr_spec, **named},
        "subject": str(message["Subject"]),
        "personalizations": [{"to": [{"email": receiver.addr_spec}]}],
        "content": [
            {"type": part.get_content_type(), "value": part.get_content()}
            for part in message.walk()
            if not part.is_multipart()
        ],
        "headers": {name: str(message[name]) for name in ("Message-ID", "Auto-Submitted")},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
        },
    }


def _judge(answer: httpx.Response) -> NoReturn:
    code, fields = answer.status_code, _fields(answer)
    said = f"{code}, {', '.join(fields)}" if fields else str(code)
    if code == _TOO_MANY:
        raise TryAgain(f"SendGrid takes no more mail for now ({said})", retry_after=_reset(answer), all_mail=True)
    if code >= 500:  # noqa: PLR2004
        raise TryAgain(f"SendGrid has trouble ({said})")
    if code == _TOO_LARGE or (code == _BAD_REQUEST and not any(field.startswith("from") for field in fields)):
        raise Undeliverable(f"SendGrid refuses the mail ({said})")
    # A wrong key, a sender that is not verified, an account on hold, an address that is no API.
    raise Misconfigured(f"SendGrid refuses us: look at SENDGRID_API_KEY, SENDGRID_URL and MAIL_FROM ({said})")


def _fields(answer: httpx.Response) -> list[str]:
    """Which parts of the request were wrong. Messages are not kept: there may be addresses in them."""
    try:
        found = [error["field"] for error in answer.json()["errors"]]
    except (ValueError, TypeError, KeyError):
        return []
    return [name[:60] for name in found if isinstance(name, str) and name.isascii() and name.isprintable()][:5]


def _reset(answer: httpx.Response) -> float | None:
    """In how many seconds there is room again; ``X-RateLimit-Reset`` is a time in seconds since 1970."""
    try:
        seconds = int(answer.headers["x-ratelimit-reset"]) - time.time()
    except (KeyError, ValueError):
        return None
    return min(max(seconds, 1.0), MAX_RETRY_AFTER)
