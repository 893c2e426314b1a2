"""Mail over SendGrid's API, beside what the vendor's own SDK sends, to a stand-in that the SDK is content with."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from python_http_client.exceptions import BadRequestsError, UnauthorizedError  # type: ignore[import-untyped]
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]
from sendgrid.helpers.mail import (  # type: ignore[import-untyped]
    ClickTracking,
    Content,
    From,
    Header,
    Mail,
    OpenTracking,
    Subject,
    To,
    TrackingSettings,
)

from datasources.mail import sendgrid
from datasources.mail.sendgrid import SendGridSender
from datasources.mail.sending import Misconfigured, TryAgain, Undeliverable
from tests.mail.post import a_message
from tests.mail.sendgrid import API_KEY, SendGridStandIn, send_grid

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shared_stand_in() -> Iterator[SendGridStandIn]:
    """SendGrid for the module."""
    with send_grid() as found:
        yield found


@pytest.fixture
def stand_in(shared_stand_in: SendGridStandIn) -> SendGridStandIn:
    """As it was at the beginning."""
    shared_stand_in.accepted.clear()
    shared_stand_in.answers.clear()
    return shared_stand_in


def sdk(stand_in: SendGridStandIn, key: str = API_KEY) -> SendGridAPIClient:
    """The vendor's client."""
    return SendGridAPIClient(key, host=stand_in.url)


def as_the_sdk_says_it() -> Mail:
    """The mail of ``a_message`` in the words of the SDK."""
    mail = Mail()
    mail.from_email = From("no-reply@gateway.example.com", "Gateway")
    mail.to = To("ada@example.com")
    mail.subject = Subject("Grüße")
    mail.content = [
        Content("text/plain", ".\nJörg & <b>\n"),
        Content("text/html", "<!doctype html>\n<p>Jörg &amp; &lt;b&gt;</p>\n"),
    ]
    mail.header = [Header("Message-ID", "<mai_1@gateway.example.com>"), Header("Auto-Submitted", "auto-generated")]
    mail.tracking_settings = TrackingSettings(
        click_tracking=ClickTracking(enable=False, enable_text=False), open_tracking=OpenTracking(enable=False)
    )
    return mail


async def test_what_is_asked_is_what_the_sdk_asks(stand_in: SendGridStandIn) -> None:
    answer = sdk(stand_in).send(as_the_sdk_says_it())
    assert (answer.status_code, answer.headers["X-Message-Id"]) == (202, "sg-1")
    await SendGridSender(API_KEY, url=f"{stand_in.url}/").send(a_message())
    by_the_sdk, by_us = stand_in.accepted
    assert by_us == by_the_sdk
    assert by_us["headers"]["Message-ID"] == "<mai_1@gateway.example.com>"
    assert [part["type"] for part in by_us["content"]] == ["text/plain", "text/html"]


def test_the_sdk_knows_the_refusals_of_the_stand_in(stand_in: SendGridStandIn) -> None:
    with pytest.raises(UnauthorizedError) as unknown:
        sdk(stand_in, "SG.another").send(as_the_sdk_says_it())
    assert unknown.value.to_dict["errors"][0]["field"] is None
    without_sender = as_the_sdk_says_it()
    without_sender.from_email = From("nobody")
    with pytest.raises(BadRequestsError) as refused:
        sdk(stand_in).send(without_sender)
    assert refused.value.to_dict["errors"][0]["field"] == "from.email"
    html_first = as_the_sdk_says_it()._contents[::-1]
    answer = httpx.post(
        f"{stand_in.url}{sendgrid.PATH}",
        headers={"Authorization": f"Bearer {API_KEY}"},
        json={**as_the_sdk_says_it().get(), "content": [content.get() for content in html_first]},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "content")
    assert stand_in.accepted == []


async def test_a_wrong_key_is_a_matter_for_the_operator_and_told_to_nobody(stand_in: SendGridStandIn) -> None:
    with pytest.raises(Misconfigured, match="SENDGRID_API_KEY") as refused:
        await SendGridSender("SG.another", url=stand_in.url).send(a_message())
    assert "SG." not in str(refused.value)
    assert refused.value.all_mail


@pytest.mark.parametrize(
    ("status", "name", "meaning"),
    [
        (400, "personalizations.0.to.0.email", Undeliverable),
        (400, "from.email", Misconfigured),
        (400, None, Undeliverable),
        (401, None, Misconfigured),
        (403, "from", Misconfigured),
        (404, None, Misconfigured),
        (301, None, Misconfigured),
        (406, None, Misconfigured),
        (413, None, Undeliverable),
        (429, None, TryAgain),
        (500, None, TryAgain),
        (503, None, TryAgain),
    ],
)
async def test_what_a_refusal_means(
    stand_in: SendGridStandIn, status: int, name: str | None, meaning: type[Exception]
) -> None:
    error = {"message": "ada@example.com is wrong", "field": name, "help": None}
    stand_in.answers.append((status, {"Location": "/elsewhere"}, {"errors": [error]}))
    with pytest.raises((TryAgain, Undeliverable)) as refused:
        await SendGridSender(API_KEY, url=stand_in.url).send(a_message())
    assert type(refused.value) is meaning
    assert str(status) in str(refused.value)
    assert name is None or name in str(refused.value)
    assert "example.com" not in str(refused.value)
    assert isinstance(refused.value, TryAgain) is (meaning is not Undeliverable)
    assert stand_in.accepted == []


async def test_who_has_sent_too_much_waits_as_long_as_it_is_told(stand_in: SendGridStandIn) -> None:
    stand_in.answers.append((429, {"X-RateLimit-Reset": str(int(time.time()) + 120)}, {"errors": []}))
    with pytest.raises(TryAgain) as refused:
        await SendGridSender(API_KEY, url=stand_in.url).send(a_message())
    assert refused.value.all_mail
    assert refused.value.retry_after is not None
    assert 60 < refused.value.retry_after <= 120


@pytest.mark.parametrize("body", ["no object", {"errors": "none"}, {"errors": [{"field": "x" * 999}]}, [1], None])
async def test_an_answer_that_nobody_expects_is_only_kept_by_its_status(stand_in: SendGridStandIn, body: Any) -> None:
    stand_in.answers.append((502, {}, body))
    with pytest.raises(TryAgain) as refused:
        await SendGridSender(API_KEY, url=stand_in.url).send(a_message())
    assert "502" in str(refused.value)
    assert len(str(refused.value)) < 200


async def test_where_nobody_listens_all_mail_waits() -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TryAgain, match="ConnectError") as refused:
            await SendGridSender(API_KEY, url=f"http://127.0.0.1:{closed.getsockname()[1]}").send(a_message())
    assert refused.value.all_mail


async def test_a_server_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendgrid, "TIMEOUT", httpx.Timeout(5, read=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TryAgain, match="ReadTimeout") as refused:
        await SendGridSender(API_KEY, url=f"http://127.0.0.1:{silent.getsockname()[1]}").send(a_message())
    assert not refused.value.all_mail
